/**
 * @file sardonyx.hpp
 * @brief Sardonyx from C++17: a thin header over the C interface, with nothing behind it to link but
 * that.
 *
 * @code
 * sdx::Session model("model.onnx");
 * sdx::Tensor scores = model(sdx::Tensor::from<float>({1, 3}, {0.5f, 1.0f, 2.0f}));
 * for (float score : scores.items<float>()) std::cout << score << '\n';
 * @endcode
 *
 * What fails throws sdx::Error. What sardonyx.h promises of threads holds here, too.
 */
#ifndef SARDONYX_SARDONYX_HPP
#define SARDONYX_SARDONYX_HPP

#include <sardonyx/sardonyx.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sdx {
// Of this version of the interface: programs built with another one do not meet its names.
inline namespace abi0 {

/** What went wrong, as the numbers of sdx_status. */
enum class Status : int32_t {
  ok = SDX_OK,
  invalid_model = SDX_INVALID_MODEL,
  invalid_argument = SDX_INVALID_ARGUMENT,
  unsupported = SDX_UNSUPPORTED,
  out_of_memory = SDX_OUT_OF_MEMORY,
  internal = SDX_INTERNAL,
  cancelled = SDX_CANCELLED,
  timeout = SDX_TIMEOUT
};

/** What every failure throws. */
class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& what) : std::runtime_error(what), status_(status) {}
  Status status() const noexcept { return status_; }

 private:
  Status status_;
};

/** Element types, numbered as in ONNX's TensorProto.DataType. */
enum class DType : int32_t {
  undefined = SDX_UNDEFINED,
  float32 = SDX_FLOAT32,
  uint8 = SDX_UINT8,
  int8 = SDX_INT8,
  uint16 = SDX_UINT16,
  int16 = SDX_INT16,
  int32 = SDX_INT32,
  int64 = SDX_INT64,
  string = SDX_STRING,
  boolean = SDX_BOOL,
  float16 = SDX_FLOAT16,
  float64 = SDX_FLOAT64,
  uint32 = SDX_UINT32,
  uint64 = SDX_UINT64,
  complex64 = SDX_COMPLEX64,
  complex128 = SDX_COMPLEX128,
  bfloat16 = SDX_BFLOAT16,
  float8e4m3fn = SDX_FLOAT8E4M3FN,
  float8e4m3fnuz = SDX_FLOAT8E4M3FNUZ,
  float8e5m2 = SDX_FLOAT8E5M2,
  float8e5m2fnuz = SDX_FLOAT8E5M2FNUZ,
  uint4 = SDX_UINT4,
  int4 = SDX_INT4,
  float4e2m1 = SDX_FLOAT4E2M1,
  float8e8m0 = SDX_FLOAT8E8M0,
  uint2 = SDX_UINT2,
  int2 = SDX_INT2,
  float6e2m3 = SDX_FLOAT6E2M3,
  float6e3m2 = SDX_FLOAT6E3M2
};

/** What a value is. */
enum class Kind : int32_t {
  none = SDX_KIND_NONE,
  tensor = SDX_KIND_TENSOR,
  sparse_tensor = SDX_KIND_SPARSE_TENSOR,
  sequence = SDX_KIND_SEQUENCE,
  map = SDX_KIND_MAP,
  optional = SDX_KIND_OPTIONAL
};

/** How exact float32 is: see sdx_precision. */
enum class Precision : int32_t {
  strict = SDX_PRECISION_STRICT,
  float32 = SDX_PRECISION_FLOAT32,
  fast = SDX_PRECISION_FAST
};

using Shape = std::vector<int64_t>;

/** "0.1.0". */
inline std::string version() { return sdx_version(); }
/** The instruction set in use: "avx512". */
inline std::string instruction_set() { return sdx_instruction_set(); }
/** "float32". */
inline std::string name(DType dtype) { return sdx_dtype_name(static_cast<sdx_dtype>(dtype)); }

