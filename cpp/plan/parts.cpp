#include "plan/parts.h"

#include <algorithm>
#include <optional>

namespace sdx::plan {
namespace {

constexpr uint32_t kNone = Frame::kNoValue;

class Parts {
 public:
  Parts(Plan& plan, std::vector<const OutlinedNode*>& nodes, ContextOf context_of)
      : plan_(plan),
        nodes_(nodes),
        context_of_(context_of),
        aliases_(plan.values.size()),
        producer_(plan.values.size(), kNone),
        copied_(plan.values.size(), false),
        dropped_(plan.steps.size(), false) {
    for (uint32_t id = 0; id < plan.values.size(); ++id)
      if (plan.values[id].place == Place::alias) aliases_[root_of(id)].push_back(id);
    for (const OutputCopy& copy : plan.copies) copied_[copy.value] = true;
    for (uint32_t s = 0; s < plan.steps.size(); ++s)
      for (const uint32_t id : plan.steps[s].outputs)
        if (id != kNone) producer_[id] = s;
    index_readers();
  }

  void run(std::span<const uint32_t> cuts) {
    for (const uint32_t s : cuts) take_apart(s);
    // Last ones first: what lies in a join that lies in another one follows it there.
    for (auto s = static_cast<uint32_t>(plan_.steps.size()); s-- > 0;)
      if (nodes_[s] && nodes_[s]->traits->joins) join(s);
    uint32_t kept = 0;
    for (uint32_t s = 0; s < plan_.steps.size(); ++s) {
      if (dropped_[s]) continue;
      if (kept != s) {
        plan_.steps[kept] = std::move(plan_.steps[s]);
        nodes_[kept] = nodes_[s];
      }
      ++kept;
    }
    plan_.steps.resize(kept);
    nodes_.resize(kept);
  }

 private:
  struct Reader {
    uint32_t step;
    int input;
  };

  void index_readers() {
    first_reader_.assign(plan_.values.size() + 1, 0);
    for (const PlannedStep& step : plan_.steps)
      for (const uint32_t id : step.inputs)
        if (id != kNone) ++first_reader_[id + 1];
    for (std::size_t id = 1; id < first_reader_.size(); ++id)
      first_reader_[id] += first_reader_[id - 1];
    readers_.resize(first_reader_.back());
    std::vector<uint32_t> next(first_reader_.begin(), first_reader_.end() - 1);
    for (uint32_t s = 0; s < plan_.steps.size(); ++s)
      for (std::size_t i = 0; i < plan_.steps[s].inputs.size(); ++i)
        if (const uint32_t id = plan_.steps[s].inputs[i]; id != kNone)
          readers_[next[id]++] = {s, static_cast<int>(i)};
  }

  const PlannedValue& value(uint32_t id) const { return plan_.values[id]; }
  const Rows& rows(uint32_t id) const { return plan_.layouts[id].rows; }
  int64_t count(uint32_t id) const { return element_count(plan_.layouts[id].shape); }
  uint32_t root_of(uint32_t id) const {
    return value(id).place == Place::alias ? value(id).alias_of : id;
  }
  int64_t offset_of(uint32_t id) const {
    return value(id).place == Place::alias ? value(id).offset : 0;
  }
  // Whether the value is all of its root, perhaps under another shape.
  bool is_whole(uint32_t id) const {
    const uint32_t root = root_of(id);
    return id == root || (offset_of(id) == 0 && value(id).bytes == value(root).bytes &&
                          plan_.layouts[id].dtype == plan_.layouts[root].dtype);
  }

  bool all_read_rows(uint32_t id, int64_t length) {
    if (copied_[id]) return false;
    for (uint32_t r = first_reader_[id]; r < first_reader_[id + 1]; ++r) {
      const auto [s, input] = readers_[r];
      if (dropped_[s]) continue;
      if (!nodes_[s] || !nodes_[s]->op->reads_rows(context_of_(s), input, length)) return false;
    }
    return true;
  }

  // Whether rows of a root may be moved apart as far as all who read it are concerned.
  bool may_lie_apart(uint32_t root, int64_t length) {
    if (!all_read_rows(root, length)) return false;
    for (const uint32_t id : aliases_[root]) {
      if (rows(id).apart() ? rows(id).step != length : !is_whole(id) || !all_read_rows(id, length))
        return false;
    }
    return true;
  }

