#include "ir/op.h"

#include "base/large_memory.h"
#include "base/memory_budget.h"
#include "ir/graph.h"
#include "ir/infer.h"

namespace sdx {

Facts Facts::of(Tensor constant) {
  Facts facts;
  facts.type = Type::tensor(constant.dtype(), to_dims(constant.shape()));
  if ((constant.dtype() == DType::int64 || constant.dtype() == DType::int32) &&
      constant.count() <= static_cast<int64_t>(kMaxContents)) {
    facts.contents.emplace();
    for (const int64_t item : constant.to_int64s()) facts.contents->push_back(item);
  }
  facts.constant = std::make_shared<const Tensor>(std::move(constant));
  return facts;
}

bool Facts::contents_are_numbers() const {
  if (!contents || type.kind != Type::Kind::tensor) return false;
  const bool stored =
      type.dtype == DType::int64 || type.dtype == DType::int32 || type.dtype == DType::boolean;
  const auto shape = type.known_shape();
  if (!stored || !shape || element_count(*shape) != static_cast<int64_t>(contents->size()))
    return false;
  return std::all_of(contents->begin(), contents->end(),
                     [](const Dim& dim) { return dim.is_known(); });
}

Tensor Facts::contents_as_tensor() const {
  Tensor tensor = Tensor::allocate(type.dtype, *type.known_shape());
  for (std::size_t i = 0; i < contents->size(); ++i) {
    const int64_t item = (*contents)[i].value();
    if (type.dtype == DType::int64)
      tensor.data<int64_t>()[i] = item;
    else if (type.dtype == DType::int32)
      tensor.data<int32_t>()[i] = static_cast<int32_t>(item);
    else
      tensor.data<uint8_t>()[i] = item != 0;
  }
  return tensor;
}

bool InferContext::wants_output(int i) const {
  return i < output_count() && node_.output(static_cast<std::size_t>(i)) != nullptr;
}

const Facts& InferContext::facts(int i) const {
  check(has_input(i), "input ", i, " is missing");
  return *inputs_[i];
}

DType InferContext::dtype(int i) const {
  const Type& type = input(i);
  check(type.kind == Type::Kind::tensor, "input ", i, " is ", type, ", not a tensor");
  return type.dtype;
}

const Dims& InferContext::dims(int i) const {
  const Type& type = input(i);
  check(type.shape.has_value(), "input ", i, " has no known rank");
  return *type.shape;
}

const Tensor* InferContext::constant(int i) const {
  return has_input(i) ? inputs_[i]->constant.get() : nullptr;
}

std::optional<Dims> InferContext::contents(int i) const {
  if (!has_input(i)) return std::nullopt;
  const Facts& facts = *inputs_[i];
  if (facts.contents) return facts.contents;
  if (!facts.constant || !is_integer(facts.constant->dtype()) ||
      facts.constant->count() > static_cast<int64_t>(kMaxContents))
    return std::nullopt;
  Dims dims;
  for (const int64_t item : facts.constant->to_int64s()) dims.push_back(item);
  return dims;
}

std::optional<std::vector<int64_t>> InferContext::integers(int i) const {
  if (!has_input(i)) return std::nullopt;
  const Facts& facts = *inputs_[i];
  if (facts.constant && (is_integer(facts.constant->dtype()))) return facts.constant->to_int64s();
  if (!facts.contents) return std::nullopt;
  std::vector<int64_t> result;
  for (const Dim& dim : *facts.contents) {
    if (!dim.is_known()) return std::nullopt;
    result.push_back(dim.value());
  }
  return result;
}

void InferContext::set_output(int i, Type type) {
  if (i < output_count()) outputs_[i].type = std::move(type);
}

void InferContext::set_contents(int i, Dims contents) {
  if (i < output_count() && contents.size() <= kMaxContents)
    outputs_[i].contents = std::move(contents);
}

int InferContext::capture_count() const { return node_.capture_count(); }

std::vector<Type> InferContext::infer_subgraph(std::string_view attribute,
                                               std::span<const Facts> inputs) {
  Graph& graph = *node_.attrs().require<std::shared_ptr<Graph>>(attribute);
  check(inputs.size() == graph.inputs().size(), "subgraph '", attribute, "' takes ",
        graph.inputs().size(), " inputs, not ", inputs.size());
  if (at_load_) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Value* value = graph.inputs()[i];
      Facts facts = inputs[i];
      facts.constant = nullptr;
      facts.type = merge(facts.type, value->type());
      value->set_facts(std::move(facts));
    }
    infer_graph(graph);
  }
  std::vector<Type> types;
  for (const Value* output : graph.outputs()) types.push_back(output->type());
  return types;
}

