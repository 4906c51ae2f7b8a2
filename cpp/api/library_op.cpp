// An operator of a library as the rest of the house sees one, and what it may ask of the runtime.
#include <sardonyx/operator.h>

#include <algorithm>
#include <exception>
#include <mutex>

#include "api/operator_library.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "ir/graph.h"
#include "ir/op.h"

namespace sdx {
namespace {

// A tensor of the node, as its library is told of it.
struct Told {
  bool there = false;
  DType dtype = DType::undefined;
  int64_t rank = -1;
  std::vector<int64_t> shape = {};
  const void* constant = nullptr;
  int64_t count = 0;  // where all sizes are numbers

  static Told of(DType dtype, const Shape& shape) {
    Told told{true, dtype, static_cast<int64_t>(shape.size())};
    told.shape.assign(shape.begin(), shape.end());
    told.count = element_count(shape);
    return told;
  }
};

struct ToldAll {
  std::vector<Told> inputs, outputs;
};

}  // namespace

ErrorKind kind_of(int32_t status) {
  switch (status) {
    case SDX_INVALID_MODEL:
      return ErrorKind::invalid_model;
    case SDX_INVALID_ARGUMENT:
      return ErrorKind::invalid_argument;
    case SDX_UNSUPPORTED:
      return ErrorKind::unsupported;
    case SDX_OUT_OF_MEMORY:
      return ErrorKind::out_of_memory;
    default:
      return ErrorKind::internal;
  }
}

}  // namespace sdx

struct sdx_call {
  std::size_t input_count = 0, output_count = 0;
  const sdx::OpInit* init = nullptr;
  sdx::InferContext* infer = nullptr;
  sdx::PrepareContext* prepare = nullptr;
  sdx::Frame* frame = nullptr;
  const sdx::ToldAll* told = nullptr;
  std::vector<bool> typed = {};         // outputs that `infer` has set
  std::vector<sdx::Dim> symbols = {};   // what -2, -3, ... stand for in `infer`
  std::vector<int64_t> allocated = {};  // elements of outputs made in this run; 0: not made
  // Of the attributes that were asked for.
  std::vector<std::unique_ptr<std::vector<const char*>>> texts = {};
  std::vector<std::unique_ptr<std::vector<std::size_t>>> lengths = {};
  std::mutex mutex = {};
  bool failed = false;
  sdx::ErrorKind kind = sdx::ErrorKind::internal;
  std::string message = {};
  std::exception_ptr error = {};  // of the runtime itself: what the library does after it is void

  void keep(std::exception_ptr raised) {
    const std::lock_guard lock(mutex);
    if (!failed) error = std::move(raised);
    failed = true;
  }

  // What the library's function came to.
  void finish(sdx_status status) {
    if (error) std::rethrow_exception(error);
    if (failed) sdx::fail(kind, message);
    if (status == SDX_OK || (frame && frame->cancelled())) return;
    sdx::fail(sdx::kind_of(status), "the operator failed and does not say why");
  }
};

namespace sdx {
namespace {

// Nothing is thrown into a library.
template <class F>
sdx_status guarded(sdx_call* call, F&& f) noexcept {
  try {
    f();
    return SDX_OK;
  } catch (...) {
    call->keep(std::current_exception());
    return SDX_INTERNAL;
  }
}

void fail_call(sdx_call* call, sdx_status status, const char* message) {
  guarded(call, [&] {
    std::string text = message ? message : "";
    const std::lock_guard lock(call->mutex);
    if (call->failed) return;
    call->failed = true;
    call->kind = kind_of(status);
    call->message = std::move(text);
  });
}

const char* name_of_dtype(sdx_dtype dtype) {
  return is_known_dtype(dtype) ? dtype_name(static_cast<DType>(dtype)).data() : "undefined";
}

std::size_t count_inputs(const sdx_call* call) { return call->input_count; }
std::size_t count_outputs(const sdx_call* call) { return call->output_count; }
int32_t opset_of(const sdx_call* call) { return call->init ? call->init->opset : 0; }

// Fills `out` from the attribute's value; false for kinds that libraries are not given.
struct Describe {
  sdx_call& call;
  sdx_attribute& out;

