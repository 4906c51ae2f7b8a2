// A symbolic dimension is a polynomial: a sum of integer multiples of products of atoms. An atom is a
// symbol, or the text of an operation that is no polynomial, such as "floor(seq + 1, 2)".
#include "base/dim.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <ostream>

#include "base/checked.h"

namespace sdx {
namespace {

using Product = std::vector<std::string>;  // sorted; empty for the constant term

// Degree first, so that a constant prints last.
struct ByDegree {
  bool operator()(const Product& a, const Product& b) const {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  }
};
using Polynomial = std::map<Product, int64_t, ByDegree>;

// Larger expressions become unknowns: nobody reads them and hostile models could grow them.
constexpr std::size_t kMaxTerms = 16;
constexpr std::size_t kMaxAtomLength = 200;
constexpr std::size_t kMaxDegree = 8;

}  // namespace

class DimExpr {
 public:
  explicit DimExpr(Polynomial terms) : terms(std::move(terms)) {}
  Polynomial terms;
  bool unknown = false;

  static Polynomial terms_of(const Dim& dim) {
    if (dim.expr_) return dim.expr_->terms;
    return dim.value_ == 0 ? Polynomial{} : Polynomial{{{}, dim.value_}};
  }
  static Dim make(Polynomial terms) {
    std::erase_if(terms, [](const auto& term) { return term.second == 0; });
    if (terms.empty()) return Dim(0);
    if (terms.size() == 1 && terms.begin()->first.empty()) return Dim(terms.begin()->second);
    if (terms.size() > kMaxTerms) return Dim::unknown();
    for (const auto& [product, factor] : terms)
      if (product.size() > kMaxDegree) return Dim::unknown();
    return Dim(std::make_shared<const DimExpr>(std::move(terms)));
  }
  static Dim atom(std::string text) {
    if (text.size() > kMaxAtomLength) return Dim::unknown();
    return Dim(std::make_shared<const DimExpr>(Polynomial{{{std::move(text)}, 1}}));
  }
};

Dim Dim::symbol(std::string_view name) { return DimExpr::atom(std::string(name)); }

Dim Dim::unknown() {
  auto expr = std::make_shared<DimExpr>(Polynomial{});
  expr->unknown = true;
  return Dim(std::shared_ptr<const DimExpr>(std::move(expr)));
}

bool Dim::is_unknown() const { return expr_ && expr_->unknown; }

int64_t Dim::value() const {
  if (expr_) fail(ErrorKind::invalid_model, "dimension ", to_string(), " is not known");
  return value_;
}

std::string Dim::to_string() const {
  if (!expr_) return std::to_string(value_);
  if (expr_->unknown) return "?";
  std::string text;
  for (const auto& [product, factor] : expr_->terms) {
    const bool minus = factor < 0;
    text += text.empty() ? (minus ? "-" : "") : (minus ? " - " : " + ");
    const uint64_t size = minus ? 0 - static_cast<uint64_t>(factor) : static_cast<uint64_t>(factor);
    if (size != 1 || product.empty()) text += std::to_string(size) + (product.empty() ? "" : "*");
    for (std::size_t i = 0; i < product.size(); ++i) text += (i ? "*" : "") + product[i];
  }
  return text;
}

Dim operator+(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known()) return checked_add(a.value_, b.value_);
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  Polynomial sum = DimExpr::terms_of(a);
  for (const auto& [product, factor] : DimExpr::terms_of(b))
    sum[product] = checked_add(sum[product], factor);
  return DimExpr::make(std::move(sum));
}

Dim operator-(const Dim& a, const Dim& b) { return a + b * Dim(-1); }

