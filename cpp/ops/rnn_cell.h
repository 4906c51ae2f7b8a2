// One step in time of a recurrent network: gates from products, states from gates.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "kernels/unary.h"

namespace sdx::ops {

// An activation of the recurrent operators, with its constants.
struct CellActivation {
  enum class Kind : uint8_t {
    relu,
    tanh,
    sigmoid,
    affine,
    leaky_relu,
    thresholded_relu,
    scaled_tanh,
    hard_sigmoid,
    elu,
    softsign,
    softplus,
  };

  Kind kind = Kind::tanh;
  float alpha = 0, beta = 0;

  // By name, in any case, with the standard's default constants; throws for others.
  static CellActivation named(const std::string& name);
  bool takes_alpha() const;
  bool takes_beta() const;
  friend bool operator==(const CellActivation&, const CellActivation&) = default;
};

// Kernels resolved once for a plan.
class CellFunction {
 public:
  CellFunction() = default;
  explicit CellFunction(const CellActivation& activation);
  void operator()(float* x, int64_t n) const;
  void operator()(double* x, int64_t n) const;
  const CellActivation& activation() const { return activation_; }

 private:
  CellActivation activation_;
  kernels::UnaryF32* run_ = nullptr;
  kernels::UnaryF32* scale_ = kernels::unary_scale_shift.resolve();
};

enum class CellKind { rnn, gru, lstm };

// What one direction computes with, beyond products.
template <class T>
struct Cell {
  CellKind kind = CellKind::rnn;
  int64_t hidden = 0;
  float clip = 0;  // 0: none
  bool couples_input_and_forget = false;
  bool resets_after_product = false;      // GRU's linear_before_reset
  std::array<CellFunction, 3> functions;  // f, g, h of the standard

  int64_t gates() const { return kind == CellKind::lstm ? 4 : kind == CellKind::gru ? 3 : 1; }

  // All gates of one row are the sums of `fresh`, which came from the input, and `gates`, which
  // came from the state; `gates` is overwritten. h and c are the state, before and after.
  void rnn(const T* fresh, T* gates, T* h) const;
  // `peepholes` is null or holds those of input, output and forget gate. `spare` has room for
  // `hidden`.
  void lstm(const T* fresh, T* gates, const T* peepholes, T* h, T* c, T* spare) const;
  // Update and reset gate, in place; then `reset` is the reset gate times h, where the candidate's
  // product is of that.
  void gru_gates(const T* fresh, T* gates, const T* h, T* reset) const;
  // The candidate's product is in the third part of `gates`, with its bias where that comes first.
  void gru_state(const T* fresh, T* gates, T* h) const;

 private:
  void activate(int function, T* x, int64_t n) const;
};

extern template struct Cell<float>;
extern template struct Cell<double>;

}  // namespace sdx::ops