  void texts(const std::string* first, std::size_t count) const {
    auto& texts = *call.texts.emplace_back(std::make_unique<std::vector<const char*>>());
    auto& lengths = *call.lengths.emplace_back(std::make_unique<std::vector<std::size_t>>());
    for (std::size_t i = 0; i < count; ++i) {
      texts.push_back(first[i].c_str());
      lengths.push_back(first[i].size());
    }
    out.strings = texts.data();
    out.lengths = lengths.data();
    out.count = count;
  }

  void operator()(const int64_t& value) const { set(SDX_ATTRIBUTE_INT, out.ints, &value, 1); }
  void operator()(const float& value) const { set(SDX_ATTRIBUTE_FLOAT, out.floats, &value, 1); }
  void operator()(const std::string& value) const {
    out.kind = SDX_ATTRIBUTE_STRING;
    texts(&value, 1);
  }
  void operator()(const std::vector<int64_t>& values) const {
    set(SDX_ATTRIBUTE_INTS, out.ints, values.data(), values.size());
  }
  void operator()(const std::vector<float>& values) const {
    set(SDX_ATTRIBUTE_FLOATS, out.floats, values.data(), values.size());
  }
  void operator()(const std::vector<std::string>& values) const {
    out.kind = SDX_ATTRIBUTE_STRINGS;
    texts(values.data(), values.size());
  }
  void operator()(const Tensor& tensor) const {
    if (tensor.dtype() == DType::string)
      fail(ErrorKind::unsupported, "tensors of strings as attributes of operators of libraries");
    out.dtype = static_cast<sdx_dtype>(tensor.dtype());
    out.shape = tensor.shape().data();
    out.rank = tensor.shape().size();
    out.data = tensor.raw();
    out.kind = SDX_ATTRIBUTE_TENSOR;
    out.count = static_cast<std::size_t>(tensor.count());
  }
  template <class Other>
  void operator()(const Other&) const {
    fail(ErrorKind::unsupported, "it is of a kind that operators of libraries are not given");
  }

