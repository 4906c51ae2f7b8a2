// Splits by sets of small integers, as categorical features bring them, as columns of their own.
#pragma once

#include <cstdint>
#include <vector>

namespace sdx::ops {

struct TreeModel;

// For every set that splits ask for, a column with 0 in rows whose feature is in the set and 1 in
// others: one comparison then tells them apart, however large the set is.
template <class T>
class SetColumns {
 public:
  // Replaces the splits of `model` that test small integers; others stay.
  explicit SetColumns(TreeModel& model);

  bool empty() const { return features_.empty(); }
  // Columns of the rows given, as far as the trees look at them, and those with the added ones.
  int64_t columns() const { return columns_; }
  int64_t width() const { return width_; }
  // Writes to[rows, width()].
  void extend(const T* x, int64_t columns, int64_t rows, T* to) const;

 private:
  // Integers below `limit` have a row each in table_, everything else shares the row after those.
  struct Feature {
    uint32_t column;
    uint32_t limit;
    std::size_t sets;
    std::size_t table;
  };

  int64_t columns_ = 0, width_ = 0;
  std::vector<Feature> features_;
  std::vector<T> table_;
};

}  // namespace sdx::ops
