// Losses have the bits of their reference twins; see dense_test.cc for the pattern.
#include "common/kernels/losses.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_losses.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

template <class T>
using Twin = ReferenceLoss<T> (*)(const std::vector<T>&, const std::vector<T>&, T);

struct Case {
  const char* name;
  void (*kernel)(const LossArgs&, UnitRange);
  Twin<float> twin;
  Twin<double> wide;
  bool sparse, probabilities;
};

const std::vector<Case>& Cases() {
  static const auto* cases = new std::vector<Case>{
      {"mse", MeanSquaredError, ReferenceMeanSquaredError<float>, ReferenceMeanSquaredError<double>,
       false, false},
      {"sparse logits", SparseCrossEntropyLogits, ReferenceCrossEntropyLogits<float>,
       ReferenceCrossEntropyLogits<double>, true, false},
      {"sparse probabilities", SparseCrossEntropyProbabilities,
       ReferenceCrossEntropyProbabilities<float>, ReferenceCrossEntropyProbabilities<double>, true,
       true},
      {"categorical logits", CategoricalCrossEntropyLogits, ReferenceCrossEntropyLogits<float>,
       ReferenceCrossEntropyLogits<double>, false, false},
      {"categorical probabilities", CategoricalCrossEntropyProbabilities,
       ReferenceCrossEntropyProbabilities<float>, ReferenceCrossEntropyProbabilities<double>, false,
       true},
      {"binary logits", BinaryCrossEntropyLogits, ReferenceBinaryLogits<float>,
       ReferenceBinaryLogits<double>, false, false},
      {"binary probabilities", BinaryCrossEntropyProbabilities, ReferenceBinaryProbabilities<float>,
       ReferenceBinaryProbabilities<double>, false, true},
  };
  return *cases;
}

template <class T>
std::vector<T> Outputs(const Case& c, int64_t count) {
  auto x = RandomValues<T>(count, 1);
  for (T& value : x) value = c.probabilities ? (value + T(1.05)) / T(2.1) : value * 8;
  return x;
}

// Samples in shards with gaps, so that padding slots (NaN) lie between them.
SlotLayout Layout() {
  return {.shard_slots = 8, .shards = {.positions = 7, .count = {7, 3, 0, 7}}};
}

using Losses = SimdTest;
LOCKSTEP_EVERY_SIMD(Losses);