 private:
  template <class T>
  void set(sdx_attribute_kind kind, const T*& to, const T* from, std::size_t count) const {
    out.kind = kind;
    to = from;
    out.count = count;
  }
};

int32_t find_attribute(sdx_call* call, const char* name, sdx_attribute* out) {
  bool found = false;
  guarded(call, [&] {
    check_argument(call->init && name && out, "attributes are there where a node is made");
    *out = {};
    const auto at = call->init->attrs.all().find(std::string_view(name));
    if (at == call->init->attrs.all().end()) return;
    try {
      std::visit(Describe{*call, *out}, at->second);
    } catch (...) {
      rethrow_at(std::string("attribute '") + name + "'");
    }
    found = true;
  });
  return found;
}

const Told* find(const std::vector<Told> ToldAll::*list, const sdx_call* call, std::size_t i) {
  if (!call->told || i >= (call->told->*list).size()) return nullptr;
  const Told& told = (call->told->*list)[i];
  return told.there ? &told : nullptr;
}
template <std::vector<Told> ToldAll::*list>
int32_t is_there(const sdx_call* call, std::size_t i) {
  return find(list, call, i) != nullptr;
}
template <std::vector<Told> ToldAll::*list>
sdx_dtype dtype_at(const sdx_call* call, std::size_t i) {
  const Told* told = find(list, call, i);
  return told ? static_cast<sdx_dtype>(told->dtype) : SDX_UNDEFINED;
}
template <std::vector<Told> ToldAll::*list>
int64_t rank_at(const sdx_call* call, std::size_t i) {
  const Told* told = find(list, call, i);
  return told ? told->rank : -1;
}
template <std::vector<Told> ToldAll::*list>
const int64_t* shape_at(const sdx_call* call, std::size_t i) {
  const Told* told = find(list, call, i);
  return told ? told->shape.data() : nullptr;
}

bool is_text(const Told* told) { return told && told->dtype == DType::string; }

const void* input_data(const sdx_call* call, std::size_t i) {
  const Told* told = find(&ToldAll::inputs, call, i);
  if (!told || is_text(told)) return nullptr;
  return call->frame ? call->frame->in<void>(static_cast<int>(i)) : told->constant;
}

void* output_data(const sdx_call* call, std::size_t i) {
  const Told* told = find(&ToldAll::outputs, call, i);
  if (!told || is_text(told) || !call->frame) return nullptr;
  return call->frame->out<void>(static_cast<int>(i));
}

sdx_status set_output(sdx_call* call, std::size_t i, sdx_dtype dtype, const int64_t* shape,
                      int64_t rank) {
  return guarded(call, [&] {
    check_argument(call->infer, "types are set in `infer`");
    check_argument(dtype != SDX_UNDEFINED && is_known_dtype(dtype), "output ", i,
                   ": there is no element type ", dtype);
    check_argument(rank <= 0 || shape, "output ", i, ": the shape is NULL");
    const int output = static_cast<int>(i);
    if (i >= call->output_count || !call->infer->wants_output(output)) return;
    call->typed.resize(call->output_count);
    call->typed[i] = true;
    if (rank < 0) return call->infer->set_output(output, static_cast<DType>(dtype));
    Dims dims;
    for (int64_t axis = 0; axis < rank; ++axis) {
      const int64_t size = shape[axis];
      if (size >= SDX_OPEN) {
        dims.push_back(size >= 0 ? Dim(size) : Dim::unknown());
        continue;
      }
      const auto symbol = static_cast<std::size_t>(-2 - size);
      check_argument(symbol < call->symbols.size(), "output ", i, ": a size of ", size);
      dims.push_back(call->symbols[symbol]);
    }
    call->infer->set_output(output, static_cast<DType>(dtype), std::move(dims));
  });
}

sdx_status request_scratch(sdx_call* call, std::size_t bytes) {
  return guarded(call, [&] {
    check_argument(call->prepare, "scratch is asked for in `prepare`");
    check_argument(bytes <= INT64_MAX / 2, "scratch of ", bytes, " bytes");
    call->prepare->request_scratch(static_cast<int64_t>(bytes));
  });
}

void* scratch_of(const sdx_call* call) { return call->frame ? call->frame->scratch() : nullptr; }

sdx_status allocate_output(sdx_call* call, std::size_t i, const int64_t* shape, std::size_t rank,
                           void** data) {
  return guarded(call, [&] {
    check_argument(call->frame, "outputs are allocated in `run`");
    const Told* told = find(&ToldAll::outputs, call, i);
    if (data) *data = nullptr;
    if (!told) return;  // nobody wants it
    check_argument(told->rank < 0, "output ", i, " has its place already");
    check_argument(shape || rank == 0, "output ", i, ": the shape is NULL");
    for (std::size_t axis = 0; axis < rank; ++axis)
      check_argument(shape[axis] >= 0, "output ", i, ": a size of ", shape[axis]);
    call->allocated.resize(call->output_count, -1);
    call->allocated[i] = element_count({shape, rank});
    const int output = static_cast<int>(i);
    // Made already where the shape turned out to be that of a scalar: see LibraryOp::prepare.
    if (call->frame->out<void>(output))
      check_argument(rank == 0, "output ", i, " is a scalar, not of rank ", rank);
    else
      call->frame->allocate_output(output, told->dtype, Shape(shape, shape + rank));
    if (data) *data = output_data(call, i);
  });
}

sdx_status input_string(sdx_call* call, std::size_t i, std::size_t index, const char** text,
                        std::size_t* length) {
  return guarded(call, [&] {
    const Told* told = find(&ToldAll::inputs, call, i);
    const auto* items = !is_text(told) ? nullptr
                        : call->frame  ? call->frame->in<std::string>(static_cast<int>(i))
                                       : static_cast<const std::string*>(told->constant);
    check_argument(items && static_cast<int64_t>(index) < told->count, "input ", i,
                   " has no string ", index);
    if (text) *text = items[index].c_str();
    if (length) *length = items[index].size();
  });
}

sdx_status set_string(sdx_call* call, std::size_t i, std::size_t index, const char* text,
                      std::size_t length) {
  return guarded(call, [&] {
    const Told* told = find(&ToldAll::outputs, call, i);
    check_argument(is_text(told) && call->frame, "output ", i, " is no tensor of strings");
    int64_t count = told->count;
    if (told->rank < 0) count = i < call->allocated.size() ? call->allocated[i] : 0;
    check_argument(static_cast<int64_t>(index) < count, "output ", i, " has no string ", index);
    check_argument(text || length == 0, "a string is NULL");
    call->frame->out<std::string>(static_cast<int>(i))[index].assign(text ? text : "", length);
  });
}

int32_t is_cancelled(const sdx_call* call) {
  return call->frame && (call->frame->cancelled() || Interrupt::due());
}

sdx_status parallel_for(sdx_call* call, int64_t items, double nanoseconds, sdx_work work,
                        void* context) {
  struct Stopped {};
  sdx_status status = SDX_OK;
  try {
    check_argument(call->frame && work, "work is spread in `run`");
    if (items <= 0) return SDX_OK;
    const double cost = nanoseconds > 0 ? nanoseconds : 1;
    call->frame->parallel_for(split_work(items, cost), [&](Range part) {
      if (work(context, part.begin, part.end) != SDX_OK) throw Stopped();
    });
    if (is_cancelled(call)) status = SDX_CANCELLED;
  } catch (const Stopped&) {
    status = SDX_INTERNAL;
  } catch (...) {
    call->keep(std::current_exception());
    status = SDX_INTERNAL;
  }
  return status;
}

constexpr sdx_host kHost = {.abi = SDX_OPERATORS_ABI,
                            .size = sizeof(sdx_host),
                            .fail = fail_call,
                            .dtype_name = name_of_dtype,
                            .input_count = count_inputs,
                            .output_count = count_outputs,
                            .opset = opset_of,
                            .attribute = find_attribute,
                            .has_input = is_there<&ToldAll::inputs>,
                            .wants_output = is_there<&ToldAll::outputs>,
                            .input_dtype = dtype_at<&ToldAll::inputs>,
                            .input_rank = rank_at<&ToldAll::inputs>,
                            .input_shape = shape_at<&ToldAll::inputs>,
                            .input_data = input_data,
                            .set_output = set_output,
                            .output_dtype = dtype_at<&ToldAll::outputs>,
                            .output_rank = rank_at<&ToldAll::outputs>,
                            .output_shape = shape_at<&ToldAll::outputs>,
                            .request_scratch = request_scratch,
                            .scratch = scratch_of,
                            .output_data = output_data,
                            .allocate_output = allocate_output,
                            .input_string = input_string,
                            .set_string = set_string,
                            .parallel_for = parallel_for,
                            .cancelled = is_cancelled};

// The type of an input, its symbols numbered in `symbols`.
Told told_of(const InferContext& ctx, int i, std::vector<Dim>& symbols) {
  if (!ctx.has_input(i)) return {};
  if (const Type& type = ctx.input(i); type.kind != Type::Kind::tensor)
    fail(ErrorKind::unsupported, "input ", i, " is ", type,
         "; operators of libraries take and make tensors only");
  Told told{true, ctx.dtype(i)};
  if (const Tensor* constant = ctx.constant(i)) {
    told.constant = constant->raw();
    told.count = constant->count();
  }
  if (!ctx.has_rank(i)) return told;
  told.rank = ctx.rank(i);
  for (const Dim& dim : ctx.dims(i)) {
    if (dim.is_known() || dim.is_unknown()) {
      told.shape.push_back(dim.value_or(SDX_OPEN));
      continue;
    }
    const auto at = std::find(symbols.begin(), symbols.end(), dim);
    told.shape.push_back(-2 - (at - symbols.begin()));
    if (at == symbols.end()) symbols.push_back(dim);
  }
  return told;
}

class LibraryOp final : public Op {
 public:
  explicit LibraryOp(const OpInit& init)
      : operator_(host_operator(init)), table_(*operator_->library->table) {
    sdx_call call{.input_count = static_cast<std::size_t>(init.input_count),
                  .output_count = static_cast<std::size_t>(init.output_count),
                  .init = &init};
    const sdx_status status = table_.create(&kHost, &call, table_.context, &node_);
    try {
      call.finish(status);
    } catch (...) {
      if (status == SDX_OK) table_.destroy(node_);
      throw;
    }
  }
  ~LibraryOp() override { table_.destroy(node_); }
  LibraryOp(const LibraryOp&) = delete;
  LibraryOp& operator=(const LibraryOp&) = delete;

