// Activations and cells of recurrent networks.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "ops/rnn_cell.h"

namespace sdx::ops {
namespace {

using Kind = CellActivation::Kind;

struct Known {
  std::string_view name;
  CellActivation activation;
  bool alpha, beta;
};

constexpr Known kKnown[] = {
    {"relu", {Kind::relu, 0, 0}, false, false},
    {"tanh", {Kind::tanh, 0, 0}, false, false},
    {"sigmoid", {Kind::sigmoid, 0, 0}, false, false},
    {"affine", {Kind::affine, 1, 0}, true, true},
    {"leakyrelu", {Kind::leaky_relu, 0.01f, 0}, true, false},
    {"thresholdedrelu", {Kind::thresholded_relu, 1, 0}, true, false},
    {"scaledtanh", {Kind::scaled_tanh, 1, 1}, true, true},
    {"hardsigmoid", {Kind::hard_sigmoid, 0.2f, 0.5f}, true, true},
    {"elu", {Kind::elu, 1, 0}, true, false},
    {"softsign", {Kind::softsign, 0, 0}, false, false},
    {"softplus", {Kind::softplus, 0, 0}, false, false},
};

const Known& known(Kind kind) { return kKnown[static_cast<int>(kind)]; }

double evaluate(const CellActivation& a, double x) {
  switch (a.kind) {
    case Kind::relu:
      return x < 0 ? 0 : x;
    case Kind::tanh:
      return std::tanh(x);
    case Kind::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Kind::affine:
      return a.alpha * x + a.beta;
    case Kind::leaky_relu:
      return x < 0 ? a.alpha * x : x;
    case Kind::thresholded_relu:
      return x > a.alpha ? x : 0;
    case Kind::scaled_tanh:
      return a.alpha * std::tanh(a.beta * x);
    case Kind::hard_sigmoid:
      return std::clamp(a.alpha * x + static_cast<double>(a.beta), 0.0, 1.0);
    case Kind::elu:
      return x < 0 ? a.alpha * std::expm1(x) : x;
    case Kind::softsign:
      return x / (1 + std::abs(x));
    case Kind::softplus:
      return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  }
  return x;
}

kernels::UnaryF32* kernel_of(Kind kind) {
  switch (kind) {
    case Kind::relu:
      return kernels::unary_relu.resolve();
    case Kind::tanh:
    case Kind::scaled_tanh:
      return kernels::unary_tanh.resolve();
    case Kind::sigmoid:
      return kernels::unary_sigmoid.resolve();
    case Kind::affine:
      return kernels::unary_scale_shift.resolve();
    case Kind::leaky_relu:
      return kernels::unary_leaky_relu.resolve();
    case Kind::thresholded_relu:
      return kernels::unary_thresholded_relu.resolve();
    case Kind::hard_sigmoid:
      return kernels::unary_hard_sigmoid.resolve();
    case Kind::elu:
      return kernels::unary_elu.resolve();
    case Kind::softsign:
      return kernels::unary_softsign.resolve();
    case Kind::softplus:
      return kernels::unary_softplus.resolve();
  }
  return nullptr;
}

template <class T>
void add(const T* x, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

template <class T>
void add_product(const T* a, const T* b, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += a[i] * b[i];
}

}  // namespace

CellActivation CellActivation::named(const std::string& name) {
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const Known& k : kKnown)
    if (k.name == lower) return k.activation;
  fail(ErrorKind::invalid_model, "activation '", name, "' is not known");
}

bool CellActivation::takes_alpha() const { return known(kind).alpha; }
bool CellActivation::takes_beta() const { return known(kind).beta; }

CellFunction::CellFunction(const CellActivation& activation)
    : activation_(activation), run_(kernel_of(activation.kind)) {}

void CellFunction::operator()(float* x, int64_t n) const {
  const auto count = static_cast<std::size_t>(n);
  if (activation_.kind == Kind::scaled_tanh) scale_(x, x, count, activation_.beta, 0);
  run_(x, x, count, activation_.alpha, activation_.beta);
  if (activation_.kind == Kind::scaled_tanh) scale_(x, x, count, activation_.alpha, 0);
}

void CellFunction::operator()(double* x, int64_t n) const {
  for (int64_t i = 0; i < n; ++i) x[i] = evaluate(activation_, x[i]);
}

template <class T>
void Cell<T>::activate(int function, T* x, int64_t n) const {
  if (clip > 0)
    for (int64_t i = 0; i < n; ++i) x[i] = std::clamp<T>(x[i], -clip, clip);
  functions[function](x, n);
}

template <class T>
void Cell<T>::rnn(const T* fresh, T* gates, T* h) const {
  add(fresh, gates, hidden);
  activate(0, gates, hidden);
  std::copy_n(gates, hidden, h);
}

template <class T>
void Cell<T>::lstm(const T* fresh, T* gates, const T* peepholes, T* h, T* c, T* spare) const {
  const int64_t n = hidden;
  T* input = gates;
  T* output = gates + n;
  T* forget = gates + 2 * n;
  T* candidate = gates + 3 * n;
  add(fresh, gates, 4 * n);
  if (peepholes) {
    add_product(peepholes, c, input, n);
    add_product(peepholes + 2 * n, c, forget, n);
    activate(0, input, n);
    activate(0, forget, n);
  } else {
    activate(0, input, 3 * n);
  }
  activate(1, candidate, n);
  if (couples_input_and_forget)
    for (int64_t i = 0; i < n; ++i) forget[i] = 1 - input[i];
  for (int64_t i = 0; i < n; ++i) spare[i] = c[i] = forget[i] * c[i] + input[i] * candidate[i];
  if (peepholes) {
    add_product(peepholes + n, c, output, n);
    activate(0, output, n);
  }
  functions[2](spare, n);
  for (int64_t i = 0; i < n; ++i) h[i] = output[i] * spare[i];
}

template <class T>
void Cell<T>::gru_gates(const T* fresh, T* gates, const T* h, T* reset) const {
  add(fresh, gates, 2 * hidden);
  activate(0, gates, 2 * hidden);
  for (int64_t i = 0; i < hidden; ++i) reset[i] = gates[hidden + i] * h[i];
}

template <class T>
void Cell<T>::gru_state(const T* fresh, T* gates, T* h) const {
  const T* update = gates;
  const T* reset = gates + hidden;
  T* candidate = gates + 2 * hidden;
  if (resets_after_product)
    for (int64_t i = 0; i < hidden; ++i) candidate[i] *= reset[i];
  add(fresh + 2 * hidden, candidate, hidden);
  activate(1, candidate, hidden);
  for (int64_t i = 0; i < hidden; ++i) h[i] = candidate[i] + update[i] * (h[i] - candidate[i]);
}

template struct Cell<float>;
template struct Cell<double>;

}  // namespace sdx::ops