  // Puts a root with all its aliases into another one.
  void settle(uint32_t id, uint32_t root, int64_t offset, const Rows& to) {
    std::vector<uint32_t> moved = std::move(aliases_[id]);
    moved.push_back(id);
    for (const uint32_t part : moved) {
      PlannedValue& planned = plan_.values[part];
      planned.offset = offset_of(part) + offset;
      planned.place = Place::alias;
      planned.alias_of = root;
      Rows& own = plan_.layouts[part].rows;
      if (to.apart()) own = {own.apart() ? own.length : to.length, to.step};
    }
    aliases_[root].insert(aliases_[root].end(), moved.begin(), moved.end());
  }

  // Outputs that are rows of an input.
  void take_apart(uint32_t s) {
    PlannedStep& step = plan_.steps[s];
    bool all = true;
    for (std::size_t i = 0; i < step.outputs.size(); ++i) {
      if (step.outputs[i] == kNone) continue;
      if (take_out(s, step, i))
        step.outputs[i] = kNone;
      else
        all = false;
    }
    dropped_[s] = all;
  }

  bool take_out(uint32_t s, const PlannedStep& step, std::size_t output) {
    const uint32_t id = step.outputs[output];
    if (value(id).place != Place::arena) return false;
    auto view = nodes_[s]->op->view(context_of_(s), static_cast<int>(output));
    if (!view || !view->rows.apart()) return false;
    const uint32_t from = step.inputs[static_cast<std::size_t>(view->input)], root = root_of(from);
    const Place place = value(root).place;
    if (place != Place::arena && place != Place::input && place != Place::output) return false;
    if (rows(from).apart()) {
      if (rows(from).length != view->rows.step) return false;
      view->rows.step = rows(from).step;
    }
    if (!may_lie_apart(id, view->rows.length)) return false;
    settle(id, root, offset_of(from) + view->offset, view->rows);
    return true;
  }

  void join(uint32_t s) {
    const uint32_t whole = plan_.steps[s].outputs[0];
    if (whole == kNone || count(whole) == 0) return;
    const Place place = value(whole).place;
    if (place != Place::arena && place != Place::output && place != Place::alias) return;
    ids_.clear();
    parts_.clear();
    {
      const PrepareContext ctx = context_of_(s);
      for (std::size_t i = 0; i < plan_.steps[s].inputs.size(); ++i) {
        const auto part = nodes_[s]->op->part(ctx, static_cast<int>(i));
        if (!part) return;
        const uint32_t id = plan_.steps[s].inputs[i];
        if (count(id) == 0) continue;
        ids_.push_back(id);
        parts_.push_back(*part);
      }
    }
    if (!follow(whole))
      for (std::size_t i = 0; i < ids_.size();) i = place_from(i, whole, s);
    bool all = true;
    for (std::size_t i = 0; i < ids_.size(); ++i) all &= lies_in(i, whole);
    dropped_[s] = all;
  }

  // Elements from one row of parts of `whole` to the next, where it lies.
  int64_t row_step(uint32_t whole) const {
    return rows(whole).apart() ? rows(whole).step : parts_[0].rows.step;
  }

  bool lies_in(std::size_t i, uint32_t whole) const {
    const uint32_t id = ids_[i];
    if (root_of(id) != root_of(whole) || offset_of(id) != offset_of(whole) + parts_[i].offset)
      return false;
    return !parts_[i].rows.apart() || rows(id) == Rows{parts_[i].rows.length, row_step(whole)};
  }

  // All inputs lie side by side in one value already: so does the output.
  bool follow(uint32_t whole) {
    const uint32_t root = root_of(ids_[0]);
    if (value(whole).place != Place::arena || root == whole) return false;
    const Place place = value(root).place;
    if (place != Place::arena && place != Place::input && place != Place::output) return false;
    const Rows first = rows(ids_[0]);
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (root_of(ids_[i]) != root || offset_of(ids_[i]) - offset_of(ids_[0]) != parts_[i].offset)
        return false;
      const Rows& own = rows(ids_[i]);
      if (parts_[i].rows.apart() ? own.length != parts_[i].rows.length || own.step != first.step
                                 : own.apart())
        return false;
    }
    Rows joined;
    if (first.apart() && parts_[0].rows.step != first.step)
      joined = {parts_[0].rows.step, first.step};
    if (joined.apart() && !may_lie_apart(whole, joined.length)) return false;
    settle(whole, root, offset_of(ids_[0]), joined);
    return true;
  }