  void infer(InferContext& ctx) const override {
    ToldAll told;
    sdx_call call{.input_count = static_cast<std::size_t>(ctx.input_count()),
                  .output_count = static_cast<std::size_t>(ctx.output_count()),
                  .infer = &ctx,
                  .told = &told};
    for (int i = 0; i < ctx.input_count(); ++i)
      told.inputs.push_back(told_of(ctx, i, call.symbols));
    for (int i = 0; i < ctx.output_count(); ++i)
      told.outputs.push_back({.there = ctx.wants_output(i)});
    call.finish(table_.infer(&kHost, &call, node_));
    for (std::size_t i = 0; i < told.outputs.size(); ++i)
      check_argument(!told.outputs[i].there || (i < call.typed.size() && call.typed[i]),
                     "`infer` of the operator says nothing of output ", i);
  }

  Step prepare(PrepareContext& ctx) const override {
    auto step = std::make_shared<Prepared>(operator_);
    ToldAll& told = step->told;
    for (int i = 0; i < ctx.input_count(); ++i) {
      told.inputs.push_back(ctx.has_input(i) ? Told::of(ctx.dtype(i), ctx.shape(i)) : Told());
      if (const Tensor* constant = ctx.constant(i)) told.inputs.back().constant = constant->raw();
    }
    for (int i = 0; i < ctx.output_count(); ++i) {
      told.outputs.push_back(
          ctx.wants_output(i) ? Told::of(ctx.output_dtype(i), ctx.output_shape(i)) : Told());
      // No sizes may mean a scalar or an open shape: the type at load tells, but not all.
      if (!told.outputs.back().there || !ctx.output_shape(i).empty()) continue;
      const auto& promised = ctx.node().output(i)->type().shape;
      if (!promised || !promised->empty()) told.outputs.back().rank = -1;
    }
    sdx_call call{.input_count = told.inputs.size(),
                  .output_count = told.outputs.size(),
                  .prepare = &ctx,
                  .told = &told};
    const sdx_status status = table_.prepare(&kHost, &call, node_, &step->step);
    step->made = status == SDX_OK;
    call.finish(status);
    return [step = std::move(step)](Frame& f) { step->run(f); };
  }