namespace detail {

inline void check(sdx_status status) {
  if (status != SDX_OK) throw Error(static_cast<Status>(status), sdx_last_error());
}

inline void require(bool ok, const char* what) {
  if (!ok) throw Error(Status::invalid_argument, what);
}

template <class T>
constexpr DType dtype_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<U, bool>) return DType::boolean;
  if constexpr (std::is_same_v<U, float>) return DType::float32;
  if constexpr (std::is_same_v<U, double>) return DType::float64;
  if constexpr (std::is_same_v<U, std::string>) return DType::string;
  if constexpr (std::is_integral_v<U> && !std::is_same_v<U, bool>) {
    constexpr bool kSigned = std::is_signed_v<U>;
    if constexpr (sizeof(U) == 1) return kSigned ? DType::int8 : DType::uint8;
    if constexpr (sizeof(U) == 2) return kSigned ? DType::int16 : DType::uint16;
    if constexpr (sizeof(U) == 4) return kSigned ? DType::int32 : DType::uint32;
    if constexpr (sizeof(U) == 8) return kSigned ? DType::int64 : DType::uint64;
  }
  return DType::undefined;
}

template <class Handle, void (*release)(Handle*)>
struct Free {
  void operator()(Handle* handle) const noexcept { release(handle); }
};
template <class Handle, void (*release)(Handle*)>
using Owned = std::unique_ptr<Handle, Free<Handle, release>>;

}  // namespace detail

/** Elements one after the other that somebody else holds. */
template <class T>
class Span {
 public:
  Span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  T* begin() const noexcept { return data_; }
  T* end() const noexcept { return data_ + size_; }
  T& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  T* data_;
  std::size_t size_;
};

class Tensor;

/** A tensor, sequence, map, sparse tensor, or nothing. Copies share what is held. */
class Value {
 public:
  /** Stands for an input that is left out. */
  Value() = default;
  /** Takes the handle over. */
  explicit Value(sdx_value* handle) noexcept : handle_(handle) {}
  Value(Value&&) noexcept = default;
  Value& operator=(Value&&) noexcept = default;
  Value(const Value& other) : Value(other.shared()) {}
  Value& operator=(const Value& other) {
    if (this != &other) handle_.reset(other.shared());
    return *this;
  }

  /** An optional without a value. */
  static Value none() { return made(&sdx_none_create); }
  /** Items of one type; `dtype`, that of tensors, is needed where there are none. */
  static Value sequence(const std::vector<Value>& items, DType dtype = DType::undefined) {
    std::vector<const sdx_value*> handles;
    for (const Value& item : items) handles.push_back(item.handle());
    return made(&sdx_sequence_create, static_cast<sdx_dtype>(dtype), handles.data(),
                handles.size());
  }
  /** Keys, 1-D int64 or strings, and as many values. */
  static Value map(const Value& keys, const Value& values) {
    return made(&sdx_map_create, keys.handle(), values.handle());
  }
  /** Values [n], and int64 places [n] or [n, rank] in order. */
  static Value sparse(const Value& values, const Value& indices, const Shape& shape) {
    return made(&sdx_sparse_create, values.handle(), indices.handle(), shape.data(), shape.size());
  }

  Kind kind() const noexcept { return static_cast<Kind>(sdx_value_kind(handle())); }
  /** The value as a tensor; throws where it is none. */
  Tensor tensor() const;
  /** The items of a sequence. */
  std::vector<Value> items() const {
    std::vector<Value> found;
    for (std::size_t i = 0; i < sdx_sequence_count(handle()); ++i)
      found.push_back(made(&sdx_sequence_item, handle(), i));
    return found;
  }
  /** Of a map. */
  Tensor keys() const;
  /** Of a map or of a sparse tensor. */
  Tensor values() const;
  /** Of a sparse tensor. */
  Tensor indices() const;
  /** Of a sparse tensor. */
  Shape dense_shape() const {
    const int64_t* shape = sdx_sparse_shape(handle());
    return Shape(shape, shape + sdx_sparse_rank(handle()));
  }

  sdx_value* handle() noexcept { return handle_.get(); }
  const sdx_value* handle() const noexcept { return handle_.get(); }

 protected:
  template <class Create, class... Arguments>
  static Value made(Create create, Arguments... arguments) {
    sdx_value* out = nullptr;
    detail::check(create(arguments..., &out));
    return Value(out);
  }

