// Batch normalization has the bits of its reference twin; see conv2d_test.cc for the pattern.
#include "common/kernels/batch_norm.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_batch_norm.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

constexpr float kEpsilon = 1e-3f;

struct Case {
  int64_t positions, channels;
  SlotLayout layout;
};

const std::vector<Case>& Cases() {
  static const auto* cases = new std::vector<Case>{
      {6, 3, {.shard_slots = 4, .shards = {.positions = 3, .count = {3, 3, 2, 0}}}},
      {1, 19, {.shard_slots = 8, .shards = {.positions = 8, .count = {8, 5}}}},
      {9, 8, {.shard_slots = 1, .shards = {.positions = 1, .count = {1, 1, 1, 1, 1, 1, 0, 0}}}},
      {4, 16, {.shard_slots = 48, .shards = {.positions = 40, .count = {40, 33}}}},
      {5, 2, {.shard_slots = 16, .shards = {.positions = 16, .count = {16}}}},
      {2, 300, {.shard_slots = 2, .shards = {.positions = 2, .count = {2, 1}}}},
  };
  return *cases;
}

struct Values {
  std::vector<float> x, d_y, mean, variance, gamma, beta, sums;
};

Values MakeValues(const Case& c) {
  const int64_t elements = c.layout.shards.samples() * c.positions * c.channels;
  Values values{RandomValues(elements, 1),      RandomValues(elements, 2),
                RandomValues(c.channels, 3),    RandomValues(c.channels, 4),
                RandomValues(c.channels, 5),    RandomValues(c.channels, 6),
                RandomValues(2 * c.channels, 7)};
  for (float& variance : values.variance) variance = std::abs(variance);
  return values;
}

ReferenceBatchNormArgs<float> ReferenceArgs(const Case& c, const Values& values) {
  return {c.positions,         c.channels,         c.layout.shards,
          values.x.data(),     values.mean.data(), values.variance.data(),
          values.gamma.data(), values.beta.data(), kEpsilon};
}

bool SameMoments(const Moments& a, const Moments& b) {
  return a.count == b.count && std::bit_cast<uint64_t>(a.mean) == std::bit_cast<uint64_t>(b.mean) &&
         std::bit_cast<uint64_t>(a.m2) == std::bit_cast<uint64_t>(b.m2);
}

std::vector<Moments> RunMoments(const Case& c, const SlotLayout& layout, SubtreeRange subtree,
                                const std::vector<float>& x) {
  const Blocks blocks = Pack(layout, c.positions * c.channels, x);
  std::vector<Moments> moments(static_cast<size_t>(c.channels), Moments{-1, -1, -1});
  const BatchNormMomentsArgs args{c.positions, c.channels,    layout.map(),
                                  subtree,     blocks.data(), moments.data()};
  RunInPieces(BatchNormMomentsUnits(args), 3,
              [&](UnitRange units) { BatchNormMoments(args, units); });
  return moments;
}

using BatchNorm = SimdTest;
LOCKSTEP_EVERY_SIMD(BatchNorm);

TEST_P(BatchNorm, MomentsHaveTheBitsOfTheirReferenceAndIgnoreLanesWithoutSample) {
  for (const Case& c : Cases()) {
    const Values values = MakeValues(c);
    std::vector<Moments> expected(static_cast<size_t>(c.channels));
    ReferenceBatchNormMoments(ReferenceArgs(c, values), expected.data());

    const std::vector<Moments> actual = RunMoments(c, c.layout, c.layout.all(), values.x);

    for (size_t k = 0; k < actual.size(); ++k)
      EXPECT_TRUE(SameMoments(actual[k], expected[k])) << "channel " << k;
  }
}

TEST_P(BatchNorm, MomentsOfSubtreesMergeToTheWholeForAnyRankCount) {
  const Case c{
      4, 5, {.shard_slots = 4, .shards = {.positions = 3, .count = {3, 3, 3, 3, 3, 2, 0, 0}}}};
  const std::vector<float> x = MakeValues(c).x;
  const std::vector<Moments> whole = RunMoments(c, c.layout, c.layout.all(), x);
  const std::vector<int32_t>& count = c.layout.shards.count;
  for (int32_t ranks = 1; ranks <= 8; ++ranks) {
    std::map<std::pair<int32_t, int32_t>, std::vector<Moments>> partials;
    for (int32_t rank = 0; rank < ranks; ++rank) {
      const int32_t begin = rank * 8 / ranks, end = (rank + 1) * 8 / ranks;
      const SlotLayout local{4, {3, {count.begin() + begin, count.begin() + end}}};
      const int64_t before = ReferenceShards{3, {count.begin(), count.begin() + begin}}.samples();
      const std::vector<float> part(x.begin() + before * c.positions * c.channels, x.end());
      for (const auto& [first, shards] : MaximalSubtrees(begin, end)) {
        partials[{first, shards}] = RunMoments(c, local, {first - begin, shards}, part);
      }
    }
    const auto merge = [](std::vector<Moments> a, const std::vector<Moments>& b) {
      for (size_t k = 0; k < a.size(); ++k) a[k] = MergeMoments(a[k], b[k]);
      return a;
    };

    const std::vector<Moments> merged = MergeSubtrees(partials, 0, 8, merge);

    for (size_t k = 0; k < whole.size(); ++k)
      EXPECT_TRUE(SameMoments(merged[k], whole[k])) << ranks << " ranks";
  }
}

