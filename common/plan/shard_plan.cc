#include "common/plan/shard_plan.h"

#include <bit>

#include "common/base/permutation.h"

namespace lockstep {

BatchGeometry GeometryOf(int64_t batch_size, int32_t shards, int32_t workers, int32_t rank) {
  const ShardRange own = ShardsOfWorker(shards, workers, rank);
  const auto positions = static_cast<uint32_t>((batch_size + shards - 1) / shards);
  const uint32_t lanes = kernels::kBlockLanes;
  // Small shards share a block; none crosses one.
  const uint32_t slots =
      positions <= lanes ? std::bit_ceil(positions) : (positions + lanes - 1) / lanes * lanes;
  BatchGeometry geometry;
  geometry.first_shard = own.first;
  geometry.shards = own.count;
  geometry.shard_slots = static_cast<int32_t>(slots);
  geometry.shard_positions = static_cast<int32_t>(positions);
  geometry.blocks =
      static_cast<int32_t>((static_cast<int64_t>(own.count) * slots + lanes - 1) / lanes);
  for (const ShardRange subtree : MaximalSubtrees(own)) {
    geometry.subtrees.push_back({subtree.first - own.first, subtree.count});
  }
  return geometry;
}

ShardPlan::ShardPlan(Range samples, int64_t batch_size, bool shuffle, uint64_t seed)
    : samples_(samples), batch_size_(batch_size), shuffle_(shuffle), seed_(seed) {}

BatchSpan ShardPlan::Batch(int64_t step) const {
  BatchSpan batch{.epoch = step / steps_per_epoch(),
                  .first = step % steps_per_epoch() * batch_size_};
  batch.count = std::min(batch_size_, samples() - batch.first);
  return batch;
}

int64_t ShardPlan::SampleAt(const BatchSpan& batch, int64_t position) const {
  const int64_t place = batch.first + position;
  if (!shuffle_) return samples_.begin + place;
  const Permutation order(seed_, static_cast<uint64_t>(batch.epoch), samples());
  return samples_.begin + order[place];
}

}  // namespace lockstep
