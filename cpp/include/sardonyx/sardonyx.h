/**
 * @file sardonyx.h
 * @brief Sardonyx from C, and from whatever language calls C: loads ONNX models and runs them.
 *
 * - **Failure.** A function that can fail returns an ::sdx_status, and its results by pointer; these
 *   are written on success alone. sdx_last_error() has the words. No C++ exception and no signal
 *   comes out of the library, and it writes nothing to the standard streams.
 * - **Ownership.** What a function named `create` or `load`, or one with a parameter `out`, hands out
 *   belongs to the caller and goes back by the `free` of its type, which takes NULL, too. Text and
 *   shapes that functions return belong to the object asked and live as long as it does.
 * - **Threads.** Any number of threads may run one session at once, and ask it about itself. Objects
 *   may be handed from thread to thread. A value may be read by many threads, a run object be
 *   cancelled by any; everything else wants one thread at a time for one object.
 * - **Compatibility.** Handles are opaque and the numbers of enumerations are 32 bits wide and keep
 *   their meaning. Within one SDX_ABI, functions are added, never changed or taken away.
 */
#ifndef SARDONYX_SARDONYX_H
#define SARDONYX_SARDONYX_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SDX_API __attribute__((visibility("default")))
#else
#define SDX_API
#endif

#ifdef __cplusplus
#define SDX_NOEXCEPT noexcept
extern "C" {
#else
#define SDX_NOEXCEPT
#endif

/** The number in the shared library's name: libsardonyx.so.0. */
#define SDX_ABI 0

/** @name Handles
 * @{ */
typedef struct sdx_options sdx_options; /**< How to load a model. */
typedef struct sdx_session sdx_session; /**< A loaded model, ready to run. */
typedef struct sdx_info sdx_info;       /**< What a model declares of an input or output. */
typedef struct sdx_value sdx_value;     /**< A tensor, sequence, map, sparse tensor, or nothing. */
typedef struct sdx_run sdx_run;         /**< What ends runs early. */
typedef struct sdx_pool sdx_pool;       /**< Threads that sessions share. */
typedef struct sdx_profile sdx_profile; /**< What the steps of a run took. */
typedef struct sdx_image sdx_image;     /**< What a decoder of images is asked for. */
/** @} */

/** @name Errors
 * @{ */

/** What came of a call: one of the SDX_ numbers below. */
typedef int32_t sdx_status;
enum {
  SDX_OK = 0,
  SDX_INVALID_MODEL = 1,    /**< the file breaks the ONNX standard */
  SDX_INVALID_ARGUMENT = 2, /**< what was passed does not fit the model, or the interface */
  SDX_UNSUPPORTED = 3,      /**< legal ONNX that this version does not run */
  SDX_OUT_OF_MEMORY = 4,
  SDX_INTERNAL = 5, /**< a bug in Sardonyx */
  SDX_CANCELLED = 6, /**< sdx_run_cancel() was called */
  SDX_TIMEOUT = 7    /**< the run took longer than it may */
};

/** @brief What the last failed call of this thread complained about, in a sentence that names the
 * node or value and the numbers. It stays until the next failure in this thread; "" before the
 * first. */
SDX_API const char* sdx_last_error(void) SDX_NOEXCEPT;

/** @brief A status as text: "invalid model". */
SDX_API const char* sdx_status_text(sdx_status status) SDX_NOEXCEPT;
/** @} */

/** @name The library
 * @{ */

/** @brief The version of the library in use: "0.1.0". */
SDX_API const char* sdx_version(void) SDX_NOEXCEPT;

/** @brief The instruction set in use, the best that the machine has: "avx512". */
SDX_API const char* sdx_instruction_set(void) SDX_NOEXCEPT;
/** @} */

/** @name Element types
 * @{ */

/** An element type, numbered as in ONNX's TensorProto.DataType. Types narrower than a byte take a
 * byte an element in memory. */
typedef int32_t sdx_dtype;
enum {
  SDX_UNDEFINED = 0,
  SDX_FLOAT32 = 1,
  SDX_UINT8 = 2,
  SDX_INT8 = 3,
  SDX_UINT16 = 4,
  SDX_INT16 = 5,
  SDX_INT32 = 6,
  SDX_INT64 = 7,
  SDX_STRING = 8,
  SDX_BOOL = 9,
  SDX_FLOAT16 = 10,
  SDX_FLOAT64 = 11,
  SDX_UINT32 = 12,
  SDX_UINT64 = 13,
  SDX_COMPLEX64 = 14,
  SDX_COMPLEX128 = 15,
  SDX_BFLOAT16 = 16,
  SDX_FLOAT8E4M3FN = 17,
  SDX_FLOAT8E4M3FNUZ = 18,
  SDX_FLOAT8E5M2 = 19,
  SDX_FLOAT8E5M2FNUZ = 20,
  SDX_UINT4 = 21,
  SDX_INT4 = 22,
  SDX_FLOAT4E2M1 = 23,
  SDX_FLOAT8E8M0 = 24,
  SDX_UINT2 = 25,
  SDX_INT2 = 26,
  SDX_FLOAT6E2M3 = 27,
  SDX_FLOAT6E3M2 = 28
};

/** @brief "float32"; "undefined" for numbers that are no element type. */
SDX_API const char* sdx_dtype_name(sdx_dtype dtype) SDX_NOEXCEPT;

/** @brief Bytes of an element in memory; 0 for strings and unknown numbers. */
SDX_API size_t sdx_dtype_size(sdx_dtype dtype) SDX_NOEXCEPT;
/** @} */

/** @name Options
 * Where options are wanted, NULL stands for the defaults.
 * @{ */

/** How exact float32 is. */
typedef int32_t sdx_precision;
enum {
  SDX_PRECISION_STRICT = 0,  /**< no transforms whose rounding is larger */
  SDX_PRECISION_FLOAT32 = 1, /**< within 1e-5 for well-conditioned models; the default */
  SDX_PRECISION_FAST = 2     /**< coarser number formats where they are faster */
};

/** A receiver of warnings. May be called during loading, by the loading thread. */
typedef void (*sdx_log)(void* context, const char* message);

/** @brief Options, all at their defaults. */
SDX_API sdx_status sdx_options_create(sdx_options** out) SDX_NOEXCEPT;
SDX_API void sdx_options_free(sdx_options* options) SDX_NOEXCEPT;

/** @brief At most so many threads, the caller's included; 0, the default: as many as the process may
 * use by its affinity and its container's quota. */
SDX_API sdx_status sdx_options_set_threads(sdx_options* options, int32_t threads) SDX_NOEXCEPT;

/** @brief So many threads, the caller's of a run included, that the sessions have to themselves
 * which are given the pool; it lives as long as they do. Others share one pool for each number of
 * threads. */
SDX_API sdx_status sdx_pool_create(int32_t threads, sdx_pool** out) SDX_NOEXCEPT;
SDX_API void sdx_pool_free(sdx_pool* pool) SDX_NOEXCEPT;
SDX_API sdx_status sdx_options_set_pool(sdx_options* options, const sdx_pool* pool) SDX_NOEXCEPT;

SDX_API sdx_status sdx_options_set_precision(sdx_options* options,
                                             sdx_precision precision) SDX_NOEXCEPT;

/** @brief 0: only what running needs; 1: exact rewrites; 2, the default: fusions and layouts too. */
SDX_API sdx_status sdx_options_set_level(sdx_options* options, int32_t level) SDX_NOEXCEPT;

/** @brief Rewrites to leave out, to find a culprit: "-fuse_activation,-fold_constants". */
SDX_API sdx_status sdx_options_set_passes(sdx_options* options, const char* passes) SDX_NOEXCEPT;

/** @brief A number for a symbolic dimension of the model, by its name: models of fixed shapes can be
 * optimised further. */
SDX_API sdx_status sdx_options_set_dim(sdx_options* options, const char* name,
                                       int64_t size) SDX_NOEXCEPT;

/** @brief What the weight of this name holds instead of what the file says, which is not read then.
 * The tensor's memory must outlive the session where it is a view. */
SDX_API sdx_status sdx_options_set_weight(sdx_options* options, const char* name,
                                          const sdx_value* tensor) SDX_NOEXCEPT;

/** @brief What the session may take, in bytes: for weights, but those that are read where the file is
 * mapped, and for the values of the runs in progress, but inputs and tensors to write into. Loading or
 * a run that would take more fails with SDX_OUT_OF_MEMORY. 0, the default: no limit. */
SDX_API sdx_status sdx_options_set_memory_limit(sdx_options* options, int64_t bytes) SDX_NOEXCEPT;

/** @brief Gives back what is kept between runs when none has ended for so many seconds, from a thread
 * that sleeps until then. 0, the default: never. */
SDX_API sdx_status sdx_options_set_trim_after(sdx_options* options, double seconds) SDX_NOEXCEPT;

/** @brief Loads a library of operators (see sardonyx/operator.h) that the model may use besides
 * those of ONNX. It stays loaded as long as these options or a session made with them. Where
 * several have an operator of one name, the last one counts. */
SDX_API sdx_status sdx_options_load_operators(sdx_options* options, const char* path) SDX_NOEXCEPT;

/** @brief Functions that the model may call besides its own: those of a model in `bytes`, in the
 * ONNX format. A function that the model itself has goes first. */
SDX_API sdx_status sdx_options_add_functions(sdx_options* options, const void* bytes,
                                             size_t size) SDX_NOEXCEPT;

/** @brief Who hears of warnings; without one they are dropped. */
SDX_API sdx_status sdx_options_set_log(sdx_options* options, sdx_log log,
                                       void* context) SDX_NOEXCEPT;
/** @} */

/** @name Images
 * What ONNX's operator ImageDecoder decodes with: a decoder of the program's, else the formats that
 * the library was built with (CMake's option SDX_IMAGE_CODECS).
 *
 * Its input is a whole file in BMP, JPEG, JPEG 2000, PNG, TIFF, WebP or a portable bitmap, graymap
 * or pixmap; its result is uint8 [height, width, channels] in the order that the model asks for. An
 * image that cannot be decoded becomes one of [0, 0, channels], as ONNX has it; where nothing is
 * there to decode with, a run fails with SDX_UNSUPPORTED.
 * @{ */

/** The channels of a pixel, in order. */
typedef int32_t sdx_pixel_format;
enum { SDX_PIXELS_RGB = 0, SDX_PIXELS_BGR = 1, SDX_PIXELS_GRAYSCALE = 2 };

/** A decoder of images. It makes the pixels by sdx_image_allocate() or sdx_image_decode() and
 * returns SDX_OK; where it made none, the image counts as one that cannot be decoded. Any other
 * number ends the run with an error that names the node and says what sdx_image_fail() was told, or
 * what went wrong in a function here that failed.
 *
 * It is called by the threads that run the session, by several at once where several do; `context`
 * and what it points to must outlive the sessions. `image` is valid until it returns, in its own
 * thread. No exception may leave it. */
typedef sdx_status (*sdx_image_decoder)(void* context, sdx_image* image);

/** @brief Who decodes images; NULL, the default: the library itself. */
SDX_API sdx_status sdx_options_set_image_decoder(sdx_options* options, sdx_image_decoder decode,
                                                 void* context) SDX_NOEXCEPT;

/** @brief The bytes of the file, and how many they are: at least one. */
SDX_API const uint8_t* sdx_image_bytes(const sdx_image* image) SDX_NOEXCEPT;
SDX_API size_t sdx_image_size(const sdx_image* image) SDX_NOEXCEPT;

/** @brief What the model asks for: three channels, or one. */
SDX_API sdx_pixel_format sdx_image_pixel_format(const sdx_image* image) SDX_NOEXCEPT;

/** @brief Memory for the pixels, row by row, not set. It counts in the limits of session and run,
 * beyond which this fails with SDX_OUT_OF_MEMORY. A second call makes the first one's void. */
SDX_API sdx_status sdx_image_allocate(sdx_image* image, int64_t height, int64_t width,
                                      uint8_t** pixels) SDX_NOEXCEPT;

/** @brief Decodes by what the library was built with, for decoders that know some images better.
 * Fails with SDX_INVALID_ARGUMENT where the bytes are no image or a damaged one, with
 * SDX_UNSUPPORTED where the library lacks the format or the image has more than 178,956,970 pixels,
 * and with SDX_OUT_OF_MEMORY. */
SDX_API sdx_status sdx_image_decode(sdx_image* image) SDX_NOEXCEPT;

/** @brief Says why the decoder fails; returns the status. */
SDX_API sdx_status sdx_image_fail(sdx_image* image, sdx_status status,
                                  const char* message) SDX_NOEXCEPT;

/** @brief 1 when the run is to end: long work returns then, with any status. */
SDX_API int32_t sdx_image_cancelled(const sdx_image* image) SDX_NOEXCEPT;

/** @brief What the library decodes itself: "BMP, PNM, JPEG, PNG, TIFF, WEBP, JPEG2000", or "". */
SDX_API const char* sdx_image_formats(void) SDX_NOEXCEPT;
/** @} */

/** @name Sessions
 * @{ */

/** @brief Loads a model from a file; its weights are mapped, not copied, where that can be. */
SDX_API sdx_status sdx_session_load(const char* path, const sdx_options* options,
                                    sdx_session** out) SDX_NOEXCEPT;

/** @brief Loads a model from memory, which is not needed afterwards.
 * @param directory where external data is looked up; NULL refuses it. */
SDX_API sdx_status sdx_session_load_memory(const void* bytes, size_t size, const char* directory,
                                           const sdx_options* options,
                                           sdx_session** out) SDX_NOEXCEPT;

/** @brief Frees a session that no thread is running any more. Values it made live on. */
SDX_API void sdx_session_free(sdx_session* session) SDX_NOEXCEPT;

SDX_API size_t sdx_session_input_count(const sdx_session* session) SDX_NOEXCEPT;
SDX_API size_t sdx_session_output_count(const sdx_session* session) SDX_NOEXCEPT;

/** @brief The declaration of an input, NULL beyond the last. */
SDX_API const sdx_info* sdx_session_input(const sdx_session* session, size_t index) SDX_NOEXCEPT;
SDX_API const sdx_info* sdx_session_output(const sdx_session* session, size_t index) SDX_NOEXCEPT;

/** @brief The file's properties and what else it says of itself: producer_name, producer_version,
 * domain, model_version, graph_name, doc_string, ir_version, opset_import. */
SDX_API size_t sdx_session_metadata_count(const sdx_session* session) SDX_NOEXCEPT;
SDX_API const char* sdx_session_metadata_key(const sdx_session* session, size_t index) SDX_NOEXCEPT;
/** @brief The property of this name, NULL where there is none. */
SDX_API const char* sdx_session_metadata(const sdx_session* session, const char* key) SDX_NOEXCEPT;

/** @brief Threads that a run uses, the caller's included. */
SDX_API int32_t sdx_session_threads(const sdx_session* session) SDX_NOEXCEPT;

/** @brief Gives back the memory kept for later runs; the next one takes it anew. Safe during runs. */
SDX_API sdx_status sdx_session_trim(sdx_session* session) SDX_NOEXCEPT;

/** What a session holds in memory, in bytes. Fields are added at the end. */
typedef struct sdx_memory {
  int64_t mapped_weights; /**< read where the file is mapped: shared among processes */
  int64_t own_weights;    /**< in memory of the session's own */
  int64_t packed_weights; /**< read instead of weights, in the order that kernels want */
  int64_t running;        /**< values of runs in progress */
  int64_t idle;           /**< the same memory, kept for the next runs until it is trimmed */
  int64_t kept_results;   /**< of results that are freed, kept for the next ones likewise */
  int64_t plans;          /**< how many are kept, one for each set of input shapes */
} sdx_memory;

/** @brief Fills in the first `size` bytes of `out`. */
SDX_API sdx_status sdx_session_memory(sdx_session* session, sdx_memory* out,
                                      size_t size) SDX_NOEXCEPT;

/** @brief The name of the input that an output continues with new rows, as present continues past:
 * given the memory of that input, a run writes the new rows alone. NULL where there is none. */
SDX_API const char* sdx_session_cache(const sdx_session* session, size_t output) SDX_NOEXCEPT;
/** @} */

/** @name Declarations of inputs and outputs
 * @{ */

/** What a value is. */
typedef int32_t sdx_kind;
enum {
  SDX_KIND_NONE = 0, /**< of values: an optional without a value; of declarations: unknown */
  SDX_KIND_TENSOR = 1,
  SDX_KIND_SPARSE_TENSOR = 2,
  SDX_KIND_SEQUENCE = 3,
  SDX_KIND_MAP = 4,
  SDX_KIND_OPTIONAL = 5 /**< of declarations alone */
};

SDX_API const char* sdx_info_name(const sdx_info* info) SDX_NOEXCEPT;
SDX_API sdx_kind sdx_info_kind(const sdx_info* info) SDX_NOEXCEPT;

/** @brief The whole type: "float32[batch, 3]", "sequence(map(int64, float32[]))". */
SDX_API const char* sdx_info_type(const sdx_info* info) SDX_NOEXCEPT;

/** @brief The element type of a tensor; SDX_UNDEFINED for others and where it is not declared. */
SDX_API sdx_dtype sdx_info_dtype(const sdx_info* info) SDX_NOEXCEPT;

/** @brief Dimensions of a tensor; -1 where not even their number is declared. */
SDX_API int64_t sdx_info_rank(const sdx_info* info) SDX_NOEXCEPT;

/** @brief The size of a dimension; -1 where it is open. */
SDX_API int64_t sdx_info_dim(const sdx_info* info, size_t axis) SDX_NOEXCEPT;

/** @brief A dimension as text: "3", "batch", "2*past + 1", and "?" where nothing is known. NULL
 * beyond the last. */
SDX_API const char* sdx_info_dim_text(const sdx_info* info, size_t axis) SDX_NOEXCEPT;

/** @brief 1 for an input that may be left out, else 0. */
SDX_API int32_t sdx_info_optional(const sdx_info* info) SDX_NOEXCEPT;
/** @} */

/** @name Tensors
 * Elements lie one after the other, the last dimension fastest.
 * @{ */

/** @brief A tensor with memory of its own: numbers not set, strings empty. */
SDX_API sdx_status sdx_tensor_create(sdx_dtype dtype, const int64_t* shape, size_t rank,
                                     sdx_value** out) SDX_NOEXCEPT;

/** @brief A tensor over the caller's memory, which must outlive it and every value shared from it.
 * The memory is written to only where the tensor is given as an output. No strings.
 * @param bytes how much memory there is: exactly what the elements take. */
SDX_API sdx_status sdx_tensor_view(sdx_dtype dtype, const int64_t* shape, size_t rank, void* data,
                                   size_t bytes, sdx_value** out) SDX_NOEXCEPT;

/** @brief The same; `release(context)` is called, once and by any thread, when nobody uses the memory
 * any more. Where this fails the memory stays with the caller. */
SDX_API sdx_status sdx_tensor_adopt(sdx_dtype dtype, const int64_t* shape, size_t rank, void* data,
                                    size_t bytes, void (*release)(void* context), void* context,
                                    sdx_value** out) SDX_NOEXCEPT;

/** @brief A tensor of strings, copied.
 * @param lengths in bytes; NULL where every string ends with a zero. */
SDX_API sdx_status sdx_tensor_strings(const int64_t* shape, size_t rank, const char* const* strings,
                                      const size_t* lengths, sdx_value** out) SDX_NOEXCEPT;

/** @brief SDX_UNDEFINED, 0 or NULL come from these where the value is no tensor. */
SDX_API sdx_dtype sdx_tensor_dtype(const sdx_value* tensor) SDX_NOEXCEPT;
SDX_API size_t sdx_tensor_rank(const sdx_value* tensor) SDX_NOEXCEPT;
SDX_API const int64_t* sdx_tensor_shape(const sdx_value* tensor) SDX_NOEXCEPT;
/** @brief Elements. */
SDX_API size_t sdx_tensor_count(const sdx_value* tensor) SDX_NOEXCEPT;
/** @brief Bytes of the elements; 0 for strings. */
SDX_API size_t sdx_tensor_bytes(const sdx_value* tensor) SDX_NOEXCEPT;
/** @brief The elements; NULL for strings. */
SDX_API void* sdx_tensor_data(sdx_value* tensor) SDX_NOEXCEPT;
SDX_API const void* sdx_tensor_read(const sdx_value* tensor) SDX_NOEXCEPT;

/** @brief A string of a tensor; a zero follows its last byte.
 * @param length may be NULL. */
SDX_API sdx_status sdx_tensor_string(const sdx_value* tensor, size_t index, const char** text,
                                     size_t* length) SDX_NOEXCEPT;
/** @} */

/** @name Values
 * Values share what they hold: parts of a sequence or map are handed out without a copy.
 * @{ */

SDX_API sdx_kind sdx_value_kind(const sdx_value* value) SDX_NOEXCEPT;

/** @brief Another handle to the same memory. */
SDX_API sdx_status sdx_value_share(const sdx_value* value, sdx_value** out) SDX_NOEXCEPT;
SDX_API void sdx_value_free(sdx_value* value) SDX_NOEXCEPT;

/** @brief An optional without a value. */
SDX_API sdx_status sdx_none_create(sdx_value** out) SDX_NOEXCEPT;

/** @brief A sequence of these items, all of one type.
 * @param dtype of the tensors, needed where there are no items, else SDX_UNDEFINED. */
SDX_API sdx_status sdx_sequence_create(sdx_dtype dtype, const sdx_value* const* items, size_t count,
                                       sdx_value** out) SDX_NOEXCEPT;
SDX_API size_t sdx_sequence_count(const sdx_value* sequence) SDX_NOEXCEPT;
SDX_API sdx_status sdx_sequence_item(const sdx_value* sequence, size_t index,
                                     sdx_value** out) SDX_NOEXCEPT;

/** @brief A map from its keys, 1-D int64 or strings without duplicates, and as many values. */
SDX_API sdx_status sdx_map_create(const sdx_value* keys, const sdx_value* values,
                                  sdx_value** out) SDX_NOEXCEPT;
SDX_API sdx_status sdx_map_keys(const sdx_value* map, sdx_value** out) SDX_NOEXCEPT;
SDX_API sdx_status sdx_map_values(const sdx_value* map, sdx_value** out) SDX_NOEXCEPT;

/** @brief A sparse tensor: values [n], and their places in order, int64 [n] counted through the whole
 * shape or [n, rank]. */
SDX_API sdx_status sdx_sparse_create(const sdx_value* values, const sdx_value* indices,
                                     const int64_t* shape, size_t rank,
                                     sdx_value** out) SDX_NOEXCEPT;
SDX_API sdx_status sdx_sparse_values(const sdx_value* sparse, sdx_value** out) SDX_NOEXCEPT;
SDX_API sdx_status sdx_sparse_indices(const sdx_value* sparse, sdx_value** out) SDX_NOEXCEPT;
SDX_API size_t sdx_sparse_rank(const sdx_value* sparse) SDX_NOEXCEPT;
SDX_API const int64_t* sdx_sparse_shape(const sdx_value* sparse) SDX_NOEXCEPT;
/** @} */

/** @name Runs
 * @{ */

/** @brief What runs can be ended by, within milliseconds and in the middle of operators, too; the
 * session stays as it was. One object may serve many runs, one after the other or at once. */
SDX_API sdx_status sdx_run_create(sdx_run** out) SDX_NOEXCEPT;
SDX_API void sdx_run_free(sdx_run* run) SDX_NOEXCEPT;

/** @brief Ends the runs that use this object, and those that start with it later, with SDX_CANCELLED.
 * From any thread, and from a signal handler. */
SDX_API void sdx_run_cancel(sdx_run* run) SDX_NOEXCEPT;

/** @brief Runs that start from now on end with SDX_TIMEOUT when they have taken so many seconds; a
 * negative number, the default, lets them take any time. */
SDX_API sdx_status sdx_run_set_timeout(sdx_run* run, double seconds) SDX_NOEXCEPT;

/** @brief What each of the runs that start from now on may take for values, in bytes; 0, the default: no
 * limit but the session's. */
SDX_API sdx_status sdx_run_set_memory_limit(sdx_run* run, int64_t bytes) SDX_NOEXCEPT;

/** @brief Makes a cancelled object ready for use again, when no run uses it. */
SDX_API void sdx_run_reset(sdx_run* run) SDX_NOEXCEPT;

/** @brief Runs a model.
 *
 * Inputs are read where they lie and must not change during the call. An entry of `outputs` that is
 * NULL becomes a new value; a tensor there, of the result's very element type and shape, is written
 * into. On failure new values are not made, and such tensors may hold anything.
 *
 * @param run         what can end it early; NULL: nothing.
 * @param input_names by which `inputs` go; NULL: they are the first inputs of the model in order.
 * @param inputs      an entry may be NULL, as though it were left out, where the input is optional.
 * @param output_names by which `outputs` go; NULL: they are the first outputs in order. */
SDX_API sdx_status sdx_session_run(sdx_session* session, sdx_run* run,
                                   const char* const* input_names, const sdx_value* const* inputs,
                                   size_t input_count, const char* const* output_names,
                                   sdx_value** outputs, size_t output_count) SDX_NOEXCEPT;
/** @} */

/** @name Profiles
 * @{ */

/** A step of a profiled run: a node of the optimised model. Fields are added at the end. */
typedef struct sdx_step {
  const char* node;   /**< a name */
  const char* op;     /**< "Conv", "com.microsoft::Gelu" */
  const char* shapes; /**< "[1, 3, 224, 224], [64, 3, 7, 7] -> [1, 64, 112, 112]" */
  double begin;       /**< seconds since the run began */
  double seconds;
  double flops;          /**< 0 where they are not counted */
  double value_bytes;    /**< read and written, of values that are computed or given */
  double constant_bytes; /**< read, of constants */
} sdx_step;

/** @brief Runs a model as sdx_session_run() does, and keeps time by step instead of the results. */
SDX_API sdx_status sdx_session_profile(sdx_session* session, const char* const* input_names,
                                       const sdx_value* const* inputs, size_t input_count,
                                       sdx_profile** out) SDX_NOEXCEPT;
SDX_API void sdx_profile_free(sdx_profile* profile) SDX_NOEXCEPT;
SDX_API size_t sdx_profile_count(const sdx_profile* profile) SDX_NOEXCEPT;

/** @brief Fills in the first `size` bytes of a step; text lives as long as the profile. */
SDX_API sdx_status sdx_profile_step(const sdx_profile* profile, size_t index, sdx_step* step,
                                    size_t size) SDX_NOEXCEPT;
/** @} */

#ifdef __cplusplus
}
#endif

#endif
