#include "ir/lineage.h"

namespace sdx {

uint32_t Lineage::add_original(std::string name) {
  entries_.push_back({.name = std::move(name), .original = true});
  return static_cast<uint32_t>(entries_.size() - 1);
}

uint32_t Lineage::add_made(uint32_t reason) {
  entries_.push_back({.name = {}, .reason = reason});
  return static_cast<uint32_t>(entries_.size() - 1);
}

void Lineage::succeed(uint32_t node, uint32_t heir) {
  if (entries_[node].heir == kNone && node != heir) entries_[node].heir = heir;
}

std::vector<std::vector<std::string>> Lineage::names(const std::vector<uint32_t>& alive) const {
  std::vector<bool> lives(entries_.size());
  for (const uint32_t node : alive) lives[node] = true;
  std::vector<std::vector<std::string>> found(entries_.size());
  for (const Entry& entry : entries_) {
    if (!entry.original) continue;
    auto node = static_cast<uint32_t>(&entry - entries_.data());
    // No chain is longer than all nodes; one that is runs in a circle of nodes that are gone.
    for (std::size_t hops = 0; node != kNone && !lives[node] && hops < entries_.size(); ++hops)
      node = entries_[node].heir;
    if (node != kNone && lives[node]) found[node].push_back(entry.name);
  }
  for (const uint32_t node : alive) {
    if (!found[node].empty()) continue;
    uint32_t reason = node;  // made after its reason, so the numbers fall
    while (reason != kNone && !entries_[reason].original) reason = entries_[reason].reason;
    if (reason != kNone) found[node].push_back(entries_[reason].name);
  }
  return found;
}

}  // namespace sdx
