// Rows of features, class labels, transforms of scores.
#include <cmath>
#include <limits>

#include "ops/classifier.h"

namespace sdx::ops {

RowDims row_dims(InferContext& ctx, int input) {
  const DType dtype = ctx.dtype(input);
  check(dtype == DType::float32 || dtype == DType::float64 || dtype == DType::int64 ||
            dtype == DType::int32 || dtype == DType::float16,
        "features have element type ", dtype);
  if (!ctx.has_rank(input)) return {};
  const Dims& dims = ctx.dims(input);
  check(dims.size() == 1 || dims.size() == 2, "features have rank ", dims.size(),
        ", expected [rows, columns]");
  return dims.size() == 1 ? RowDims{1, dims[0]} : RowDims{dims[0], dims[1]};
}

RowShape row_shape(const Shape& shape) {
  check(shape.size() == 1 || shape.size() == 2, "features have rank ", shape.size(),
        ", expected [rows, columns]");
  return shape.size() == 1 ? RowShape{1, shape[0]} : RowShape{shape[0], shape[1]};
}

PostTransform parse_post_transform(std::string_view name) {
  if (name == "NONE") return PostTransform::none;
  if (name == "SOFTMAX") return PostTransform::softmax;
  if (name == "LOGISTIC") return PostTransform::logistic;
  if (name == "SOFTMAX_ZERO") return PostTransform::softmax_zero;
  if (name == "PROBIT") return PostTransform::probit;
  fail(ErrorKind::invalid_model, "post_transform '", name, "' is none of the five");
}

namespace {

template <class T>
T logistic(T value) {
  const T upper = 1 / (1 + std::exp(-std::abs(value)));
  return value < 0 ? 1 - upper : upper;
}

// Inverse of the normal distribution by Winitzki's approximation of the inverse error function,
// the one the standard's reference takes.
template <class T>
T probit(T value) {
  const T y = 2 * value - 1;
  const T inner = (1 - y) * (1 + y);
  if (inner == 0) return std::copysign(std::numeric_limits<T>::infinity(), y);
  const T log = std::log(inner);
  const T half = T(2 / (3.14159265358979323846 * 0.147)) + log / 2;
  const T root = std::sqrt(std::sqrt(half * half - log / T(0.147)) - half);
  return T(1.41421356) * std::copysign(root, y);
}

}  // namespace

template <class T>
void transform_scores(PostTransform transform, T* scores, int64_t count) {
  if (count == 0) return;
  switch (transform) {
    case PostTransform::none:
      return;
    case PostTransform::logistic:
      for (int64_t i = 0; i < count; ++i) scores[i] = logistic(scores[i]);
      return;
    case PostTransform::probit:
      for (int64_t i = 0; i < count; ++i) scores[i] = probit(scores[i]);
      return;
    case PostTransform::softmax:
    case PostTransform::softmax_zero: {
      const T largest = scores[best_class(scores, count)];
      T sum = 0;
      for (int64_t i = 0; i < count; ++i) {
        // The second form leaves what is zero, a class without a vote, at zero.
        const bool counts =
            transform == PostTransform::softmax || !(std::abs(scores[i]) <= T(1e-7));
        scores[i] = counts ? std::exp(scores[i] - largest) : 0;
        sum += scores[i];
      }
      for (int64_t i = 0; i < count; ++i) scores[i] = sum == 0 ? T(0.5) : scores[i] / sum;
      return;
    }
  }
}

template <class T>
void split_score(PostTransform transform, bool is_probability, T score, T* pair) {
  if (transform == PostTransform::logistic) {
    pair[0] = logistic(-score);
    pair[1] = logistic(score);
    return;
  }
  pair[0] = is_probability ? 1 - score : -score;
  pair[1] = score;
  if (transform == PostTransform::probit) transform_scores(transform, pair, 2);
}

template void transform_scores(PostTransform, float*, int64_t);
template void transform_scores(PostTransform, double*, int64_t);
template void split_score(PostTransform, bool, float, float*);
template void split_score(PostTransform, bool, double, double*);

ClassLabels::ClassLabels(const Attributes& attrs, std::string_view ints)
    : integers_(attrs.ints(ints)), strings_(attrs.strings("classlabels_strings")) {
  if (!strings_.empty()) integers_.clear();
}

void ClassLabels::number(int64_t count) {
  for (int64_t i = 0; i < count; ++i) integers_.push_back(i);
}

void ClassLabels::write(const Frame& frame, int output, int64_t row, int64_t index) const {
  if (!frame.wants_output(output)) return;
  if (strings_.empty()) {
    frame.out<int64_t>(output)[row] = integers_[index];
  } else {
    frame.out<std::string>(output)[row] = strings_[index];
  }
}

void ClassLabels::write_binary(const Frame& frame, int output, int64_t row, bool positive) const {
  if (count() == 2) return write(frame, output, row, positive ? 1 : 0);
  if (!frame.wants_output(output)) return;
  if (strings_.empty()) {
    frame.out<int64_t>(output)[row] = positive ? 1 : 0;
  } else {
    frame.out<std::string>(output)[row].assign(1, positive ? '1' : '0');
  }
}

}  // namespace sdx::ops