Dim operator*(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known()) return checked_mul(a.value_, b.value_);
  if ((a.is_known() && a.value_ == 0) || (b.is_known() && b.value_ == 0)) return 0;
  if (a.is_known() && a.value_ == 1) return b;
  if (b.is_known() && b.value_ == 1) return a;
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  Polynomial result;
  for (const auto& [p, x] : DimExpr::terms_of(a))
    for (const auto& [q, y] : DimExpr::terms_of(b)) {
      Product product = p;
      product.insert(product.end(), q.begin(), q.end());
      std::sort(product.begin(), product.end());
      int64_t& factor = result[product];
      factor = checked_add(factor, checked_mul(x, y));
    }
  return DimExpr::make(std::move(result));
}

namespace {

// a / b where every term of a is a multiple of the single term b.
std::optional<Polynomial> divide_exactly(const Polynomial& a, const Polynomial& b) {
  if (b.size() != 1) return std::nullopt;
  const auto& [divisor, factor] = *b.begin();
  Polynomial result;
  for (const auto& [product, x] : a) {
    if (x % factor != 0) return std::nullopt;
    Product rest;
    std::set_difference(product.begin(), product.end(), divisor.begin(), divisor.end(),
                        std::back_inserter(rest));
    if (rest.size() + divisor.size() != product.size()) return std::nullopt;
    result[rest] = x / factor;
  }
  return result;
}

std::string call(const char* name, const Dim& a, const Dim& b) {
  return std::string(name) + "(" + a.to_string() + ", " + b.to_string() + ")";
}

}  // namespace

Dim floor_div(const Dim& a, const Dim& b) {
  check(!b.is_known() || b.value_ != 0, "division of dimension ", a, " by zero");
  if (a.is_known() && b.is_known()) {
    if (b.value_ == -1) return Dim(0) - a;
    const int64_t q = a.value_ / b.value_;
    return q - ((a.value_ % b.value_ != 0) && ((a.value_ < 0) != (b.value_ < 0)));
  }
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  if (auto exact = divide_exactly(DimExpr::terms_of(a), DimExpr::terms_of(b)))
    return DimExpr::make(std::move(*exact));
  return DimExpr::atom(call("floor", a, b));
}

Dim ceil_div(const Dim& a, const Dim& b) {
  if ((a.is_known() && b.is_known()) || a.is_unknown() || b.is_unknown())
    return Dim(0) - floor_div(Dim(0) - a, b);
  if (auto exact = divide_exactly(DimExpr::terms_of(a), DimExpr::terms_of(b)))
    return DimExpr::make(std::move(*exact));
  return DimExpr::atom(call("ceil", a, b));
}

bool never_negative(const Dim& dim) {
  if (dim.is_known()) return dim.value_ >= 0;
  if (dim.is_unknown()) return false;
  for (const auto& [product, factor] : dim.expr_->terms) {
    if (factor < 0) return false;
    for (const std::string& atom : product)
      // An operation on sums without a minus is none either.
      if (atom.find('(') != std::string::npos && atom.find('-') != std::string::npos) return false;
  }
  return true;
}

Dim min(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known()) return std::min(a.value_, b.value_);
  if (a == b) return a;
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  if (never_negative(a - b)) return b;
  if (never_negative(b - a)) return a;
  return DimExpr::atom(call("min", a, b));
}

Dim max(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known()) return std::max(a.value_, b.value_);
  if (a == b) return a;
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  if (never_negative(a - b)) return a;
  if (never_negative(b - a)) return b;
  return DimExpr::atom(call("max", a, b));
}

bool is_capped(const Dim& dim, const Dim& whole) {
  if (dim.is_known() || dim.is_unknown() || whole.is_known() || whole.is_unknown()) return false;
  // An operation is an atom whose text says what it is.
  std::string text = dim.to_string();
  const std::string name = whole.to_string();
  if (!text.starts_with("min(") || !text.ends_with(")")) return false;
  text = text.substr(4, text.size() - 5);
  std::string cap;
  if (text.starts_with(name + ", "))
    cap = text.substr(name.size() + 2);
  else if (text.ends_with(", " + name))
    cap = text.substr(0, text.size() - name.size() - 2);
  return !cap.empty() && cap[0] != '0' &&
         std::all_of(cap.begin(), cap.end(), [](unsigned char c) { return std::isdigit(c); });
}

