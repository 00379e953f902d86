#include "common/base/compute_pool.h"

#include <vector>

#include "gmock/gmock.h"

namespace lockstep {
namespace {

class ComputePoolTest : public testing::TestWithParam<Spin> {};
INSTANTIATE_TEST_SUITE_P(Spins, ComputePoolTest, testing::Values(Spin::kNone, Spin::kBrief));

TEST_P(ComputePoolTest, CoversEveryUnitOnceForAnyCountOfThreads) {
  for (const int threads : {1, 2, 3, 5}) {
    ComputePool pool(threads, GetParam());
    for (const int64_t units : {0, 1, 2, 4, 5, 1000}) {
      std::vector<int> visits(static_cast<size_t>(units), 0);
      pool.Run(units, [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) ++visits[static_cast<size_t>(unit)];
      });
      EXPECT_THAT(visits, testing::Each(1)) << threads << " threads, " << units << " units";
    }
  }
}

TEST_P(ComputePoolTest, MakesEachRoundSeeTheOneBefore) {
  ComputePool pool(3, GetParam());
  std::vector<int64_t> values(64, 0);

  for (int round = 0; round < 500; ++round) {
    std::vector<int64_t> next(values.size());
    pool.Run(64, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        next[static_cast<size_t>(unit)] = values[static_cast<size_t>(63 - unit)] + 1;
      }
    });
    values = next;
  }

  EXPECT_THAT(values, testing::Each(500));
}

}  // namespace
}  // namespace lockstep