TEST_P(BatchNorm, MomentsAreNearAPlainDoubleComputation) {
  for (const Case& c : Cases()) {
    const std::vector<float> x = MakeValues(c).x;
    const std::vector<Moments> moments = RunMoments(c, c.layout, c.layout.all(), x);
    for (int64_t channel = 0; channel < c.channels; ++channel) {
      double count = 0, sum = 0, squares = 0;
      for (size_t k = static_cast<size_t>(channel); k < x.size();
           k += static_cast<size_t>(c.channels)) {
        ++count;
        sum += static_cast<double>(x[k]);
      }
      for (size_t k = static_cast<size_t>(channel); k < x.size();
           k += static_cast<size_t>(c.channels)) {
        squares +=
            (static_cast<double>(x[k]) - sum / count) * (static_cast<double>(x[k]) - sum / count);
      }
      const Moments& actual = moments[static_cast<size_t>(channel)];
      // |x| < 1; a sample's float chains round once a position and value.
      const double bound = 2 * static_cast<double>(c.positions + 1) * 0x1p-24;
      EXPECT_EQ(actual.count, count);
      EXPECT_NEAR(actual.mean, sum / count, bound);
      EXPECT_NEAR(actual.m2, squares, 4 * bound * count);
    }
  }
}

TEST_P(BatchNorm, ApplyHasTheBitsOfItsReferenceWithAndWithoutGammaAndBeta) {
  for (const Case& c : Cases()) {
    for (int absent = 0; absent < 4; ++absent) {
      const Values values = MakeValues(c);
      const float* gamma = (absent & 1) ? nullptr : values.gamma.data();
      const float* beta = (absent & 2) ? nullptr : values.beta.data();
      ReferenceBatchNormArgs<float> reference = ReferenceArgs(c, values);
      reference.gamma = gamma;
      reference.beta = beta;
      std::vector<float> expected(values.x.size());
      ReferenceBatchNormApply(reference, expected.data());
      const Blocks x = Pack(c.layout, c.positions * c.channels, values.x);
      Blocks y = NanBlocks(static_cast<int64_t>(x.size()));

      const BatchNormApplyArgs args{.blocks = c.layout.blocks(),
                                    .positions = c.positions,
                                    .channels = c.channels,
                                    .x = x.data(),
                                    .mean = values.mean.data(),
                                    .variance = values.variance.data(),
                                    .gamma = gamma,
                                    .beta = beta,
                                    .epsilon = kEpsilon,
                                    .y = y.data()};
      RunInPieces(BatchNormApplyUnits(args), 5,
                  [&](UnitRange units) { BatchNormApply(args, units); });

      EXPECT_TRUE(SameBits(Unpack(c.layout, c.positions * c.channels, y), expected));
    }
  }
}

TEST_P(BatchNorm, SumsHaveTheBitsOfTheirReferenceAndIgnoreLanesWithoutSample) {
  for (const Case& c : Cases()) {
    const Values values = MakeValues(c);
    std::vector<float> expected(values.sums.size()), actual(values.sums.size());
    ReferenceBatchNormSums(ReferenceArgs(c, values), values.d_y.data(), expected.data());
    const Blocks x = Pack(c.layout, c.positions * c.channels, values.x);
    const Blocks d_y = Pack(c.layout, c.positions * c.channels, values.d_y);

    const BatchNormSumsArgs args{.positions = c.positions,
                                 .channels = c.channels,
                                 .slots = c.layout.map(),
                                 .subtree = c.layout.all(),
                                 .x = x.data(),
                                 .d_y = d_y.data(),
                                 .mean = values.mean.data(),
                                 .variance = values.variance.data(),
                                 .epsilon = kEpsilon,
                                 .sums = actual.data()};
    RunInPieces(BatchNormSumsUnits(args), 5, [&](UnitRange units) { BatchNormSums(args, units); });

    EXPECT_TRUE(SameBits(actual, expected));
  }
}

