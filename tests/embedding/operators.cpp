// Operators that ask for everything the interface has, and fail wherever they can.
#include <algorithm>
#include <numeric>
#include <sardonyx/operator.hpp>
#include <stdexcept>

namespace {

using sdx::DType;
namespace op = sdx::op;

// Writes what its node and inputs say of themselves: float32 and strings in, one string out.
class Describe {
 public:
  explicit Describe(const op::Node& node) {
    add(std::to_string(node.opset()));
    add(std::to_string(node.attribute("i", 7)));
    add(std::to_string(node.attribute<int64_t>("required")));
    add(std::to_string(node.attribute("f", 0.25)).substr(0, 4));
    add(node.attribute("s", "none"));
    for (const int64_t item : node.attribute<std::vector<int64_t>>("is", {1}))
      add(std::to_string(item));
    for (const float item : node.attribute<std::vector<float>>("fs", {}))
      add(std::to_string(item).substr(0, 4));
    for (const std::string& item : node.attribute<std::vector<std::string>>("ss", {})) add(item);
    if (node.has("t")) {
      const auto tensor = node.attribute<op::Constant>("t");
      add(node.name(tensor.dtype) + " " + std::to_string(tensor.shape.at(0)) + " " +
          std::to_string(static_cast<const int64_t*>(tensor.data)[tensor.count - 1]));
    }
    add(std::to_string(node.inputs()) + "/" + std::to_string(node.outputs()));
  }

  void infer(op::Infer& infer) const { infer.set_output(0, DType::string, {2}); }

  auto prepare(op::Prepare& prepare) const {
    std::string all = text_;
    if (prepare.has_input(0)) all += "; " + std::to_string(prepare.count(0));
    if (const float* constant = prepare.constant<float>(2))
      all += "; constant " + std::to_string(constant[0]).substr(0, 3);
    const bool has_text = prepare.has_input(1);
    return [all, has_text](op::Run& run) {
      run.set_string(0, 0, all);
      run.set_string(0, 1, has_text ? run.string(1, 0) : "no text");
    };
  }

 private:
  void add(const std::string& text) { text_ += (text_.empty() ? "" : " ") + text; }
  std::string text_;
};

// The sums of rows, by way of scratch; a second output, the largest, where somebody wants it.
struct RowSums {
  explicit RowSums(const op::Node&) {}
  void infer(op::Infer& infer) const {
    infer.expect_dtype(0, DType::float32);
    const op::Type x = infer.type(0);
    op::require(!x.has_shape || x.shape.size() == 2, "expected a matrix");
    const op::Type row{x.dtype, x.has_shape, x.has_shape ? sdx::Shape{x.shape[0]} : sdx::Shape{}};
    infer.set_output(0, row);
    infer.set_output(1, row);
  }
  auto prepare(op::Prepare& prepare) const {
    const int64_t rows = prepare.shape(0)[0], columns = prepare.shape(0)[1];
    op::require(prepare.output_shape(0) == sdx::Shape{rows}, "the output is of another shape");
    prepare.request_scratch(static_cast<std::size_t>(rows) * sizeof(double));
    return [=](op::Run& run) {
      const float* x = run.in<float>(0);
      auto* sums = run.scratch<double>();
      run.parallel_for(rows, static_cast<double>(columns), [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          sums[i] = std::accumulate(x + i * columns, x + (i + 1) * columns, 0.0);
      });
      float* y = run.out<float>(0);
      for (int64_t i = 0; y && i < rows; ++i) y[i] = static_cast<float>(sums[i]);
      if (float* most = run.out<float>(1))
        for (int64_t i = 0; i < rows; ++i)
          most[i] = columns ? *std::max_element(x + i * columns, x + (i + 1) * columns) : 0;
    };
  }
};

// Fails where it is told to.
class Fail {
 public:
  explicit Fail(const op::Node& node) : where_(node.attribute<std::string>("where")) {
    if (where_ == "create") throw sdx::Error(sdx::Status::invalid_model, "not while it is made");
    if (where_ == "kind") node.attribute<int64_t>("where");
  }
  void infer(op::Infer& infer) const {
    if (where_ == "infer") throw sdx::Error(sdx::Status::unsupported, "not such types");
    if (where_ == "output") return infer.set_output(5, DType::float32, {});
    if (where_ == "type") infer.set_output(0, static_cast<DType>(99), {});
    if (where_ == "symbol") infer.set_output(0, DType::float32, {-77});
    if (where_ == "silent") return;
    if (where_ == "unmade" || where_ == "negative")
      return infer.set_output(0, DType::float32, {SDX_OPEN});
    infer.set_output(0, infer.type(0));
  }
  auto prepare(op::Prepare& prepare) const {
    if (where_ == "prepare") throw std::runtime_error("not such sizes");
    return [where = where_, count = prepare.count(0)](op::Run& run) {
      if (where == "run") throw std::runtime_error("not today");
      if (where == "odd") throw 42;  // NOLINT: no exception
      if (where == "memory") throw std::bad_alloc();
      if (where == "elements") run.in<double>(0);
      if (where == "string") run.string(0, 0);
      if (where == "allocate") run.allocate<float>(0, {1});
      if (where == "negative") run.allocate<float>(0, {-1});
      if (where == "thread")
        run.parallel_for(1000, 1e4, [](int64_t begin, int64_t end) {
          if (begin <= 500 && 500 < end) throw std::out_of_range("item 500");
        });
      if (where == "never")  // ends when the run is cancelled
        while (!run.cancelled()) {
        }
      if (where == "long")
        for (;;) run.parallel_for(1000, 1e4, [](int64_t, int64_t) {});
      if (where == "unmade") return;
      const float* x = run.in<float>(0);
      std::copy_n(x, count, run.out<float>(0));
    };
  }

 private:
  std::string where_;
};

}  // namespace

SDX_OPERATORS(op::define<Describe>("test", "Describe"), op::define<RowSums>("test", "RowSums"),
              op::define<Fail>("test", "Fail"),
              op::define<RowSums>("test", "Later", op::kPure, /*since=*/2))
