// A step is one operator made ready for known sizes; a frame is what it sees of a run.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "base/datum.h"
#include "base/thread_pool.h"

namespace sdx {

struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// Work cut into chunks by its size alone, never by the number of threads.
struct Split {
  int64_t items = 0;
  int64_t chunks = 1;
  int64_t step = 0;  // items a chunk, the last one less; 0: equal parts
  Range chunk(int64_t i) const {
    if (step > 0) return {step * i, std::min(items, step * (i + 1))};
    return {items * i / chunks, items * (i + 1) / chunks};
  }
};

// Cuts `items` so that a chunk costs about 6 us; `cost` is nanoseconds an item on one core. Work
// below twice that stays whole, on the caller's thread. Chunks begin at multiples of `grain`.
Split split_work(int64_t items, double cost, int64_t grain = 1);

// Elements in rows of `length` that begin `step` elements apart, other values between them.
struct Rows {
  int64_t length = 0;  // 0: the elements lie all together
  int64_t step = 0;
  bool apart() const { return length > 0; }
  friend bool operator==(const Rows&, const Rows&) = default;
};

// How a value is laid out when its shape is known before the run.
struct Layout {
  DType dtype = DType::undefined;
  Shape shape;
  bool known = false;
  Rows rows = {};  // apart only where every step at the value agreed: see Op::reads_rows
};

// What a run carries to every step.
struct RunState {
  ThreadPool* pool = nullptr;                 // null: the caller's thread alone
  const std::atomic<bool>* cancel = nullptr;  // null: cannot be cancelled
};

// Views of one step's values. `data` and `datums` are indexed by value, `inputs` and `outputs` hold
// the step's value numbers, kNoValue where an optional one is left out.
class Frame {
 public:
  static constexpr uint32_t kNoValue = 0xffffffff;

  Frame(void** data, Datum* datums, const Layout* layouts, std::span<const uint32_t> inputs,
        std::span<const uint32_t> outputs, void* scratch, const RunState& state)
      : data_(data),
        datums_(datums),
        layouts_(layouts),
        inputs_(inputs),
        outputs_(outputs),
        scratch_(scratch),
        state_(state) {}

  int input_count() const { return static_cast<int>(inputs_.size()); }
  int output_count() const { return static_cast<int>(outputs_.size()); }
  bool has_input(int i) const { return i < input_count() && inputs_[i] != kNoValue; }
  bool wants_output(int i) const { return i < output_count() && outputs_[i] != kNoValue; }

  // Elements of inputs and outputs, whose shapes `prepare` saw. Null where left out.
  template <class T>
  const T* in(int i) const {
    return has_input(i) ? static_cast<const T*>(data_[inputs_[i]]) : nullptr;
  }
  template <class T>
  T* out(int i) const {
    return wants_output(i) ? static_cast<T*>(data_[outputs_[i]]) : nullptr;
  }
  // The bytes `prepare` asked for, aligned to kAlignment.
  template <class T = std::byte>
  T* scratch() const {
    return static_cast<T*>(scratch_);
  }

  // Runs f(Range) over the chunks of `split` on as many threads as there are.
  void parallel_for(const Split& split, FunctionRef<void(Range)> f) const {
    spread(split, ThreadPool::Pieces::single, f);
  }
  // The same, for work whose results do not depend on where it is cut: a thread is given as many
  // neighbouring chunks at once as it will do.
  void parallel_ranges(const Split& split, FunctionRef<void(Range)> f) const {
    spread(split, ThreadPool::Pieces::halves, f);
  }
  bool cancelled() const { return state_.cancel && state_.cancel->load(std::memory_order_relaxed); }
  const RunState& state() const { return state_; }

  // The slow lane: sequences, maps, and whatever has no shape before the run.
  // An input as an object; a tensor in it may lie in memory that the next step reuses.
  Datum input(int i) const;
  // The same, safe to keep.
  Datum keep_input(int i) const { return input(i).owned(); }
  Tensor input_tensor(int i) const { return input(i).tensor(); }
  // Sets an output, by a copy where it has its place already. Ignored where the output is left out.
  void set_output(int i, Datum datum) const;
  // A new tensor as such an output; its memory may be written until the step ends.
  Tensor allocate_output(int i, DType dtype, const Shape& shape) const;

 private:
  void spread(const Split& split, ThreadPool::Pieces pieces, FunctionRef<void(Range)> f) const;

  void** data_;
  Datum* datums_;
  const Layout* layouts_;
  std::span<const uint32_t> inputs_, outputs_;
  void* scratch_;
  const RunState& state_;
};

// What a step runs. It is moved and never copied, and knows of the type of what it holds no more
// than how to call and to end it: there are a thousand such types.
class Step {
 public:
  Step() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Step> && std::is_invocable_v<F&, Frame&>)
      Step(F f)
      : object_(new F(std::move(f))),
        call_([](void* object, Frame& frame) { (*static_cast<F*>(object))(frame); }),
        end_(std::is_trivially_destructible_v<F> ? &release : [](void* object) {
          delete static_cast<F*>(object);
        }) {
    static_assert(alignof(F) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }
  Step(Step&& other) noexcept { swap(other); }
  Step& operator=(Step&& other) noexcept {
    Step(std::move(other)).swap(*this);
    return *this;
  }
  ~Step() {
    if (object_) end_(object_);
  }

  void operator()(Frame& frame) const { call_(object_, frame); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  static void release(void* object) { ::operator delete(object); }
  void swap(Step& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(call_, other.call_);
    std::swap(end_, other.end_);
  }

  void* object_ = nullptr;
  void (*call_)(void*, Frame&) = nullptr;
  void (*end_)(void*) = nullptr;
};

}  // namespace sdx
