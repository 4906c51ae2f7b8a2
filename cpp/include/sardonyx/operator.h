/**
 * @file operator.h
 * @brief Operators of your own, in a shared library that programs load. What crosses between such a
 * library and the runtime is here, in C; sardonyx/operator.hpp makes C++ of it.
 *
 * A library exports the one function sdx_operators() and links to nothing: what an operator wants
 * of the runtime it asks through the functions of ::sdx_host. A program has it loaded, by
 * sdx_options_load_operators(), sdx::Options::load_operators or sardonyx.load_operators in Python.
 * No model can.
 *
 * - **Clocks.** `create` makes a node when a model is loaded, `infer` says what comes out, while
 *   some sizes may still be open, `prepare` makes a step for sizes that are all numbers, and `run`
 *   computes. What does not depend on elements belongs in `prepare`: the runtime keeps its steps.
 * - **Threads.** One node is asked, and one step run, by many threads at once: both are only read.
 * - **Failure.** A function returns SDX_OK or, having told sdx_host::fail why, another number. The
 *   error that comes out of the library names the node. No exception may leave a function.
 * - **Tensors.** Inputs and outputs are tensors, elements one after the other, the last dimension
 *   fastest. Those of strings are read and written by functions, an element at a time.
 * - **Compatibility.** Within one SDX_OPERATORS_ABI fields are added at the ends of structures,
 *   never changed or taken away; a library of another is refused.
 */
#ifndef SARDONYX_OPERATOR_H
#define SARDONYX_OPERATOR_H

#include <sardonyx/sardonyx.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The number of this interface. */
#define SDX_OPERATORS_ABI 1

/** What an operator is asked, and by which it asks back: valid until the function returns. */
typedef struct sdx_call sdx_call;

/** What an attribute holds, numbered as in ONNX's AttributeProto.AttributeType. */
typedef int32_t sdx_attribute_kind;
enum {
  SDX_ATTRIBUTE_FLOAT = 1,
  SDX_ATTRIBUTE_INT = 2,
  SDX_ATTRIBUTE_STRING = 3,
  SDX_ATTRIBUTE_TENSOR = 4,
  SDX_ATTRIBUTE_FLOATS = 6,
  SDX_ATTRIBUTE_INTS = 7,
  SDX_ATTRIBUTE_STRINGS = 8
};

/** An attribute: of the pointers that of its kind is set. Belongs to the node being made. */
typedef struct sdx_attribute {
  sdx_attribute_kind kind;
  sdx_dtype dtype; /**< of a tensor */
  size_t count;    /**< elements; 1 where it is no list */
  const int64_t* ints;
  const float* floats;
  const char* const* strings; /**< a zero follows the last byte of each */
  const size_t* lengths;      /**< of the strings, in bytes */
  const void* data;           /**< of a tensor, no strings */
  const int64_t* shape;
  size_t rank;
} sdx_attribute;

/** A size that is not known: the -1 of shapes in `infer`. Numbers below stand for symbolic sizes,
 * the same for the same symbol, and may be handed on to outputs. */
#define SDX_OPEN (-1)

/** Work on items [begin, end), by any thread. */
typedef sdx_status (*sdx_work)(void* context, int64_t begin, int64_t end);

/** What the runtime does for operators. `i` counts inputs or outputs; pointers live as long as the
 * call. */
