/**
 * @file operator.hpp
 * @brief Operators of your own from C++17, over the interface in sardonyx/operator.h. A library of
 * them links to nothing.
 *
 * @code
 * struct Scale {
 *   explicit Scale(const sdx::op::Node& node) : by(node.attribute("by", 1.0f)) {}
 *   void infer(sdx::op::Infer& infer) const { infer.set_output(0, infer.type(0)); }
 *   auto prepare(sdx::op::Prepare& prepare) const {
 *     return [by = by, count = prepare.count(0)](sdx::op::Run& run) {
 *       const float* x = run.in<float>(0);
 *       float* y = run.out<float>(0);
 *       run.parallel_for(count, 0.3, [=](int64_t begin, int64_t end) {
 *         for (int64_t i = begin; i < end; ++i) y[i] = by * x[i];
 *       });
 *     };
 *   }
 *   float by;
 * };
 *
 * SDX_OPERATORS(sdx::op::define<Scale>("my.domain", "Scale"))
 * @endcode
 *
 * An object is a node of a model, what `prepare` returns a step for known sizes; many threads use
 * both at once, so they are const. What fails throws: sdx::Error, or any other exception.
 */
#ifndef SARDONYX_OPERATOR_HPP
#define SARDONYX_OPERATOR_HPP

#include <sardonyx/operator.h>

#include <cstring>
#include <new>
#include <optional>
#include <sardonyx/sardonyx.hpp>

