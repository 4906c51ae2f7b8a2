// Gives back what has not been used for a while.
#pragma once

#include <functional>
#include <memory>
#include <optional>

namespace sdx::runtime {

// Calls `trim` so many seconds after the last use, from the one thread that a process has for this.
// That thread starts with the first use, and sleeps while nothing is due. A forked process gets its
// own.
class IdleTrim {
 public:
  // `trim` may run at the same time as anything but this object's constructor and destructor.
  IdleTrim(double seconds, std::function<void()> trim);
  ~IdleTrim();
  IdleTrim(const IdleTrim&) = delete;
  IdleTrim& operator=(const IdleTrim&) = delete;

  // Notes that it was used now. Safe to call from many threads. Where no thread can be started,
  // what was used stays as it is until the next use.
  void used() noexcept;

  // Notes a use when it ends, in whatever way.
  class Use {
   public:
    explicit Use(std::optional<IdleTrim>& trim) : trim_(trim) {}
    ~Use() {
      if (trim_) trim_->used();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    std::optional<IdleTrim>& trim_;
  };

 private:
  struct Entry;
  class Watch;

  std::shared_ptr<Entry> entry_;
};

}  // namespace sdx::runtime