typedef struct sdx_host {
  uint32_t abi;  /**< SDX_OPERATORS_ABI of the runtime */
  uint32_t size; /**< of this structure */

  /** Says why the function returns what is not SDX_OK; the first to say so counts. Any thread. */
  void (*fail)(sdx_call* call, sdx_status status, const char* message);
  /** "float32". */
  const char* (*dtype_name)(sdx_dtype dtype);

  /* In every function. */
  size_t (*input_count)(const sdx_call* call);
  size_t (*output_count)(const sdx_call* call);

  /* In `create`. */
  /** The version of the operator's domain that the model imports. */
  int32_t (*opset)(const sdx_call* call);
  /** Fills in the attribute of this name; returns 0 where the node has none. */
  int32_t (*attribute)(sdx_call* call, const char* name, sdx_attribute* out);

  /* In `infer`, `prepare` and `run`. */
  int32_t (*has_input)(const sdx_call* call, size_t i);
  int32_t (*wants_output)(const sdx_call* call, size_t i);
  /** SDX_UNDEFINED where the input is left out. */
  sdx_dtype (*input_dtype)(const sdx_call* call, size_t i);
  /** -1 where it is not known, in `infer` alone. */
  int64_t (*input_rank)(const sdx_call* call, size_t i);
  const int64_t* (*input_shape)(const sdx_call* call, size_t i);
  /** The elements; before `run` NULL unless they are constants. NULL for strings. */
  const void* (*input_data)(const sdx_call* call, size_t i);

  /* In `infer`. */
  /** The type of an output; one that the node lacks is ignored. A rank of -1 leaves the shape open,
   * SDX_OPEN a size: then `run` makes the output by `allocate_output`. */
  sdx_status (*set_output)(sdx_call* call, size_t i, sdx_dtype dtype, const int64_t* shape,
                           int64_t rank);

  /* In `prepare` and `run`. */
  /** What `infer` has set, and -1 for the rank of a shape with open sizes. */
  sdx_dtype (*output_dtype)(const sdx_call* call, size_t i);
  int64_t (*output_rank)(const sdx_call* call, size_t i);
  const int64_t* (*output_shape)(const sdx_call* call, size_t i);

  /* In `prepare`. */
  /** So many bytes that `run` finds at `scratch`. */
  sdx_status (*request_scratch)(sdx_call* call, size_t bytes);

  /* In `run`. */
  /** Aligned to 64 bytes. */
  void* (*scratch)(const sdx_call* call);
  /** Where the elements go; NULL for strings and for outputs still to be allocated. */
  void* (*output_data)(const sdx_call* call, size_t i);
  /** Makes an output whose shape was open. `data` gets what `output_data` returns then. */
  sdx_status (*allocate_output)(sdx_call* call, size_t i, const int64_t* shape, size_t rank,
                                void** data);
  sdx_status (*input_string)(sdx_call* call, size_t i, size_t index, const char** text,
                             size_t* length);
  sdx_status (*set_string)(sdx_call* call, size_t i, size_t index, const char* text, size_t length);
  /** Does work on [0, items) with the threads of the session and returns when it is done, with a
   * failure where some of it failed or the run was cancelled.
   * @param nanoseconds what an item takes on one core, about. */
  sdx_status (*parallel_for)(sdx_call* call, int64_t items, double nanoseconds, sdx_work work,
                             void* context);
  /** 1 when the run is to end early: long work that is not in `parallel_for` returns then. */
  int32_t (*cancelled)(const sdx_call* call);
} sdx_host;

/** What the runtime may assume of an operator. */
enum {
  /** Same inputs, same outputs, and nothing else: its nodes may be computed while a model is
   * loaded, and not at all where nobody uses their outputs. */
  SDX_OPERATOR_PURE = 1,
  /** Output 0 may lie where input 0 does, if types and shapes are equal. */
  SDX_OPERATOR_IN_PLACE = 2
};

/** An operator. */
typedef struct sdx_operator {
  const char* domain; /**< not ONNX's own */
  const char* name;
  int32_t since;  /**< the version of the domain from which on it is this one: 1 */
  uint32_t flags; /**< of SDX_OPERATOR_ */
  void* context;  /**< for `create` */
  sdx_status (*create)(const sdx_host* host, sdx_call* call, void* context, void** node);
  void (*destroy)(void* node);
  sdx_status (*infer)(const sdx_host* host, sdx_call* call, const void* node);
  sdx_status (*prepare)(const sdx_host* host, sdx_call* call, const void* node, void** step);
  sdx_status (*run)(const sdx_host* host, sdx_call* call, const void* step);
  void (*release)(void* step);
} sdx_operator;

/** What a library holds. */
typedef struct sdx_operator_table {
  uint32_t abi;           /**< SDX_OPERATORS_ABI of the library */
  uint32_t operator_size; /**< of ::sdx_operator there */
  size_t count;
  const sdx_operator* operators;
} sdx_operator_table;

/** @brief What an operator library exports, under this very name. */
SDX_API const sdx_operator_table* sdx_operators(void) SDX_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
