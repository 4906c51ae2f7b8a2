#include <cmath>
#include <limits>

#include "ops/attention_wide.h"

namespace sdx::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// What is added to the score of a query and each key.
double mask_at(const AttentionShape& s, const void* mask, int64_t row, int64_t key) {
  if (s.mask == MaskKind::none) return 0;
  if (key >= s.mask_keys) return -kInfinity;
  if (s.mask == MaskKind::additive) return static_cast<const double*>(mask)[row + key];
  return static_cast<const bool*>(mask)[row + key] ? 0 : -kInfinity;
}

void attend(const AttentionShape& s, const WideAttention& data, int64_t batch, int64_t head,
            int64_t query) {
  const int64_t shared = head / s.group();
  const double* q = data.q + batch * s.q.batch + head * s.q.head + query * s.q.row;
  const double* k = data.k + batch * s.k.batch + shared * s.k.head;
  const double* v = data.v + batch * s.v.batch + shared * s.v.head;
  double* y = data.y + batch * s.y.batch + head * s.y.head + query * s.y.row;
  double* weights = data.weights + (batch * s.heads + head) * s.keys;
  double* out =
      data.scores ? data.scores + ((batch * s.heads + head) * s.queries + query) * s.keys : nullptr;
  const int64_t mask_row =
      batch * s.mask_layout.batch + head * s.mask_layout.head + query * s.mask_layout.row;
  const KeyRange& range = data.ranges[batch];
  const int64_t position = range.position + query;
  double largest = -kInfinity, total = 0;
  for (int64_t key = 0; key < s.keys; ++key) {
    double score = 0;
    for (int64_t c = 0; c < s.head_size; ++c) score += q[c] * k[key * s.k.row + c];
    score *= data.scale;
    if (s.scores == ScoreOutput::raw) out[key] = score;
    if (s.softcap != 0) score = s.softcap * std::tanh(score / s.softcap);
    if (s.scores == ScoreOutput::capped) out[key] = score;
    const bool seen = key >= range.begin && key < range.end && !(s.causal && key > position) &&
                      !(s.right_window >= 0 && key > position + s.right_window) &&
                      !(s.left_window >= 0 && key < position - s.left_window);
    score = seen ? score + mask_at(s, data.mask, mask_row, key) : -kInfinity;
    if (s.scores == ScoreOutput::biased) out[key] = score;
    weights[key] = score;
    largest = score > largest || std::isnan(score) ? score : largest;
  }
  const double centre = largest == -kInfinity ? 0 : largest;
  for (int64_t key = 0; key < s.keys; ++key)
    total += weights[key] = std::exp(weights[key] - centre);
  const double factor = total != 0 || s.masked_rows_are_nan ? 1 / total : 1;
  std::fill_n(y, s.value_size, 0.0);
  for (int64_t key = 0; key < s.keys; ++key) {
    weights[key] *= factor;
    if (s.scores == ScoreOutput::probabilities) out[key] = weights[key];
    if (weights[key] == 0) continue;
    for (int64_t c = 0; c < s.value_size; ++c) y[c] += weights[key] * v[key * s.v.row + c];
  }
}

}  // namespace

void run_wide_attention(const Frame& f, const AttentionShape& s, const WideAttention& data) {
  const double cost = static_cast<double>(s.queries * s.keys * (s.head_size + s.value_size));
  f.parallel_for(split_work(s.batch * s.heads, cost), [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i)
      for (int64_t query = 0; query < s.queries; ++query)
        attend(s, data, i / s.heads, i % s.heads, query);
  });
}

}  // namespace sdx::ops