TEST_P(BatchNorm, BackwardHasTheBitsOfItsReference) {
  for (const Case& c : Cases()) {
    for (const bool accumulate : {false, true}) {
      const Values values = MakeValues(c);
      const double count = static_cast<double>(c.layout.shards.samples() * c.positions);
      std::vector<float> expected(values.x.size());
      ReferenceBatchNormBackward(ReferenceArgs(c, values), values.d_y.data(), values.sums.data(),
                                 count, expected.data());
      if (accumulate) {
        for (size_t k = 0; k < expected.size(); ++k) expected[k] = values.x[k] + expected[k];
      }
      const Blocks x = Pack(c.layout, c.positions * c.channels, values.x);
      const Blocks d_y = Pack(c.layout, c.positions * c.channels, values.d_y);
      Blocks d_x = x;

      const BatchNormBackwardArgs args{.blocks = c.layout.blocks(),
                                       .positions = c.positions,
                                       .channels = c.channels,
                                       .x = x.data(),
                                       .d_y = d_y.data(),
                                       .mean = values.mean.data(),
                                       .variance = values.variance.data(),
                                       .gamma = values.gamma.data(),
                                       .sums = values.sums.data(),
                                       .count = &count,
                                       .epsilon = kEpsilon,
                                       .d_x = d_x.data(),
                                       .accumulate = accumulate};
      RunInPieces(BatchNormBackwardUnits(args), 5,
                  [&](UnitRange units) { BatchNormBackward(args, units); });

      EXPECT_TRUE(SameBits(Unpack(c.layout, c.positions * c.channels, d_x), expected));
    }
  }
}

TEST(BatchNormFinish, GivesBiasedVarianceAndKerasMovingAverages) {
  const Moments moments{.count = 4, .mean = 2.5, .m2 = 5};
  float mean = 0, variance = 0, moving_mean = 1, moving_variance = 3;
  double count = 0;

  BatchNormFinish({1, &moments, 0.75f, &mean, &variance, &moving_mean, &moving_variance, &count});

  EXPECT_EQ(mean, 2.5f);
  EXPECT_EQ(variance, 1.25f);
  EXPECT_EQ(moving_mean, 1 * 0.75f + 2.5f * 0.25f);
  EXPECT_EQ(moving_variance, 3 * 0.75f + 1.25f * 0.25f);
  EXPECT_EQ(count, 4);
}

// The twin itself: the whole layer as a function of x, its moments included.
TEST(ReferenceBatchNorm, HasTheGradientsOfItsForward) {
  const ReferenceShards shards{2, {2, 1}};
  const int64_t positions = 3, channels = 2, elements = 3 * positions * channels;
  const auto x = RandomValues<double>(elements, 1), d_y = RandomValues<double>(elements, 2);
  const auto gamma = RandomValues<double>(channels, 3), beta = RandomValues<double>(channels, 4);
  std::vector<double> mean(2), variance(2), y(x.size()), sums(4), d_x(x.size());
  const auto args = [&](const std::vector<double>& xs, const std::vector<double>& gammas,
                        const std::vector<double>& betas) {
    ReferenceBatchNormArgs<double> result{positions,     channels,     shards,
                                          xs.data(),     mean.data(),  variance.data(),
                                          gammas.data(), betas.data(), 1e-3};
    std::vector<Moments> moments(2);
    ReferenceBatchNormMoments(result, moments.data());
    for (size_t c = 0; c < 2; ++c) {
      mean[c] = moments[c].mean;
      variance[c] = moments[c].m2 / moments[c].count;
    }
    return result;
  };
  const auto loss = [&](const std::vector<double>& xs, const std::vector<double>& gammas,
                        const std::vector<double>& betas) {
    ReferenceBatchNormApply(args(xs, gammas, betas), y.data());
    double sum = 0;
    for (size_t k = 0; k < y.size(); ++k) sum += y[k] * d_y[k];
    return sum;
  };

  const auto at_x = args(x, gamma, beta);
  ReferenceBatchNormSums(at_x, d_y.data(), sums.data());
  ReferenceBatchNormBackward(at_x, d_y.data(), sums.data(), 9, d_x.data());

  ExpectGradient(x, d_x,
                 [&](const std::vector<double>& moved) { return loss(moved, gamma, beta); });
  ExpectGradient(beta, {sums[0], sums[1]},
                 [&](const std::vector<double>& moved) { return loss(x, gamma, moved); });
  ExpectGradient(gamma, {sums[2], sums[3]},
                 [&](const std::vector<double>& moved) { return loss(x, moved, beta); });
}

}  // namespace
}  // namespace lockstep::kernels