namespace sdx {
inline namespace abi0 {
namespace op {

namespace detail {

// Unwinds to the wall: the runtime has the words.
struct Failed {};

template <class F>
sdx_status guarded(const sdx_host* host, sdx_call* call, F&& f) noexcept {
  try {
    f();
    return SDX_OK;
  } catch (const Failed&) {
  } catch (const Error& error) {
    host->fail(call, static_cast<sdx_status>(error.status()), error.what());
  } catch (const std::bad_alloc&) {
    host->fail(call, SDX_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    host->fail(call, SDX_INTERNAL, error.what());
  } catch (...) {
    host->fail(call, SDX_INTERNAL, "unknown exception");
  }
  return SDX_INTERNAL;
}

}  // namespace detail

/** Refuses what the model or its user got wrong, unless `ok`. */
inline void require(bool ok, const std::string& what) {
  if (!ok) throw Error(Status::invalid_argument, what);
}

/** A tensor that is an attribute. */
struct Constant {
  DType dtype = DType::undefined;
  Shape shape;
  const void* data = nullptr;
  std::size_t count = 0;
};

/** The base of what operators are given. */
class Call {
 public:
  Call(const sdx_host* host, sdx_call* call) noexcept : host_(host), call_(call) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /** Those left out at the end are not counted. */
  std::size_t inputs() const { return host_->input_count(call_); }
  std::size_t outputs() const { return host_->output_count(call_); }
  /** "float32". */
  std::string name(DType dtype) const { return host_->dtype_name(static_cast<sdx_dtype>(dtype)); }

 protected:
  static void check(sdx_status status) {
    if (status != SDX_OK) throw detail::Failed();
  }

  const sdx_host* host_;
  sdx_call* call_;
};

/** A node of a model as it is loaded. */
class Node : public Call {
 public:
  using Call::Call;

  /** The version of the operator's domain that the model imports. */
  int opset() const { return host_->opset(call_); }
  bool has(const char* attribute) const {
    sdx_attribute found;
    return host_->attribute(call_, attribute, &found) != 0;
  }
  /** The attribute as int64_t, float, std::string, a std::vector of these, or Constant. */
  template <class T>
  T attribute(const char* name) const {
    std::optional<T> found = find<T>(name);
    if (!found)
      throw Error(Status::invalid_model, std::string("attribute '") + name + "' is missing");
    return *std::move(found);
  }
  template <class T>
  T attribute(const char* name, T fallback) const {
    std::optional<T> found = find<T>(name);
    return found ? *std::move(found) : std::move(fallback);
  }
  int64_t attribute(const char* name, int fallback) const {
    return attribute<int64_t>(name, fallback);
  }
  float attribute(const char* name, double fallback) const {
    return attribute<float>(name, static_cast<float>(fallback));
  }
  std::string attribute(const char* name, const char* fallback) const {
    return attribute<std::string>(name, fallback);
  }

 private:
  template <class T>
  std::optional<T> find(const char* name) const {
    sdx_attribute found;
    if (!host_->attribute(call_, name, &found)) return std::nullopt;
    const auto expect = [&](sdx_attribute_kind kind) {
      if (found.kind != kind)
        throw Error(Status::invalid_model,
                    std::string("attribute '") + name + "' is of another kind than expected");
    };
    const auto text = [&](std::size_t i) {
      return std::string(found.strings[i], found.lengths[i]);
    };
    if constexpr (std::is_same_v<T, int64_t>) {
      expect(SDX_ATTRIBUTE_INT);
      return *found.ints;
    } else if constexpr (std::is_same_v<T, float>) {
      expect(SDX_ATTRIBUTE_FLOAT);
      return *found.floats;
    } else if constexpr (std::is_same_v<T, std::string>) {
      expect(SDX_ATTRIBUTE_STRING);
      return text(0);
    } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      expect(SDX_ATTRIBUTE_INTS);
      return T(found.ints, found.ints + found.count);
    } else if constexpr (std::is_same_v<T, std::vector<float>>) {
      expect(SDX_ATTRIBUTE_FLOATS);
      return T(found.floats, found.floats + found.count);
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      expect(SDX_ATTRIBUTE_STRINGS);
      T texts;
      for (std::size_t i = 0; i < found.count; ++i) texts.push_back(text(i));
      return texts;
    } else {
      static_assert(std::is_same_v<T, Constant>, "attributes have no such type");
      expect(SDX_ATTRIBUTE_TENSOR);
      return Constant{static_cast<DType>(found.dtype), Shape(found.shape, found.shape + found.rank),
                      found.data, found.count};
    }
  }
};

/** What is known of inputs, and of the elements of constants. */
class Inputs : public Call {
 public:
  using Call::Call;

  bool has_input(std::size_t i) const { return host_->has_input(call_, i) != 0; }
  bool wants_output(std::size_t i) const { return host_->wants_output(call_, i) != 0; }
  DType dtype(std::size_t i) const { return static_cast<DType>(host_->input_dtype(call_, i)); }
  /** The elements where they never change, else nullptr. */
  template <class T>
  const T* constant(std::size_t i) const {
    const void* data = host_->input_data(call_, i);
    if (data) expect<T>(i, dtype(i));
    return static_cast<const T*>(data);
  }
  /** Refuses an input of other elements. */
  void expect_dtype(std::size_t i, DType wanted) const {
    if (dtype(i) != wanted)
      throw Error(Status::invalid_model, "input " + std::to_string(i) + ": expected " +
                                             name(wanted) + ", got " + name(dtype(i)));
  }

 protected:
  template <class T>
  void expect(std::size_t i, DType found) const {
    if constexpr (!std::is_void_v<T>) {
      if (found != sdx::detail::dtype_of<T>())
        throw Error(Status::invalid_argument, "the elements of " + std::to_string(i) + " are " +
                                                  name(found) + ", the operator takes them as " +
                                                  name(sdx::detail::dtype_of<T>()));
    }
  }
};

/** A tensor's type while sizes may be open: below 0, see SDX_OPEN. */
struct Type {
  DType dtype = DType::undefined;
  bool has_shape = false;
  Shape shape;
};

/** Asks for the types of all outputs. */
class Infer : public Inputs {
 public:
  using Inputs::Inputs;

  Type type(std::size_t i) const {
    const int64_t rank = host_->input_rank(call_, i);
    if (rank < 0) return {dtype(i), false, {}};
    const int64_t* shape = host_->input_shape(call_, i);
    return {dtype(i), true, Shape(shape, shape + rank)};
  }
  void set_output(std::size_t i, const Type& type) {
    check(host_->set_output(call_, i, static_cast<sdx_dtype>(type.dtype), type.shape.data(),
                            type.has_shape ? static_cast<int64_t>(type.shape.size()) : -1));
  }
  void set_output(std::size_t i, DType dtype, Shape shape) {
    set_output(i, Type{dtype, true, std::move(shape)});
  }
};

/** Asks for a step, sizes being numbers. */
class Prepare : public Inputs {
 public:
  using Inputs::Inputs;

  Shape shape(std::size_t i) const { return copy(host_->input_shape(call_, i), rank(i)); }
  /** Elements. */
  int64_t count(std::size_t i) const { return product(host_->input_shape(call_, i), rank(i)); }
  DType output_dtype(std::size_t i) const {
    return static_cast<DType>(host_->output_dtype(call_, i));
  }
  /** Whether the shape is known; else the step makes the output by Run::allocate. */
  bool has_output_shape(std::size_t i) const { return host_->output_rank(call_, i) >= 0; }
  Shape output_shape(std::size_t i) const {
    return copy(host_->output_shape(call_, i), host_->output_rank(call_, i));
  }
  /** So many bytes that the step finds at Run::scratch; the largest request counts. */
  void request_scratch(std::size_t bytes) { check(host_->request_scratch(call_, bytes)); }

 private:
  int64_t rank(std::size_t i) const { return host_->input_rank(call_, i); }
  static Shape copy(const int64_t* shape, int64_t rank) {
    return rank > 0 ? Shape(shape, shape + rank) : Shape();
  }
  static int64_t product(const int64_t* shape, int64_t rank) {
    int64_t count = 1;
    for (int64_t axis = 0; axis < rank; ++axis) count *= shape[axis];
    return count;
  }
};

/** What a step reads and writes. */
class Run : public Inputs {
 public:
  using Inputs::Inputs;

  /** The elements, nullptr where the input is left out; `void` for types that C++ lacks. */
  template <class T>
  const T* in(std::size_t i) const {
    if (has_input(i)) expect<T>(i, dtype(i));
    return static_cast<const T*>(host_->input_data(call_, i));
  }
  /** Where they go, nullptr where nobody wants the output. */
  template <class T>
  T* out(std::size_t i) const {
    if (wants_output(i)) expect<T>(i, static_cast<DType>(host_->output_dtype(call_, i)));
    return static_cast<T*>(host_->output_data(call_, i));
  }
  /** Makes an output whose shape was open. */
  template <class T>
  T* allocate(std::size_t i, const Shape& shape) {
    void* data = nullptr;
    if (wants_output(i)) expect<T>(i, static_cast<DType>(host_->output_dtype(call_, i)));
    check(host_->allocate_output(call_, i, shape.data(), shape.size(), &data));
    return static_cast<T*>(data);
  }
  template <class T>
  T* scratch() const {
    return static_cast<T*>(host_->scratch(call_));
  }
  std::string string(std::size_t i, std::size_t index) const {
    const char* text = nullptr;
    std::size_t length = 0;
    check(host_->input_string(call_, i, index, &text, &length));
    return std::string(text, length);
  }
  void set_string(std::size_t i, std::size_t index, const std::string& text) {
    check(host_->set_string(call_, i, index, text.data(), text.size()));
  }

  /** Calls f(begin, end) for parts of [0, items) on the session's threads until all is done;
   * `nanoseconds` is what an item takes on one core, about. */
  template <class F>
  void parallel_for(int64_t items, double nanoseconds, F&& f) const {
    struct Task {
      const sdx_host* host;
      sdx_call* call;
      std::remove_reference_t<F>* f;
    } task{host_, call_, &f};
    const sdx_work work = [](void* context, int64_t begin, int64_t end) {
      const Task& given = *static_cast<const Task*>(context);
      return detail::guarded(given.host, given.call, [&] { (*given.f)(begin, end); });
    };
    check(host_->parallel_for(call_, items, nanoseconds, work, &task));
  }
  /** Whether the run is to end early: long loops outside parallel_for return then. */
  bool cancelled() const { return host_->cancelled(call_) != 0; }
};

/** Flags for `define`. */
constexpr uint32_t kPure = SDX_OPERATOR_PURE;
constexpr uint32_t kInPlace = SDX_OPERATOR_IN_PLACE;

/** The operator whose nodes are objects of class T: see the head of this file. */
template <class T>
sdx_operator define(const char* domain, const char* name, uint32_t flags = 0, int since = 1) {
  using Step = decltype(std::declval<const T&>().prepare(std::declval<Prepare&>()));
  sdx_operator made{};
  made.domain = domain;
  made.name = name;
  made.since = since;
  made.flags = flags;
  made.create = [](const sdx_host* host, sdx_call* call, void*, void** node) {
    return detail::guarded(host, call, [&] {
      const Node given(host, call);
      *node = new T(given);
    });
  };
  made.destroy = [](void* node) { delete static_cast<T*>(node); };
  made.infer = [](const sdx_host* host, sdx_call* call, const void* node) {
    return detail::guarded(host, call, [&] {
      Infer infer(host, call);
      static_cast<const T*>(node)->infer(infer);
    });
  };
  made.prepare = [](const sdx_host* host, sdx_call* call, const void* node, void** step) {
    return detail::guarded(host, call, [&] {
      Prepare prepare(host, call);
      *step = new Step(static_cast<const T*>(node)->prepare(prepare));
    });
  };
  made.run = [](const sdx_host* host, sdx_call* call, const void* step) {
    return detail::guarded(host, call, [&] {
      Run run(host, call);
      (*static_cast<const Step*>(step))(run);
    });
  };
  made.release = [](void* step) { delete static_cast<Step*>(step); };
  return made;
}

}  // namespace op
}  // namespace abi0
}  // namespace sdx

/** Once in a library: the operators it brings, each by sdx::op::define. */
#define SDX_OPERATORS(...)                                                                         \
  extern "C" SDX_API const sdx_operator_table* sdx_operators(void) noexcept {                      \
    static const sdx_operator operators[] = {__VA_ARGS__};                                         \
    static const sdx_operator_table table = {SDX_OPERATORS_ABI, sizeof(sdx_operator),              \
                                             sizeof(operators) / sizeof(operators[0]), operators}; \
    return &table;                                                                                 \
  }

#endif
