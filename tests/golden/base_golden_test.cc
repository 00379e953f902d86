// The vectors of numerics.json against random numbers, shuffles and shards; see
// functions_golden_test.cc.
#include <bit>

#include "gtest/gtest.h"

#include "common/base/normal.h"
#include "common/base/permutation.h"
#include "common/base/philox.h"
#include "common/base/shard_tree.h"
#include "common/plan/shard_plan.h"
#include "common/spec/job_spec.h"
#include "tests/golden/golden_file.h"

namespace lockstep {
namespace {

using ::lockstep::testing::Golden;
using ::lockstep::testing::Numerics;

Golden Random() { return Numerics().at("random"); }

std::vector<uint32_t> Words32(const Golden& c, absl::string_view name) {
  std::vector<uint32_t> words;
  for (const uint64_t word : c.words(name)) words.push_back(static_cast<uint32_t>(word));
  return words;
}

template <class T>
auto Bits(const std::vector<T>& values) {
  using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  std::vector<Word> bits;
  for (const T value : values) bits.push_back(std::bit_cast<Word>(value));
  return bits;
}

TEST(GoldenRandom, SplitMixAndKeysOfPurposes) {
  const Golden mix = Random().at("splitmix");
  std::vector<uint64_t> mixed;
  for (const uint64_t x : mix.words("x")) mixed.push_back(SplitMix64(x));
  EXPECT_EQ(mixed, mix.words("y"));
  for (const Golden& c : Random().cases("keys")) {
    std::vector<uint64_t> keys;
    for (const RandomPurpose purpose :
         {RandomPurpose::kInitializer, RandomPurpose::kShuffle, RandomPurpose::kDropout,
          RandomPurpose::kNoise, RandomPurpose::kAugmentation}) {
      keys.push_back(RandomKey(c.word("seed"), purpose));
    }
    EXPECT_EQ(keys, c.words("keys"));
  }
}

TEST(GoldenRandom, PhiloxWords) {
  for (const Golden& c : Random().cases("philox")) {
    const std::vector<uint32_t> counter = Words32(c, "counter");
    const PhiloxBlock block =
        Philox({counter[0], counter[1], counter[2], counter[3]}, c.word("key"));
    EXPECT_EQ(std::vector<uint32_t>(block.begin(), block.end()), Words32(c, "words"));
  }
  const Golden c = Random().at("initializer_words");
  const uint64_t key = RandomKey(c.word("seed"), RandomPurpose::kInitializer);
  std::vector<uint32_t> words;
  for (uint64_t e = 0; e < c.words("words").size(); ++e) {
    words.push_back(
        InitializerWords(key, static_cast<uint32_t>(c.integer("variable")), e / 4)[e % 4]);
  }
  EXPECT_EQ(words, Words32(c, "words"));
}

TEST(GoldenRandom, UniformAndNormalNumbersOfWords) {
  const Golden c = Random().at("distributions");
  std::vector<float> uniform;
  std::vector<double> normal, truncated;
  for (const uint32_t word : Words32(c, "word")) {
    uniform.push_back(UniformOf(word));
    normal.push_back(NormalOf(word));
    truncated.push_back(TruncatedNormalOf(word));
  }
  EXPECT_EQ(Bits(uniform), Bits(c.floats("uniform")));
  EXPECT_EQ(Bits(normal), c.words("normal"));
  EXPECT_EQ(Bits(truncated), c.words("truncated_normal"));
}

TEST(GoldenRandom, DoubleLogarithm) {
  const Golden c = Numerics().at("functions").at("log_double");
  std::vector<double> y;
  for (const double x : c.doubles("x")) y.push_back(LogOf(x));
  EXPECT_EQ(Bits(y), c.words("y"));
}

TEST(GoldenRandom, Shuffles) {
  for (const Golden& c : Random().cases("shuffles")) {
    const std::vector<int64_t> expected = c.integers("order");
    const auto count = static_cast<int64_t>(expected.size());
    const Permutation order(c.word("seed"), c.word("epoch"), count);
    std::vector<int64_t> actual;
    for (int64_t position = 0; position < count; ++position) actual.push_back(order[position]);
    EXPECT_EQ(actual, expected) << count << " samples, seed " << c.text("seed");
  }
}

TEST(GoldenShards, AutomaticCounts) {
  const Golden c = Numerics().at("shards").at("auto");
  std::vector<int64_t> shards;
  for (const int64_t batch : c.integers("batch")) shards.push_back(ShardsFor(batch));
  EXPECT_EQ(shards, c.integers("shards"));
}

TEST(GoldenShards, SamplesOfShards) {
  for (const Golden& c : Numerics().at("shards").cases("counts")) {
    const BatchGeometry geometry =
        GeometryOf(c.integer("batch"), static_cast<int32_t>(c.integer("shards")), 1, 0);
    EXPECT_EQ(geometry.shard_positions, c.integer("positions"));
    std::vector<int64_t> counts;
    for (int64_t shard = 0; shard < geometry.shards; ++shard) {
      counts.push_back(ShardCount(c.integer("samples"), geometry.shard_positions, shard));
    }
    EXPECT_EQ(counts, c.integers("counts")) << c.integer("samples") << " samples";
  }
}

TEST(GoldenShards, WorkersHoldRangesAndTheirSubtrees) {
  for (const Golden& c : Numerics().at("shards").cases("owners")) {
    const auto shards = static_cast<int32_t>(c.integer("shards"));
    const auto workers = static_cast<int32_t>(c.integer("workers"));
    std::vector<int64_t> first, subtrees;
    for (int32_t rank = 0; rank < workers; ++rank) {
      const ShardRange own = ShardsOfWorker(shards, workers, rank);
      first.push_back(own.first);
      for (const ShardRange& subtree : MaximalSubtrees(own)) {
        subtrees.insert(subtrees.end(), {subtree.first, subtree.count});
      }
    }
    EXPECT_EQ(first, c.integers("first")) << shards << " shards, " << workers << " workers";
    EXPECT_EQ(subtrees, c.integers("subtrees")) << shards << " shards, " << workers << " workers";
  }
}

TEST(GoldenShards, OwnersOfParameterBlocks) {
  for (const Golden& c : Numerics().at("shards").cases("blocks")) {
    const int64_t blocks = c.integer("blocks");
    const auto workers = static_cast<int32_t>(c.integer("workers"));
    std::vector<int64_t> begin;
    for (int32_t rank = 0; rank < workers; ++rank) {
      begin.push_back(OwnedBlocks(blocks, workers, rank).begin);
      EXPECT_EQ(OwnedBlocks(blocks, workers, rank).end,
                rank + 1 < workers ? OwnedBlocks(blocks, workers, rank + 1).begin : blocks);
    }
    EXPECT_EQ(begin, c.integers("begin"));
  }
}

}  // namespace
}  // namespace lockstep
