// Gives back what has not been used for a while.
#pragma once

#include <functional>
#include <memory>

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

  // Notes that it was used now. Safe to call from many threads.
  void used();

 private:
  struct Entry;
  class Watch;

  std::shared_ptr<Entry> entry_;
};

}  // namespace sdx::runtime