 private:
  sdx_value* shared() const {
    sdx_value* out = nullptr;
    if (handle_) detail::check(sdx_value_share(handle(), &out));
    return out;
  }

  detail::Owned<sdx_value, sdx_value_free> handle_;
};

/** A dense tensor, the last dimension fastest. */
class Tensor : public Value {
 public:
  Tensor() = default;
  /** Throws where the value is no tensor. */
  explicit Tensor(Value value) : Value(std::move(value)) {
    detail::require(kind() == Kind::tensor, "the value is no tensor");
  }
  /** New memory: numbers not set, strings empty. */
  Tensor(DType dtype, const Shape& shape)
      : Value(made(&sdx_tensor_create, static_cast<sdx_dtype>(dtype), shape.data(),
                   shape.size())) {}

  /** Takes the items over; strings are copied. */
  template <class T>
  static Tensor from(const Shape& shape, std::vector<T> items) {
    static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements; use view");
    if constexpr (std::is_same_v<T, std::string>) {
      std::vector<const char*> texts;
      std::vector<std::size_t> lengths;
      for (const std::string& item : items) {
        texts.push_back(item.data());
        lengths.push_back(item.size());
      }
      detail::require(count(shape) == items.size(), "the shape does not fit the items");
      return Tensor(made(&sdx_tensor_strings, shape.data(), shape.size(), texts.data(),
                         lengths.data()));
    } else {
      auto owner = std::make_unique<std::vector<T>>(std::move(items));
      const auto release = [](void* context) { delete static_cast<std::vector<T>*>(context); };
      Tensor tensor(made(&sdx_tensor_adopt, code<T>(), shape.data(), shape.size(),
                         static_cast<void*>(owner->data()), owner->size() * sizeof(T),
                         static_cast<void (*)(void*)>(release), static_cast<void*>(owner.get())));
      static_cast<void>(owner.release());
      return tensor;
    }
  }
  template <class T>
  static Tensor scalar(T item) {
    if constexpr (std::is_same_v<T, std::string>) {
      return from<T>({}, {std::move(item)});
    } else {
      Tensor tensor(detail::dtype_of<T>(), {});
      *tensor.data<T>() = item;
      return tensor;
    }
  }
  /** Over memory of the caller's, who keeps it until nobody uses it; written to only as an output. */
  template <class T>
  static Tensor view(const T* data, const Shape& shape) {
    return Tensor(made(&sdx_tensor_view, code<T>(), shape.data(), shape.size(),
                       const_cast<void*>(static_cast<const void*>(data)),
                       count(shape) * sizeof(T)));
  }
  /** The same for element types that C++ lacks; `bytes` is the size of the memory. */
  static Tensor view(DType dtype, const Shape& shape, void* data, std::size_t bytes) {
    return Tensor(made(&sdx_tensor_view, static_cast<sdx_dtype>(dtype), shape.data(), shape.size(),
                       data, bytes));
  }

  DType dtype() const noexcept { return static_cast<DType>(sdx_tensor_dtype(handle())); }
  Shape shape() const {
    const int64_t* shape = sdx_tensor_shape(handle());
    return Shape(shape, shape + sdx_tensor_rank(handle()));
  }
  std::size_t size() const noexcept { return sdx_tensor_count(handle()); }
  std::size_t bytes() const noexcept { return sdx_tensor_bytes(handle()); }

  /** The elements; throws where they are of another type. */
  template <class T>
  T* data() {
    check_type<T>();
    return static_cast<T*>(sdx_tensor_data(handle()));
  }
  template <class T>
  const T* data() const {
    check_type<T>();
    return static_cast<const T*>(sdx_tensor_read(handle()));
  }
  template <class T>
  Span<T> items() {
    return {data<T>(), size()};
  }
  template <class T>
  Span<const T> items() const {
    return {data<T>(), size()};
  }
  /** The elements whatever their type; nullptr for strings. */
  void* raw() noexcept { return sdx_tensor_data(handle()); }
  const void* raw() const noexcept { return sdx_tensor_read(handle()); }
  /** Copies of the elements of a tensor of strings. */
  std::vector<std::string> strings() const {
    std::vector<std::string> found;
    for (std::size_t i = 0; i < size(); ++i) {
      const char* text = nullptr;
      std::size_t length = 0;
      detail::check(sdx_tensor_string(handle(), i, &text, &length));
      found.emplace_back(text, length);
    }
    return found;
  }

