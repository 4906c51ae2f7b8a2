// What the ai.onnx.ml models share: rows of features, class labels, transforms of scores.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/op.h"

namespace sdx::ops {

// Features come as [rows, columns], or as one row [columns].
struct RowDims {
  Dim rows = Dim::unknown();
  Dim columns = Dim::unknown();
};
RowDims row_dims(InferContext& ctx, int input);
struct RowShape {
  int64_t rows = 1;
  int64_t columns = 0;
};
RowShape row_shape(const Shape& shape);

// Element types that models take features in.
using FeatureTypes = TypeList<float, double, int64_t, int32_t, Half>;

// Converts features to the type a model computes in.
template <class T>
using ConvertFeatures = void (*)(const void* from, T* to, int64_t count);
template <class T>
ConvertFeatures<T> convert_features(DType from) {
  return dispatch(FeatureTypes{}, from, []<class From>() -> ConvertFeatures<T> {
    return [](const void* source, T* to, int64_t count) {
      const auto* items = static_cast<const From*>(source);
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(items[i]);
    };
  });
}

enum class PostTransform : uint8_t { none, softmax, logistic, softmax_zero, probit };

PostTransform parse_post_transform(std::string_view name);
// Transforms the scores of one row in place.
template <class T>
void transform_scores(PostTransform transform, T* scores, int64_t count);

// The same for what a regressor or a single class gives: a softmax of one score leaves it alone, it
// would be 1 whatever the score.
template <class T>
void transform_targets(PostTransform transform, T* scores, int64_t count) {
  const bool softmax =
      transform == PostTransform::softmax || transform == PostTransform::softmax_zero;
  if (count != 1 || !softmax) transform_scores(transform, scores, count);
}

// What a single score says of two classes: [-s, s], or [1 - s, s] where it is a probability.
template <class T>
void split_score(PostTransform transform, bool is_probability, T score, T* pair);

// The classes that a model tells apart: integers or strings.
class ClassLabels {
 public:
  // Reads attribute `ints` or classlabels_strings; none of them means 0 .. count - 1.
  ClassLabels(const Attributes& attrs, std::string_view ints);

  int64_t count() const { return static_cast<int64_t>(strings_.size() + integers_.size()); }
  DType dtype() const { return strings_.empty() ? DType::int64 : DType::string; }
  // Gives labels to a model without: 0 .. count - 1.
  void number(int64_t count);
  // Writes the label of class `index` to item `row` of an output.
  void write(const Frame& frame, int output, int64_t row, int64_t index) const;
  // Writes the labels of the largest scores of rows [rows, count()] to items `first` and on.
  template <class T>
  void write_best(const Frame& frame, int output, int64_t first, int64_t rows,
                  const T* scores) const;
  // The same for a model of one score: of two labels the first or second, else 0 or 1.
  void write_binary(const Frame& frame, int output, int64_t row, bool positive) const;

 private:
  std::vector<int64_t> integers_;
  std::vector<std::string> strings_;
};

// The first of the largest scores.
template <class T>
int64_t best_class(const T* scores, int64_t count) {
  int64_t best = 0;
  T largest = scores[0];
  for (int64_t i = 1; i < count; ++i) {  // without a branch that scores of random rows mislead
    const bool larger = scores[i] > largest;
    best = larger ? i : best;
    largest = larger ? scores[i] : largest;
  }
  return best;
}

template <class T>
void ClassLabels::write_best(const Frame& frame, int output, int64_t first, int64_t rows,
                             const T* scores) const {
  const int64_t classes = count();
  if (!strings_.empty()) {
    for (int64_t row = 0; row < rows; ++row)
      write(frame, output, first + row, best_class(scores + row * classes, classes));
    return;
  }
  auto* to = frame.out<int64_t>(output) + first;
  for (int64_t row = 0; row < rows; ++row)
    to[row] = integers_[best_class(scores + row * classes, classes)];
}

}  // namespace sdx::ops