namespace {

void forget_types(Graph& graph) {
  for (Value* input : graph.inputs()) input->set_facts({});
  for (const Node* node : graph.nodes()) {
    for (Value* output : node->outputs())
      if (output) output->set_facts({});
    for (const auto& [name, subgraph] : node->subgraphs()) forget_types(*subgraph);
  }
}

}  // namespace

void InferContext::forget_subgraph(std::string_view attribute) {
  if (at_load_) forget_types(*node_.attrs().require<std::shared_ptr<Graph>>(attribute));
}

void* PackContext::allocate(int slot, std::size_t bytes) {
  if (packed_.size() <= static_cast<std::size_t>(slot)) packed_.resize(slot + 1);
  if (const auto& budget = MemoryBudget::current(); budget && !budget->take(bytes))
    fail(ErrorKind::out_of_memory, "packed weights of ", budget->refusal(bytes));
  packed_[slot] = memory_.allocate(bytes);
  packed_size_ += static_cast<int64_t>(bytes);
  return packed_[slot].get();
}

Program& PrepareContext::program(std::string_view attribute) const {
  const auto found = node_.programs.find(attribute);
  if (found == node_.programs.end())
    fail(ErrorKind::internal, "subgraph '", attribute, "' was not made runnable");
  return *found->second;
}

void PrepareContext::left_out(const char* what, int i) {
  fail(ErrorKind::invalid_model, what, ' ', i, " is missing");
}

Traffic PrepareContext::all_bytes() const { return bytes_without(-1); }

Traffic PrepareContext::bytes_without(int left_out) const {
  const auto bytes = [](const Layout* layout) {
    return static_cast<double>(element_count(layout->shape)) *
           static_cast<double>(item_size(layout->dtype));
  };
  Traffic traffic{.constants = static_cast<double>(node_.packed_bytes)};
  const auto& released = node_.released_inputs;
  for (int i = 0; i < input_count(); ++i) {
    if (i == left_out || !has_input(i) ||
        std::find(released.begin(), released.end(), i) != released.end())
      continue;
    (constants_[i] ? traffic.constants : traffic.values) += bytes(inputs_[i]);
  }
  for (const Layout* output : outputs_)
    if (output) traffic.values += bytes(output);
  if (left_out >= 0 && wants_output(0)) traffic.values += bytes(outputs_[0]);
  return traffic;
}

int PrepareContext::capture_count() const { return node_.capture_count(); }

const void* PrepareContext::packed_bytes(int slot) const {
  return static_cast<std::size_t>(slot) < node_.packed.size() ? node_.packed[slot].get() : nullptr;
}

namespace {

std::string_view canonical(std::string_view domain) { return domain == "ai.onnx" ? "" : domain; }

// Levenshtein distance, ignoring case.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = std::tolower(static_cast<unsigned char>(a[i - 1])) ==
                        std::tolower(static_cast<unsigned char>(b[j - 1]));
      const std::size_t change = diagonal + !same;
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

}  // namespace

void OpRegistry::insert(OpEntry entry) {
  auto key = std::make_pair(entry.domain, entry.name);
  const bool fresh = entries_.emplace(key, std::move(entry)).second;
  if (!fresh)
    fail(ErrorKind::internal, "operator ", key.first, "::", key.second, " is registered twice");
}

const OpEntry* OpRegistry::find(std::string_view domain, std::string_view name) const {
  const auto found =
      entries_.find(std::make_pair(std::string(canonical(domain)), std::string(name)));
  return found == entries_.end() ? nullptr : &found->second;
}

std::string OpRegistry::nearest(std::string_view domain, std::string_view name) const {
  const OpEntry* best = nullptr;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto& [key, entry] : entries_) {
    if (entry.domain == "sardonyx" || name.size() > 100) continue;
    const std::size_t d = 2 * distance(name, entry.name) + (entry.domain != canonical(domain));
    if (d < 2 * best_distance) {
      best = &entry;
      best_distance = (d + 1) / 2;
    }
  }
  if (!best) return "";
  return best->domain.empty() ? best->name : best->domain + "::" + best->name;
}

std::vector<const OpEntry*> OpRegistry::all() const {
  std::vector<const OpEntry*> entries;
  for (const auto& [key, entry] : entries_) entries.push_back(&entry);
  return entries;
}

}  // namespace sdx