  // Places the root of input i, if this and perhaps the next inputs are all of it. The next input.
  std::size_t place_from(std::size_t i, uint32_t whole, uint32_t s) {
    const uint32_t root = root_of(ids_[i]), target = root_of(whole);
    if (value(root).place != Place::arena || root == target) return i + 1;
    const bool apart = parts_[i].rows.apart();
    int64_t length = apart ? parts_[i].rows.length : count(ids_[i]);
    std::size_t end = i + 1;
    if (!is_whole(ids_[i]) || rows(ids_[i]).apart()) {
      if (apart && !rows(ids_[i]).apart()) return i + 1;  // a piece of a row that has no others
      const int64_t extent = apart ? rows(ids_[i]).step : count(root);
      const auto item = static_cast<int64_t>(item_size(plan_.layouts[root].dtype));
      int64_t at = 0;
      for (end = i; at < extent && end < ids_.size(); ++end) {
        const uint32_t id = ids_[end];
        const int64_t own = apart ? parts_[end].rows.length : count(id);
        if (root_of(id) != root || offset_of(id) != at * item) return i + 1;
        if (apart ? rows(id) != Rows{own, extent} : rows(id).apart()) return i + 1;
        at += own;
      }
      if (at != extent) return i + 1;
      length = extent;
    }
    Rows to;
    if (apart) to = {length, row_step(whole)};
    if (rows(whole).apart() && (!apart || rows(whole).length != parts_[i].rows.step)) return i + 1;
    if (!may_produce(root, to) || (to.apart() && another_copies(root, s))) return i + 1;
    settle(root, target, offset_of(whole) + parts_[i].offset, to);
    return end;
  }

  bool may_produce(uint32_t root, const Rows& to) {
    const uint32_t s = producer_[root];
    if (s == kNone || !nodes_[s]) return false;
    if (!to.apart()) return true;
    const auto& outputs = plan_.steps[s].outputs;
    const auto output =
        static_cast<int>(std::find(outputs.begin(), outputs.end(), root) - outputs.begin());
    return nodes_[s]->op->writes_rows(context_of_(s), output, to.length) &&
           may_lie_apart(root, to.length);
  }

  // Whether a join other than step s reads the value, and its output could not follow the value: to
  // copy out of narrow rows costs more than the copy that step s would save.
  bool another_copies(uint32_t root, uint32_t s) {
    const auto copies = [&](uint32_t id) {
      for (uint32_t r = first_reader_[id]; r < first_reader_[id + 1]; ++r) {
        const auto [t, input] = readers_[r];
        if (t == s || dropped_[t] || !nodes_[t] || !nodes_[t]->traits->joins) continue;
        const uint32_t joined = plan_.steps[t].outputs[0];
        const auto& inputs = plan_.steps[t].inputs;
        if (std::search(ids_.begin(), ids_.end(), inputs.begin(), inputs.end()) == ids_.end())
          return true;
        const auto part = nodes_[t]->op->part(context_of_(t), input);
        if (!part || value(joined).place != Place::arena || !may_lie_apart(joined, part->rows.step))
          return true;
      }
      return false;
    };
    return copies(root) || std::any_of(aliases_[root].begin(), aliases_[root].end(), copies);
  }

  Plan& plan_;
  std::vector<const OutlinedNode*>& nodes_;
  ContextOf context_of_;
  std::vector<std::vector<uint32_t>> aliases_;  // by root
  std::vector<uint32_t> producer_;              // by value: a step
  std::vector<bool> copied_;                    // by value: at the end of a run, as it lies
  std::vector<bool> dropped_;                   // by step
  std::vector<uint32_t> first_reader_;          // by value: in readers_
  std::vector<Reader> readers_;
  // Of the join at hand: its inputs that have elements, and where they belong in the output.
  std::vector<uint32_t> ids_;
  std::vector<View> parts_;
};

}  // namespace

void place_parts(Plan& plan, std::vector<const OutlinedNode*>& nodes,
                 std::span<const uint32_t> cuts, ContextOf context_of) {
  Parts(plan, nodes, context_of).run(cuts);
}

}  // namespace sdx::plan