 private:
  template <class T>
  static constexpr sdx_dtype code() {
    constexpr DType kDType = detail::dtype_of<T>();
    static_assert(kDType != DType::undefined && kDType != DType::string,
                  "no element type is stored as this");
    return static_cast<sdx_dtype>(kDType);
  }
  template <class T>
  void check_type() const {
    if (sdx_tensor_dtype(handle()) == code<T>()) return;
    throw Error(Status::invalid_argument, "the elements are " + name(dtype()) + ", not " +
                                              name(static_cast<DType>(code<T>())));
  }
  static std::size_t count(const Shape& shape) {
    std::size_t product = 1;
    for (const int64_t dim : shape) product *= static_cast<std::size_t>(dim);
    return product;
  }
};

inline Tensor Value::tensor() const { return Tensor(*this); }
inline Tensor Value::keys() const { return Tensor(made(&sdx_map_keys, handle())); }
inline Tensor Value::values() const {
  return Tensor(made(kind() == Kind::sparse_tensor ? &sdx_sparse_values : &sdx_map_values, handle()));
}
inline Tensor Value::indices() const { return Tensor(made(&sdx_sparse_indices, handle())); }

/** Threads that sessions share which are given them; copies are the same threads. */
class ThreadPool {
 public:
  /** So many, the caller's of a run included. */
  explicit ThreadPool(int threads) {
    sdx_pool* out = nullptr;
    detail::check(sdx_pool_create(threads, &out));
    handle_ = std::shared_ptr<sdx_pool>(out, &sdx_pool_free);
  }

 private:
  friend class Options;
  std::shared_ptr<sdx_pool> handle_;
};

/** The channels of a pixel, in order. */
enum class PixelFormat : int32_t {
  rgb = SDX_PIXELS_RGB,
  bgr = SDX_PIXELS_BGR,
  grayscale = SDX_PIXELS_GRAYSCALE
};

/** What the library decodes itself: "BMP, PNM, PNG", or "". */
inline std::string image_formats() { return sdx_image_formats(); }

/** An image that a decoder of the program's is asked for: see sdx_image_decoder. */
class Image {
 public:
  explicit Image(sdx_image* handle) noexcept : handle_(handle) {}
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  /** The bytes of the file. */
  Span<const uint8_t> bytes() const noexcept {
    return {sdx_image_bytes(handle_), sdx_image_size(handle_)};
  }
  PixelFormat pixel_format() const noexcept {
    return static_cast<PixelFormat>(sdx_image_pixel_format(handle_));
  }
  /** 3, or 1 for levels of grey. */
  int channels() const noexcept { return pixel_format() == PixelFormat::grayscale ? 1 : 3; }
  /** Memory for the pixels, row by row, not set. */
  Span<uint8_t> allocate(int64_t height, int64_t width) {
    uint8_t* pixels = nullptr;
    detail::check(sdx_image_allocate(handle_, height, width, &pixels));
    return {pixels, static_cast<std::size_t>(height * width * channels())};
  }
  /** Decodes by what the library was built with. */
  void decode() { detail::check(sdx_image_decode(handle_)); }
  /** Whether the run is to end: long work returns then. */
  bool cancelled() const noexcept { return sdx_image_cancelled(handle_) != 0; }

 private:
  sdx_image* handle_;
};

/** How to load a model: sdx::Options().threads(4).precision(sdx::Precision::strict). */
class Options {
 public:
  using Log = std::function<void(const std::string&)>;
  using ImageDecoder = std::function<void(Image&)>;

