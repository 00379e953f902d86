// The shard tree over flat buffers, and the check for non-finite values. Units: blocks of 4,096
// elements.
#ifndef LOCKSTEP_COMMON_KERNELS_TREE_SUM_H_
#define LOCKSTEP_COMMON_KERNELS_TREE_SUM_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

// out[e] = the tree over partials, each covering `leaves[k]` shards (a power of two, aligned),
// together a power of two. out may equal partials[0]. At most 64 partials at a time are live; count
// <= 4,096.
struct TreeSumArgs {
  int64_t count;
  const float* const* partials;
  const int32_t* leaves;
  int32_t partial_count;
  float* out;
};
void TreeSum(const TreeSumArgs& args, UnitRange units);

// Whether every value of x[0, count) is finite.
bool AllFinite(const float* x, int64_t count);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_TREE_SUM_H_