 private:
  // What `prepare` of the library made, with the types that it was told.
  struct Prepared {
    const std::shared_ptr<const HostOperator> op;
    ToldAll told = {};
    void* step = nullptr;
    bool made = false;

    explicit Prepared(std::shared_ptr<const HostOperator> of) : op(std::move(of)) {}
    ~Prepared() {
      if (made) op->library->table->release(step);
    }
    Prepared(const Prepared&) = delete;
    Prepared& operator=(const Prepared&) = delete;

    void run(Frame& f) const {
      sdx_call call{.input_count = told.inputs.size(),
                    .output_count = told.outputs.size(),
                    .frame = &f,
                    .told = &told};
      call.finish(op->library->table->run(&kHost, &call, step));
      if (f.cancelled()) return;
      for (std::size_t i = 0; i < told.outputs.size(); ++i)
        if (told.outputs[i].there && told.outputs[i].rank < 0)
          check_argument((i < call.allocated.size() && call.allocated[i] >= 0) ||
                             f.out<void>(static_cast<int>(i)),
                         "output ", i, " has not been made");
    }
  };

  std::shared_ptr<const HostOperator> operator_;  // and with it the library
  const sdx_operator& table_;
  void* node_ = nullptr;
};

}  // namespace

void add_library_operator(OpRegistry& registry, const HostOperator& op) {
  const sdx_operator& table = *op.library->table;
  registry.add<LibraryOp>(op.name,
                          {.since = table.since,
                           .in_place = (table.flags & SDX_OPERATOR_IN_PLACE) != 0,
                           .pure = op.pure},
                          op.domain);
}

}  // namespace sdx