  Options() {
    sdx_options* out = nullptr;
    detail::check(sdx_options_create(&out));
    handle_.reset(out);
  }
  /** At most so many, the caller's included; 0: as many as the process may use. */
  Options& threads(int count) { return set(sdx_options_set_threads(handle_.get(), count)); }
  /** Threads of a pool, and no others. */
  Options& threads(const ThreadPool& pool) {
    return set(sdx_options_set_pool(handle_.get(), pool.handle_.get()));
  }
  Options& precision(Precision precision) {
    return set(sdx_options_set_precision(handle_.get(), static_cast<sdx_precision>(precision)));
  }
  /** 0: only what running needs; 1: exact rewrites; 2: all. */
  Options& level(int level) { return set(sdx_options_set_level(handle_.get(), level)); }
  /** Rewrites to leave out: "-fuse_activation". */
  Options& passes(const std::string& passes) {
    return set(sdx_options_set_passes(handle_.get(), passes.c_str()));
  }
  /** A number for a symbolic dimension of the model. */
  Options& dim(const std::string& name, int64_t size) {
    return set(sdx_options_set_dim(handle_.get(), name.c_str(), size));
  }
  /** What the weight of this name holds instead of what the file says. */
  Options& weight(const std::string& name, const Value& tensor) {
    return set(sdx_options_set_weight(handle_.get(), name.c_str(), tensor.handle()));
  }
  /** What the session may take for weights and runs, in bytes; 0: no limit. */
  Options& memory_limit(int64_t bytes) {
    return set(sdx_options_set_memory_limit(handle_.get(), bytes));
  }
  /** Gives back what is kept between runs when none has ended for so many seconds; 0: never. */
  Options& trim_after(double seconds) {
    return set(sdx_options_set_trim_after(handle_.get(), seconds));
  }
  /** A library of operators that the model may use, too: see sardonyx/operator.hpp. */
  Options& load_operators(const std::string& path) {
    return set(sdx_options_load_operators(handle_.get(), path.c_str()));
  }
  /** Functions that the model may call, too: those of a model in the ONNX format. */
  Options& add_functions(const void* bytes, std::size_t size) {
    return set(sdx_options_add_functions(handle_.get(), bytes, size));
  }
  /** Who hears of warnings; what it throws is dropped. */
  Options& log(Log log) {
    log_ = std::make_shared<Log>(std::move(log));
    const auto forward = [](void* context, const char* message) {
      try {
        (*static_cast<const Log*>(context))(message);
      } catch (...) {
      }
    };
    return set(sdx_options_set_log(handle_.get(), forward, log_.get()));
  }
  /** Who decodes images, in the threads that run the session. What it throws ends the run; an image
   * for which it makes no pixels counts as one that cannot be decoded. An empty function: the library
   * itself. */
  Options& image_decoder(ImageDecoder decoder) {
    if (!decoder) return set(sdx_options_set_image_decoder(handle_.get(), nullptr, nullptr));
    image_decoder_ = std::make_shared<ImageDecoder>(std::move(decoder));
    const auto forward = [](void* context, sdx_image* handle) -> sdx_status {
      try {
        Image image(handle);
        (*static_cast<const ImageDecoder*>(context))(image);
        return SDX_OK;
      } catch (const Error& error) {
        return sdx_image_fail(handle, static_cast<sdx_status>(error.status()), error.what());
      } catch (const std::bad_alloc&) {
        return sdx_image_fail(handle, SDX_OUT_OF_MEMORY, "out of memory");
      } catch (const std::exception& error) {
        return sdx_image_fail(handle, SDX_INVALID_ARGUMENT, error.what());
      } catch (...) {
        return sdx_image_fail(handle, SDX_INVALID_ARGUMENT, "the image decoder threw");
      }
    };
    return set(sdx_options_set_image_decoder(handle_.get(), forward, image_decoder_.get()));
  }

 private:
  friend class Session;
  Options& set(sdx_status status) {
    detail::check(status);
    return *this;
  }

  detail::Owned<sdx_options, sdx_options_free> handle_;
  std::shared_ptr<Log> log_;
  std::shared_ptr<ImageDecoder> image_decoder_;
};

