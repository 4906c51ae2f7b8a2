// Every pass, each in the file of its name.
#pragma once

#include <memory>

#include "ir/graph.h"

namespace sdx {
class MemoryBudget;
}

namespace sdx::passes {

// What folding may cost a whole load. A small file must not become a large model, nor take long.
struct FoldingBudget {
  explicit FoldingBudget(const Graph& graph);
  std::shared_ptr<MemoryBudget> memory;  // of the results that live
  double work;                           // left: bytes of results, and floating-point operations
};

bool expand_ops(Graph& graph);         // compositions become the operators they are made of
bool push_constants(Graph& graph);     // captured constants become constants of the subgraph
bool unroll_control(Graph& graph);     // branches and loops that are known become their nodes
bool make_constants(Graph& graph);     // nodes without inputs become constants
bool fold_constants(Graph& graph);     // nodes whose inputs never change become constants
bool make_constants(Graph& graph, FoldingBudget& budget);
bool fold_constants(Graph& graph, FoldingBudget& budget);
bool bypass_identities(Graph& graph);  // nodes that only rename their input go
bool erase_dead(Graph& graph);         // nodes and values that nothing uses go
bool merge_duplicates(Graph& graph);   // nodes that compute the same thing become one
bool forbid_winograd(Graph& graph);    // convolutions keep to sums of products
bool sum_carefully(Graph& graph);      // those with many convolutions behind them
bool fold_batch_norm(Graph& graph);    // into the weights of the convolution before
bool expand_batch_norm(Graph& graph);  // elsewhere: a product and a sum
bool fuse_gelu(Graph& graph);          // its spellings with Erf and Tanh
bool fuse_silu(Graph& graph);          // x * Sigmoid(x), x * Tanh(Softplus(x))
bool fuse_hard_swish(Graph& graph);    // x * Clip(x + 3, 0, 6) / 6
bool fuse_group_norm(Graph& graph);    // its spelling with InstanceNormalization
bool expand_group_norm(Graph& graph);  // factors, then a product and a sum
bool fold_scale(Graph& graph);         // constants behind products into their weights
bool fuse_layer_norm(Graph& graph);    // its spellings with ReduceMean
bool fuse_attention(Graph& graph);     // products around a softmax
bool join_past(Graph& graph);          // attention puts keys and values behind a past itself
bool flatten_heads(Graph& graph);      // attention without transposes around it
bool unflatten_products(Graph& graph); // Gemm between reshapes becomes a product of many ranks
bool fuse_bias(Graph& graph);          // into products
bool fuse_residual(Graph& graph);      // into convolutions and products
bool fuse_activation(Graph& graph);    // into convolutions and products
bool fuse_distance(Graph& graph);      // a loop over rows of squared differences
bool cut_before_joining(Graph& graph); // what was joined at the cuts
bool fuse_quantized(Graph& graph);     // float operators between (de)quantisation work on bytes
bool channels_last(Graph& graph);      // NHWC inside regions of convolutions
bool fuse_expand_depthwise(Graph& graph);  // a pointwise convolution and the depthwise one behind
bool fuse_transpose(Graph& graph);     // products read what was transposed as it lies
bool fuse_elementwise(Graph& graph);   // neighbours in one pass over memory
bool merge_transposes(Graph& graph);   // one after another becomes one

}  // namespace sdx::passes
