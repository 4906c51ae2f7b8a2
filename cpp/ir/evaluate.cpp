#include "ir/evaluate.h"

namespace sdx {
namespace {

Type type_of(const Datum& datum) {
  if (datum.is_tensor())
    return Type::tensor(datum.tensor().dtype(), to_dims(datum.tensor().shape()));
  if (datum.is_sequence()) {
    const Sequence& sequence = datum.sequence();
    if (sequence.items.empty() || sequence.items[0].is_tensor()) {
      const DType dtype =
          sequence.items.empty() ? sequence.dtype : sequence.items[0].tensor().dtype();
      return Type::sequence(Type::tensor(dtype));
    }
    return Type::sequence(type_of(sequence.items[0]));
  }
  if (datum.is_map())
    return Type::map(datum.map().keys.dtype(), Type::tensor(datum.map().values.dtype(), Dims{}));
  if (datum.is_sparse()) {
    Type type = Type::tensor(datum.sparse().values.dtype(), to_dims(datum.sparse().shape));
    type.kind = Type::Kind::sparse_tensor;
    return type;
  }
  return {};
}

}  // namespace

std::vector<Datum> evaluate(const Node& node, std::span<const Datum> inputs, const RunState& state,
                            double most_flops) {
  const std::size_t input_count = inputs.size(), output_count = node.outputs().size();
  std::vector<Facts> facts(input_count);
  std::vector<const Facts*> fact_pointers(input_count);
  for (std::size_t i = 0; i < input_count; ++i) {
    if (!node.input(i)) continue;
    if (inputs[i].is_tensor())
      facts[i] = inputs[i].tensor().raw() || inputs[i].tensor().count() == 0
                     ? Facts::of(inputs[i].tensor())
                     : Facts::of(type_of(inputs[i]));  // elements that packing released
    else
      facts[i].type = inputs[i].empty() ? node.input(i)->type() : type_of(inputs[i]);
    fact_pointers[i] = &facts[i];
  }
  std::vector<Facts> output_facts(output_count);
  InferContext infer(node, fact_pointers, output_facts, /*at_load=*/false);
  node.op().infer(infer);

  // Values are numbered inputs first, then outputs.
  std::vector<Layout> layouts(input_count + output_count);
  std::vector<Datum> datums(input_count + output_count);
  std::vector<void*> data(input_count + output_count, nullptr);
  std::vector<uint32_t> input_ids(input_count, Frame::kNoValue);
  std::vector<uint32_t> output_ids(output_count, Frame::kNoValue);
  std::vector<const Layout*> layout_pointers(input_count + output_count, nullptr);
  std::vector<const Tensor*> constants(input_count, nullptr);
  for (std::size_t i = 0; i < input_count; ++i) {
    if (!node.input(i)) continue;
    input_ids[i] = static_cast<uint32_t>(i);
    layout_pointers[i] = &layouts[i];
    datums[i] = inputs[i];
    if (!inputs[i].is_tensor()) continue;
    const Tensor& tensor = inputs[i].tensor();
    layouts[i] = {tensor.dtype(), tensor.shape(), true};
    data[i] = const_cast<void*>(tensor.raw());
    constants[i] = facts[i].constant.get();
  }
  for (std::size_t i = 0; i < output_count; ++i) {
    if (!node.output(i)) continue;
    const std::size_t id = input_count + i;
    output_ids[i] = static_cast<uint32_t>(id);
    layout_pointers[id] = &layouts[id];
    const Type& type = output_facts[i].type;
    if (type.kind != Type::Kind::tensor) continue;
    layouts[id].dtype = type.dtype;
    if (const auto shape = type.known_shape()) {
      layouts[id].shape = *shape;
      layouts[id].known = true;
    }
  }

  PrepareContext prepare(node, {layout_pointers.data(), input_count}, constants,
                         {layout_pointers.data() + input_count, output_count});
  const Step step = node.op().prepare(prepare);
  const double flops = node.op().flops(prepare) + prepare.counted_flops();
  if (flops > most_flops) fail(ErrorKind::unsupported, "the node takes ", flops, " operations");
  for (std::size_t i = 0; i < output_count; ++i) {
    const std::size_t id = input_count + i;
    if (!layouts[id].known) continue;
    Tensor tensor = Tensor::allocate(layouts[id].dtype, layouts[id].shape);
    data[id] = tensor.raw();
    datums[id] = std::move(tensor);
  }
  std::shared_ptr<void> scratch;
  if (prepare.scratch() > 0) scratch = allocate_bytes(static_cast<std::size_t>(prepare.scratch()));
  Frame frame(data.data(), datums.data(), layouts.data(), input_ids, output_ids, scratch.get(),
              state);
  step(frame);

  std::vector<Datum> results(output_count);
  for (std::size_t i = 0; i < output_count; ++i) results[i] = datums[input_count + i].owned();
  return results;
}

}  // namespace sdx
