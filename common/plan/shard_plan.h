// ShardPlan: which samples a step has and which batch positions each shard of a worker holds; a
// pure function of (sample count, batch size, S, seed, shuffle), and of W only in who holds a
// shard. docs/NUMERICS.md#3-shards. Thread: pure. Errors: none; the spec's bounds are proven
// before.
#ifndef LOCKSTEP_COMMON_PLAN_SHARD_PLAN_H_
#define LOCKSTEP_COMMON_PLAN_SHARD_PLAN_H_

#include <cstdint>
#include <vector>

#include "common/base/range.h"
#include "common/base/shard_tree.h"
#include "common/nn/step_builder.h"

namespace lockstep {

// How one rank lays its shards into blocks of 16 slots. `shards`: S; `workers` <= S.
BatchGeometry GeometryOf(int64_t batch_size, int32_t shards, int32_t workers, int32_t rank);

// One batch: consecutive positions of an epoch's order.
struct BatchSpan {
  int64_t epoch = 0;  // from 0
  int64_t first = 0;  // position in the epoch's order
  int64_t count = 0;  // n; less than the batch size only at an epoch's end
};

class ShardPlan {
 public:
  // `samples`: indices of the data set that take part, at least one.
  ShardPlan(Range samples, int64_t batch_size, bool shuffle, uint64_t seed);

  int64_t samples() const { return samples_.size(); }
  int64_t steps_per_epoch() const { return (samples() + batch_size_ - 1) / batch_size_; }
  // `step`: optimizer updates done before this batch, from 0.
  BatchSpan Batch(int64_t step) const;
  // The data set's index of position `first` + `position` of a batch.
  int64_t SampleAt(const BatchSpan& batch, int64_t position) const;

 private:
  Range samples_;
  int64_t batch_size_;
  bool shuffle_;
  uint64_t seed_;
};

// Samples in shard `shard` (of the job) of a batch of `count` samples; `positions`: c = ceil(B /
// S).
inline int32_t ShardCount(int64_t count, int64_t positions, int64_t shard) {
  const int64_t left = count - shard * positions;
  return static_cast<int32_t>(left < 0 ? 0 : left < positions ? left : positions);
}

// Of `blocks` ownership blocks those of a rank, in order of ranks, as even as can be.
inline Range OwnedBlocks(int64_t blocks, int32_t workers, int32_t rank) {
  return {blocks * rank / workers, blocks * (rank + 1) / workers};
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_PLAN_SHARD_PLAN_H_