/** What ends runs early, within milliseconds: they throw an Error of Status::cancelled or timeout. */
class Run {
 public:
  Run() {
    sdx_run* out = nullptr;
    detail::check(sdx_run_create(&out));
    handle_.reset(out);
  }
  /** From any thread: ends the runs that use this, and those that start later. */
  void cancel() noexcept { sdx_run_cancel(handle_.get()); }
  /** What later runs may take; negative: any time. */
  Run& timeout(double seconds) {
    detail::check(sdx_run_set_timeout(handle_.get(), seconds));
    return *this;
  }
  /** What each of the later runs may take for values, in bytes; 0: no limit but the session's. */
  Run& memory_limit(int64_t bytes) {
    detail::check(sdx_run_set_memory_limit(handle_.get(), bytes));
    return *this;
  }
  /** Ready for use again, when no run uses it. */
  void reset() noexcept { sdx_run_reset(handle_.get()); }

 private:
  friend class Session;
  detail::Owned<sdx_run, sdx_run_free> handle_;
};

/** An input or output as the model declares it. */
struct Info {
  std::string name;
  std::string type; /**< "float32[batch, 3]" */
  Kind kind = Kind::none;
  DType dtype = DType::undefined;
  bool has_shape = false;
  Shape shape;                   /**< -1 where open */
  std::vector<std::string> dims; /**< "3", "batch", "?" */
  bool optional = false;         /**< an input that may be left out */
};

/** What a step of a profiled run took: see sdx_step. */
struct Step {
  std::string node, op, shapes;
  double begin = 0, seconds = 0, flops = 0, value_bytes = 0, constant_bytes = 0;
};

/** Values by name. */
using Feeds = std::vector<std::pair<std::string, Value>>;

/** A loaded model. Any number of threads may run it at once. */
class Session {
 public:
  explicit Session(const std::string& path, const Options& options = {})
      : log_(options.log_), image_decoder_(options.image_decoder_) {
    sdx_session* out = nullptr;
    detail::check(sdx_session_load(path.c_str(), options.handle_.get(), &out));
    handle_.reset(out);
  }
  /** From memory, not needed afterwards; external data is looked up below `directory`, if given. */
  Session(const void* bytes, std::size_t size, const Options& options = {},
          const std::string& directory = "")
      : log_(options.log_), image_decoder_(options.image_decoder_) {
    sdx_session* out = nullptr;
    detail::check(sdx_session_load_memory(bytes, size, directory.c_str(), options.handle_.get(),
                                          &out));
    handle_.reset(out);
  }

  std::vector<Info> inputs() const {
    std::vector<Info> found;
    for (std::size_t i = 0; i < sdx_session_input_count(handle_.get()); ++i)
      found.push_back(describe(sdx_session_input(handle_.get(), i)));
    return found;
  }
  std::vector<Info> outputs() const {
    std::vector<Info> found;
    for (std::size_t i = 0; i < sdx_session_output_count(handle_.get()); ++i)
      found.push_back(describe(sdx_session_output(handle_.get(), i)));
    return found;
  }
  /** What the file says of itself. */
  std::vector<std::pair<std::string, std::string>> metadata() const {
    std::vector<std::pair<std::string, std::string>> found;
    for (std::size_t i = 0; i < sdx_session_metadata_count(handle_.get()); ++i) {
      const char* key = sdx_session_metadata_key(handle_.get(), i);
      found.emplace_back(key, sdx_session_metadata(handle_.get(), key));
    }
    return found;
  }
  /** Threads that a run uses. */
  int threads() const noexcept { return sdx_session_threads(handle_.get()); }
  /** Gives back the memory kept for later runs. */
  void trim() { detail::check(sdx_session_trim(handle_.get())); }
  /** What it holds in memory. */
  sdx_memory memory() const {
    sdx_memory use;
    detail::check(sdx_session_memory(handle_.get(), &use, sizeof(use)));
    return use;
  }
  /** The input whose memory an output may take over, "" where there is none: see sdx_session_cache. */
  std::string cache(std::size_t output) const {
    const char* input = sdx_session_cache(handle_.get(), output);
    return input ? input : "";
  }

