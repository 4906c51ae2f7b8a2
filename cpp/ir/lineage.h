// Which nodes of the file a node of the rewritten graph stands for.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace sdx {

// Nodes are numbered as they are made. The editing verbs of Graph say who takes over from whom;
// nothing is looked up until somebody asks.
class Lineage {
 public:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  // A node of the file.
  uint32_t add_original(std::string name);
  // A node that a rewrite made in front of node `reason`, or at the end (kNone).
  uint32_t add_made(uint32_t reason);
  // `heir` computes what `node` did, should that go. The first heir counts.
  void succeed(uint32_t node, uint32_t heir);
  // The names of nodes of the file by number of the nodes in `alive`, in the file's order. A node
  // that took over from none lists the one it was made for.
  std::vector<std::vector<std::string>> names(const std::vector<uint32_t>& alive) const;

 private:
  struct Entry {
    std::string name;  // of the node of the file; empty where a rewrite made it
    uint32_t heir = kNone;
    uint32_t reason = kNone;
    bool original = false;
  };
  std::vector<Entry> entries_;
};

}  // namespace sdx
