#include "common/base/shard_tree.h"

#include "gmock/gmock.h"

namespace lockstep {
namespace {

using testing::ElementsAre;

TEST(ShardTree, CutsARangeIntoMaximalAlignedSubtrees) {
  EXPECT_THAT(MaximalSubtrees({0, 8}), ElementsAre(ShardRange{0, 8}));
  EXPECT_THAT(MaximalSubtrees({1, 4}),
              ElementsAre(ShardRange{1, 1}, ShardRange{2, 2}, ShardRange{4, 1}));
  EXPECT_THAT(MaximalSubtrees({5, 3}), ElementsAre(ShardRange{5, 1}, ShardRange{6, 2}));
  EXPECT_THAT(MaximalSubtrees({2, 0}), ElementsAre());
}

TEST(ShardTree, CoversAllShardsInOrderForAnyCountOfWorkers) {
  for (const int32_t shards : {1, 2, 8, 64}) {
    for (int32_t workers = 1; workers <= shards; ++workers) {
      int32_t next = 0;
      for (const SubtreePlace& place : AllSubtrees(shards, workers)) {
        EXPECT_EQ(place.shards.first, next);
        EXPECT_EQ(place.shards.first % place.shards.count, 0) << "aligned";
        EXPECT_GE(ShardsOfWorker(shards, workers, place.rank).count, 1) << "no worker is idle";
        next += place.shards.count;
      }
      EXPECT_EQ(next, shards) << workers << " workers";
    }
  }
}

TEST(ShardTree, GivesOnePartialToEachOfAPowerOfTwoWorkers) {
  EXPECT_EQ(AllSubtrees(8, 4).size(), 4u);
  EXPECT_EQ(AllSubtrees(8, 3).size(), 5u);
}

}  // namespace
}  // namespace lockstep