TEST_P(Losses, HaveTheBitsOfTheReferenceAndZeroWithoutASample) {
  const SlotLayout layout = Layout();
  const auto slots = layout.slots();
  const auto samples = static_cast<int64_t>(slots.size());
  const size_t all_slots = static_cast<size_t>(layout.blocks()) * kBlockLanes;
  for (const Case& c : Cases()) {
    for (const int64_t features : {1, 3, 10, 33}) {
      auto x = Outputs<float>(c, samples * features);
      if (c.probabilities && features > 1) x[0] = 0.0f;  // clipped
      std::vector<float> target(x.size()), seed(static_cast<size_t>(samples));
      Blocks label_bits = NanBlocks(static_cast<int64_t>(all_slots)), seeds(all_slots, 0.0f);
      auto* label = reinterpret_cast<int32_t*>(label_bits.data());
      for (size_t n = 0; n < slots.size(); ++n) {
        seed[n] = 0.25f + static_cast<float>(n);
        seeds[static_cast<size_t>(slots[n])] = seed[n];
        const auto chosen = static_cast<int32_t>(n * 7 % static_cast<size_t>(features));
        label[slots[n]] = chosen;
        for (int64_t k = 0; k < features; ++k) {
          const float soft = static_cast<float>(k % 3) * 0.5f;
          target[n * static_cast<size_t>(features) + static_cast<size_t>(k)] =
              c.sparse ? (k == chosen ? 1.0f : 0.0f) : soft;
        }
      }
      std::vector<float> losses(all_slots, 0.0f), gradients;
      for (size_t n = 0; n < slots.size(); ++n) {
        const auto row = [&](const std::vector<float>& values) {
          const auto begin = values.begin() + static_cast<int64_t>(n) * features;
          return std::vector<float>(begin, begin + features);
        };
        const auto expected = c.twin(row(x), row(target), seed[n]);
        losses[static_cast<size_t>(slots[n])] = expected.loss;
        gradients.insert(gradients.end(), expected.d_x.begin(), expected.d_x.end());
      }

      const Blocks x_blocks = Pack(layout, features, x),
                   target_blocks = Pack(layout, features, target);
      Blocks d_x = NanBlocks(static_cast<int64_t>(x_blocks.size())),
             loss = NanBlocks(static_cast<int64_t>(all_slots));
      LossArgs args{layout.blocks(),
                    features,
                    layout.map(),
                    x_blocks.data(),
                    c.sparse ? nullptr : target_blocks.data(),
                    label,
                    seeds.data(),
                    d_x.data(),
                    loss.data()};
      RunInPieces(LossUnits(args), 3, [&](UnitRange units) { c.kernel(args, units); });
      EXPECT_TRUE(SameBits(Unpack(layout, features, d_x), gradients)) << c.name << " " << features;
      EXPECT_TRUE(SameBits({loss.begin(), loss.end()}, losses)) << c.name << " " << features;
      const auto zeros = std::count_if(d_x.begin(), d_x.end(),
                                       [](float v) { return std::bit_cast<uint32_t>(v) == 0; });
      EXPECT_GE(zeros, (static_cast<int64_t>(all_slots) - samples) * features)
          << c.name << ": padding is +0";

      args.d_x = nullptr;  // evaluation
      std::fill(loss.begin(), loss.end(), -1.0f);
      c.kernel(args, {0, LossUnits(args)});
      EXPECT_TRUE(SameBits({loss.begin(), loss.end()}, losses)) << c.name << " " << features;
    }
  }
}

TEST_P(Losses, SparseLogitsBearInfiniteLogitsBesideTheLabel) {
  const SlotLayout layout = OneShard(1);
  const Blocks x = Pack(layout, 3, {1.0f, -std::numeric_limits<float>::infinity(), 1.0f});
  alignas(64) int32_t label[kBlockLanes] = {2};
  Blocks seed(kBlockLanes, 1.0f), d_x = NanBlocks(3 * kBlockLanes), loss = NanBlocks(kBlockLanes);
  const LossArgs args{1,     3,           layout.map(), x.data(),   nullptr,
                      label, seed.data(), d_x.data(),   loss.data()};
  SparseCrossEntropyLogits(args, {0, 1});
  EXPECT_FLOAT_EQ(loss[0], 0.69314718f);
  EXPECT_TRUE(SameBits(Unpack(layout, 3, d_x), {0.5f, 0.0f, -0.5f}));
}

TEST_P(Losses, ArgMaxTakesTheFirstOfEqualsAndTheFirstNan) {
  const SlotLayout layout = OneShard(3);
  const float nan = std::nanf("");
  const Blocks x = Pack(layout, 4, {1, 3, 3, 2, 0, nan, 9, nan, -1, -1, -2, -1});
  alignas(64) int32_t index[kBlockLanes];
  ArgMax({1, 4, x.data(), index}, {0, 1});
  EXPECT_EQ(index[0], 1);
  EXPECT_EQ(index[1], 1);
  EXPECT_EQ(index[2], 0);
}

TEST(LossesReference, GradientsAgreeWithCentralDifferences) {
  for (const Case& c : Cases()) {
    const auto x = Outputs<double>(c, 5);
    std::vector<double> t(5, 0.0);
    t[2] = 1.0;
    if (!c.sparse) t[4] = 0.5;
    const double seed = 0.75;
    SCOPED_TRACE(c.name);
    ExpectGradient(x, c.wide(x, t, seed).d_x, [&](const std::vector<double>& values) {
      return c.wide(values, t, seed).loss * seed;
    });
  }
}

}  // namespace
}  // namespace lockstep::kernels
