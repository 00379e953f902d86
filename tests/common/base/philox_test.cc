#include "common/base/philox.h"

#include "gmock/gmock.h"

namespace lockstep {
namespace {

using testing::ElementsAre;

// The known answers that the authors publish with Random123 1.09 (kat_vectors, philox4x32-10).
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_THAT(Philox({0, 0, 0, 0}, 0),
              ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  EXPECT_THAT(Philox({0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu}, 0xffffffffffffffffu),
              ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(Philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, 0x299f31d0a4093822u),
              ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

TEST(Philox, PutsAnInitializersGroupInTheFirstTwoCounterWords) {
  const uint64_t key = RandomKey(7, RandomPurpose::kInitializer);

  EXPECT_EQ(InitializerWords(key, 3, 1), Philox({1, 0, 3, 0}, key));
  EXPECT_EQ(InitializerWords(key, 3, uint64_t{5} << 32), Philox({0, 5, 3, 0}, key));
}

TEST(Philox, GivesEveryPurposeAKeyOfItsOwn) {
  EXPECT_NE(RandomKey(0, RandomPurpose::kInitializer), RandomKey(0, RandomPurpose::kShuffle));
  EXPECT_NE(RandomKey(0, RandomPurpose::kShuffle), RandomKey(1, RandomPurpose::kShuffle));
}

TEST(Philox, MapsWordsToExactFractionsBelowOne) {
  EXPECT_EQ(UniformOf(0), 0.0f);
  EXPECT_EQ(UniformOf(0xffffffffu), 1.0f - 0x1p-24f);
  EXPECT_EQ(UniformOf(0x80000000u), 0.5f);
}

}  // namespace
}  // namespace lockstep
