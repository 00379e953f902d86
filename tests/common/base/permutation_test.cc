#include "common/base/permutation.h"

#include <vector>

#include "gmock/gmock.h"

namespace lockstep {
namespace {

TEST(Permutation, TakesEveryPlaceOnce) {
  for (const int64_t count : {0, 1, 2, 3, 16, 17, 1000, 4097}) {
    const Permutation permutation(/*seed=*/7, /*epoch=*/2, count);
    std::vector<int> visits(static_cast<size_t>(count), 0);
    for (int64_t i = 0; i < count; ++i) ++visits.at(static_cast<size_t>(permutation[i]));
    EXPECT_THAT(visits, testing::Each(1)) << count;
  }
}

TEST(Permutation, DiffersByEpochAndSeed) {
  const auto first_places = [](uint64_t seed, uint64_t epoch) {
    const Permutation permutation(seed, epoch, 60'000);
    std::vector<int64_t> places;
    for (int64_t i = 0; i < 20; ++i) places.push_back(permutation[i]);
    return places;
  };

  EXPECT_EQ(first_places(7, 1), first_places(7, 1));
  EXPECT_NE(first_places(7, 1), first_places(7, 2));
  EXPECT_NE(first_places(7, 1), first_places(8, 1));
}

// Neighbours must not stay neighbours: of 60,000 samples a random order keeps about two pairs.
TEST(Permutation, KeepsNeighboursApart) {
  const Permutation permutation(7, 0, 60'000);
  int kept = 0;
  for (int64_t i = 0; i + 1 < 60'000; ++i) kept += permutation[i + 1] - permutation[i] == 1 ? 1 : 0;
  EXPECT_LT(kept, 15);
}

}  // namespace
}  // namespace lockstep
