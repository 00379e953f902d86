#include "common/plan/shard_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "gmock/gmock.h"

#include "common/spec/job_spec.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr int64_t kBatchSizes[] = {1, 7, 20, 32, 100, 1000};

// The batch position of every slot with a sample, by the geometry of one rank.
std::vector<int64_t> PositionsOf(const BatchGeometry& geometry, int64_t samples) {
  std::vector<int64_t> positions;
  for (int64_t shard = geometry.first_shard; shard < geometry.first_shard + geometry.shards;
       ++shard) {
    const int32_t count = ShardCount(samples, geometry.shard_positions, shard);
    for (int32_t k = 0; k < count; ++k) {
      positions.push_back(shard * geometry.shard_positions + k);
    }
  }
  return positions;
}

TEST(ShardPlan, TakesEverySampleOnceAnEpochForAnyBatchSizeAndShards) {
  for (const bool shuffle : {false, true}) {
    for (const int64_t samples : {1, 2, 31, 100}) {
      for (const int64_t batch_size : kBatchSizes) {
        const ShardPlan plan({5, 5 + samples}, batch_size, shuffle, /*seed=*/3);
        const auto shards = static_cast<int32_t>(ShardsFor(batch_size));
        const BatchGeometry all = GeometryOf(batch_size, shards, 1, 0);
        std::vector<int64_t> seen;
        const int64_t epoch = 2;
        for (int64_t step = 0; step < plan.steps_per_epoch(); ++step) {
          const BatchSpan batch = plan.Batch(epoch * plan.steps_per_epoch() + step);
          EXPECT_EQ(batch.epoch, epoch);
          for (const int64_t position : PositionsOf(all, batch.count)) {
            seen.push_back(plan.SampleAt(batch, position));
          }
        }

        std::vector<int64_t> every(static_cast<size_t>(samples));
        std::iota(every.begin(), every.end(), 5);
        EXPECT_TRUE(shuffle || seen == every) << "without shuffling the order is the data's";
        std::sort(seen.begin(), seen.end());
        EXPECT_THAT(seen, ElementsAreArray(every)) << samples << " samples by " << batch_size;
      }
    }
  }
}

TEST(ShardPlan, EndsAnEpochWithWhatIsLeft) {
  const ShardPlan plan({0, 70}, 20, false, 0);

  ASSERT_EQ(plan.steps_per_epoch(), 4);
  EXPECT_EQ(plan.Batch(2).count, 20);
  EXPECT_EQ(plan.Batch(3).first, 60);
  EXPECT_EQ(plan.Batch(3).count, 10);
  EXPECT_EQ(plan.Batch(4).epoch, 1);
  EXPECT_EQ(plan.Batch(4).first, 0);
}

TEST(ShardPlan, ShufflesEveryEpochAnewAndTheSameForTheSameSeed) {
  const auto order = [](uint64_t seed, int64_t step) {
    const ShardPlan plan({0, 50}, 50, true, seed);
    std::vector<int64_t> samples;
    for (int64_t p = 0; p < 50; ++p) samples.push_back(plan.SampleAt(plan.Batch(step), p));
    return samples;
  };

  EXPECT_EQ(order(1, 0), order(1, 0));
  EXPECT_NE(order(1, 0), order(1, 1));
  EXPECT_NE(order(1, 0), order(2, 0));
}

TEST(ShardPlan, CoversEveryBatchPositionOnceForAnyWorkers) {
  for (const int64_t batch_size : kBatchSizes) {
    const auto shards = static_cast<int32_t>(ShardsFor(batch_size));
    for (int32_t workers = 1; workers <= shards; ++workers) {
      for (const int64_t samples : {batch_size, batch_size / 2 + 1, int64_t{1}}) {
        std::vector<int64_t> positions;
        for (int32_t rank = 0; rank < workers; ++rank) {
          const std::vector<int64_t> own =
              PositionsOf(GeometryOf(batch_size, shards, workers, rank), samples);
          positions.insert(positions.end(), own.begin(), own.end());
        }

        std::vector<int64_t> every(static_cast<size_t>(samples));
        std::iota(every.begin(), every.end(), 0);
        EXPECT_EQ(positions, every) << batch_size << " by " << workers;
      }
    }
  }
}

TEST(ShardPlan, LaysShardsInWholeBlocksOrManyIntoOne) {
  for (const int64_t batch_size : kBatchSizes) {
    const auto shards = static_cast<int32_t>(ShardsFor(batch_size));
    for (int32_t workers = 1; workers <= shards; ++workers) {
      for (int32_t rank = 0; rank < workers; ++rank) {
        const BatchGeometry g = GeometryOf(batch_size, shards, workers, rank);
        EXPECT_EQ(g.shard_positions, (batch_size + shards - 1) / shards);
        EXPECT_GE(g.shard_slots, g.shard_positions);
        const bool in_a_block = g.shard_slots <= kernels::kBlockLanes &&
                                std::has_single_bit(static_cast<uint32_t>(g.shard_slots));
        EXPECT_TRUE(in_a_block || g.shard_slots % kernels::kBlockLanes == 0) << g.shard_slots;
        const int64_t slots = int64_t{g.shards} * g.shard_slots;
        EXPECT_GE(int64_t{g.blocks} * kernels::kBlockLanes, slots);
        EXPECT_LT(int64_t{g.blocks} * kernels::kBlockLanes, slots + kernels::kBlockLanes);
      }
    }
  }
}

TEST(ShardPlan, CutsAWorkersShardsIntoMaximalAlignedSubtrees) {
  const BatchGeometry g = GeometryOf(/*batch_size=*/64, /*shards=*/8, /*workers=*/3, /*rank=*/1);

  EXPECT_EQ(g.first_shard, 2);
  EXPECT_EQ(g.shards, 3);
  ASSERT_EQ(g.subtrees.size(), 2u) << "shards 2 and 3 are siblings, 4 is alone";
  EXPECT_EQ(g.subtrees[0].first_shard, 0) << "counted from the rank's own first one";
  EXPECT_EQ(g.subtrees[0].shards, 2);
  EXPECT_EQ(g.subtrees[1].first_shard, 2);
  EXPECT_EQ(g.subtrees[1].shards, 1);
}

TEST(ShardPlan, CountsTheSamplesOfAShardOfAShortBatch) {
  std::vector<int32_t> counts;
  for (int64_t shard = 0; shard < 5; ++shard) counts.push_back(ShardCount(7, 3, shard));

  EXPECT_THAT(counts, ElementsAre(3, 3, 1, 0, 0));
}

TEST(ShardPlan, GivesEveryOwnershipBlockOneOwner) {
  for (const int64_t blocks : {0, 1, 5, 64}) {
    for (const int32_t workers : {1, 2, 3, 8}) {
      int64_t next = 0;
      for (int32_t rank = 0; rank < workers; ++rank) {
        const Range own = OwnedBlocks(blocks, workers, rank);
        EXPECT_EQ(own.begin, next);
        EXPECT_LE(own.size(), blocks / workers + 1);
        next = own.end;
      }
      EXPECT_EQ(next, blocks);
    }
  }
}

}  // namespace
}  // namespace lockstep