  /** The first output, of inputs in their order. */
  template <class... Inputs>
  Tensor operator()(const Inputs&... inputs) {
    const sdx_value* handles[] = {inputs.handle()..., nullptr};
    std::vector<Value> results(1);
    run(nullptr, nullptr, handles, sizeof...(inputs), nullptr, results);
    return Tensor(std::move(results.front()));
  }

  /** All outputs, of inputs in their order. */
  std::vector<Value> run(const std::vector<Value>& inputs, Run* run = nullptr) {
    std::vector<Value> results(sdx_session_output_count(handle_.get()));
    run_into(inputs, results, run);
    return results;
  }

  /** The outputs of these names, or all, of inputs by name. */
  std::vector<Value> run(const Feeds& feeds, const std::vector<std::string>& outputs = {},
                         Run* run = nullptr) {
    std::vector<const char*> names, wanted;
    std::vector<const sdx_value*> handles;
    for (const auto& [name, value] : feeds) {
      names.push_back(name.c_str());
      handles.push_back(value.handle());
    }
    for (const std::string& name : outputs) wanted.push_back(name.c_str());
    std::vector<Value> results(wanted.empty() ? sdx_session_output_count(handle_.get())
                                              : wanted.size());
    this->run(run, names.data(), handles.data(), handles.size(),
              wanted.empty() ? nullptr : wanted.data(), results);
    return results;
  }

  /** Writes into the tensors in `outputs`, which are of the results' very types and shapes; empty
   * values there become new ones. */
  void run_into(const std::vector<Value>& inputs, std::vector<Value>& outputs,
                Run* run = nullptr) {
    std::vector<const sdx_value*> handles;
    for (const Value& input : inputs) handles.push_back(input.handle());
    this->run(run, nullptr, handles.data(), handles.size(), nullptr, outputs);
  }

  /** Runs once and keeps time by step. */
  std::vector<Step> profile(const std::vector<Value>& inputs) {
    std::vector<const sdx_value*> handles;
    for (const Value& input : inputs) handles.push_back(input.handle());
    sdx_profile* out = nullptr;
    detail::check(
        sdx_session_profile(handle_.get(), nullptr, handles.data(), handles.size(), &out));
    const detail::Owned<sdx_profile, sdx_profile_free> profile(out);
    std::vector<Step> steps;
    for (std::size_t i = 0; i < sdx_profile_count(out); ++i) {
      sdx_step step;
      detail::check(sdx_profile_step(out, i, &step, sizeof(step)));
      steps.push_back({step.node, step.op, step.shapes, step.begin, step.seconds, step.flops,
                       step.value_bytes, step.constant_bytes});
    }
    return steps;
  }

  sdx_session* handle() noexcept { return handle_.get(); }

 private:
  void run(Run* run, const char* const* names, const sdx_value* const* inputs, std::size_t count,
           const char* const* wanted, std::vector<Value>& outputs) {
    std::vector<sdx_value*> handles;
    for (Value& output : outputs) handles.push_back(output.handle());
    detail::check(sdx_session_run(handle_.get(), run ? run->handle_.get() : nullptr, names, inputs,
                                  count, wanted, handles.data(), handles.size()));
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (!outputs[i].handle()) outputs[i] = Value(handles[i]);
  }

  static Info describe(const sdx_info* declared) {
    Info info;
    info.name = sdx_info_name(declared);
    info.type = sdx_info_type(declared);
    info.kind = static_cast<Kind>(sdx_info_kind(declared));
    info.dtype = static_cast<DType>(sdx_info_dtype(declared));
    info.has_shape = sdx_info_rank(declared) >= 0;
    info.optional = sdx_info_optional(declared) != 0;
    for (std::size_t axis = 0; static_cast<int64_t>(axis) < sdx_info_rank(declared); ++axis) {
      info.shape.push_back(sdx_info_dim(declared, axis));
      info.dims.emplace_back(sdx_info_dim_text(declared, axis));
    }
    return info;
  }

  std::shared_ptr<Options::Log> log_;
  std::shared_ptr<Options::ImageDecoder> image_decoder_;
  detail::Owned<sdx_session, sdx_session_free> handle_;
};

}  // namespace abi0
}  // namespace sdx

#endif