bool operator==(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known()) return a.value_ == b.value_;
  if (a.is_known() != b.is_known() || a.is_unknown() || b.is_unknown()) return false;
  return a.expr_ == b.expr_ || a.expr_->terms == b.expr_->terms;
}

namespace {

// expression := term (('+' | '-') term)*; term := factor ('*' factor)*;
// factor := number | name | name '(' expression ',' expression ')' | '(' expression ')' | '-' factor
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Dim> parse() {
    Dim result = expression();
    skip();
    if (failed_ || at_ != text_.size()) return std::nullopt;
    return result;
  }

 private:
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  Dim fail_here() {
    failed_ = true;
    return 0;
  }

  Dim expression() {
    Dim sum = term();
    while (!failed_) {
      if (take('+'))
        sum = sum + term();
      else if (take('-'))
        sum = sum - term();
      else
        break;
    }
    return sum;
  }
  Dim term() {
    Dim product = factor();
    while (!failed_) {
      if (take('*')) {
        product = product * factor();
      } else if (take('/')) {
        take('/');
        const Dim divisor = factor();
        if (failed_ || (divisor.is_known() && divisor.value() == 0)) return fail_here();
        product = floor_div(product, divisor);
      } else {
        break;
      }
    }
    return product;
  }
  Dim factor() {
    if (++depth_ > 32) return fail_here();
    skip();
    Dim result = 0;
    if (take('-')) {
      result = Dim(0) - factor();
    } else if (take('(')) {
      result = expression();
      if (!take(')')) return fail_here();
    } else if (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) {
      int64_t value = 0;
      while (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) {
        if (value > (INT64_MAX - 9) / 10) return fail_here();
        value = value * 10 + (text_[at_++] - '0');
      }
      result = value;
    } else {
      const std::size_t start = at_;
      while (at_ < text_.size() && is_name(text_[at_])) ++at_;
      if (at_ == start) return fail_here();
      const std::string_view name = text_.substr(start, at_ - start);
      result = take('(') ? operation(name) : Dim::symbol(name);
    }
    --depth_;
    return result;
  }
  Dim operation(std::string_view name) {
    const Dim a = expression();
    if (!take(',')) return fail_here();
    const Dim b = expression();
    if (!take(')') || failed_) return fail_here();
    if (name == "min" || name == "Min") return min(a, b);
    if (name == "max" || name == "Max") return max(a, b);
    if (b.is_known() && b.value() == 0) return fail_here();
    if (name == "floor") return floor_div(a, b);
    if (name == "ceil") return ceil_div(a, b);
    return fail_here();
  }
  static bool is_name(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == ':' ||
           c == '@' || c == '$' || c == '#' || (c & 0x80);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool failed_ = false;
};

}  // namespace

Dim Dim::parse(std::string_view text) {
  if (text == "?" || text.empty()) return unknown();
  try {
    if (auto dim = Parser(text).parse()) return *dim;
  } catch (const Error&) {  // numbers too large for arithmetic: an opaque name
  }
  return symbol(text);
}

std::optional<Shape> to_shape(const Dims& dims) {
  Shape shape;
  shape.reserve(dims.size());
  for (const Dim& dim : dims) {
    if (!dim.is_known()) return std::nullopt;
    shape.push_back(dim.value());
  }
  return shape;
}

Dims to_dims(std::span<const int64_t> shape) { return Dims(shape.begin(), shape.end()); }

std::ostream& operator<<(std::ostream& out, const Dim& dim) { return out << dim.to_string(); }

std::ostream& operator<<(std::ostream& out, const Dims& dims) {
  out << '[';
  for (std::size_t i = 0; i < dims.size(); ++i) out << (i ? ", " : "") << dims[i];
  return out << ']';
}

}  // namespace sdx
