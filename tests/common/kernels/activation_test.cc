// Elementwise kernels and softmax have the bits of their reference twins; see dense_test.cc for the
// pattern.
#include "common/kernels/activation.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_activation.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

constexpr Activation kAll[] = {Activation::kLinear, Activation::kRelu, Activation::kSigmoid,
                               Activation::kTanh};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kCount = 3 * 4096 + 48;

Blocks Edgy(int64_t count, uint32_t seed) {
  Blocks values = NanBlocks(count);
  const auto random = RandomValues(count, seed);
  for (size_t k = 0; k < values.size(); ++k) values[k] = random[k] * 12;
  const float edges[] = {0.0f,   -0.0f,   kInfinity, -kInfinity, std::nanf(""),
                         1e-40f, -1e-40f, 100.0f,    -100.0f};
  for (size_t k = 0; k < std::size(edges); ++k) values[7 * k] = edges[k];
  return values;
}

std::vector<float> Values(const Blocks& blocks) { return {blocks.begin(), blocks.end()}; }

using Activations = SimdTest;
LOCKSTEP_EVERY_SIMD(Activations);

TEST_P(Activations, ForwardHasTheBitsOfTheReference) {
  const Blocks x = Edgy(kCount, 1);
  for (const Activation activation : kAll) {
    std::vector<float> expected;
    for (const float value : x) expected.push_back(ReferenceActivation(activation, value));
    Blocks y = x;  // in place
    const ActivationForwardArgs args{kCount, activation, y.data(), y.data()};
    RunInPieces(ActivationForwardUnits(args), 2,
                [&](UnitRange units) { ActivationForward(args, units); });
    EXPECT_TRUE(SameBits(Values(y), expected)) << static_cast<int>(activation);
  }
}

TEST_P(Activations, BackwardHasTheBitsOfTheReference) {
  const Blocks y = Edgy(kCount, 1), d_y = Edgy(kCount, 2), before = Edgy(kCount, 3);
  for (const Activation activation : kAll) {
    for (const bool accumulate : {false, true}) {
      std::vector<float> expected;
      for (size_t k = 0; k < y.size(); ++k) {
        const float d_x = ReferenceActivationDerivative(activation, y[k], d_y[k]);
        expected.push_back(accumulate ? before[k] + d_x : d_x);
      }
      Blocks d_x = before;
      const ActivationBackwardArgs args{kCount,     activation, y.data(),
                                        d_y.data(), d_x.data(), accumulate};
      RunInPieces(ActivationBackwardUnits(args), 2,
                  [&](UnitRange units) { ActivationBackward(args, units); });
      EXPECT_TRUE(SameBits(Values(d_x), expected)) << static_cast<int>(activation);
    }
  }
}

std::vector<float> Slice(const std::vector<float>& values, int64_t first, int64_t count) {
  return {values.begin() + first, values.begin() + first + count};
}

TEST_P(Activations, SoftmaxHasTheBitsOfTheReference) {
  const int64_t positions = 2;
  for (const int64_t classes : {1, 2, 10, 16, 17, 100}) {
    const SlotLayout layout = OneShard(20);
    const auto x = RandomValues(20 * positions * classes, 1),
               d_y = RandomValues(20 * positions * classes, 2);
    std::vector<float> y_expected, d_x_expected;
    for (int64_t row = 0; row < 20 * positions; ++row) {
      const auto y = ReferenceSoftmax(Slice(x, row * classes, classes));
      const auto d_x = ReferenceSoftmaxBackward(y, Slice(d_y, row * classes, classes));
      y_expected.insert(y_expected.end(), y.begin(), y.end());
      d_x_expected.insert(d_x_expected.end(), d_x.begin(), d_x.end());
    }
    Blocks y = Pack(layout, positions * classes, x);  // in place
    const SoftmaxForwardArgs forward{layout.blocks(), positions, classes, y.data(), y.data()};
    RunInPieces(SoftmaxForwardUnits(forward), 2,
                [&](UnitRange units) { SoftmaxForward(forward, units); });
    Blocks d_x = Pack(layout, positions * classes, d_y);
    const SoftmaxBackwardArgs backward{layout.blocks(), positions,  classes, y.data(),
                                       d_x.data(),      d_x.data(), false};
    RunInPieces(SoftmaxBackwardUnits(backward), 2,
                [&](UnitRange units) { SoftmaxBackward(backward, units); });
    EXPECT_TRUE(SameBits(Unpack(layout, positions * classes, y), y_expected)) << classes;
    EXPECT_TRUE(SameBits(Unpack(layout, positions * classes, d_x), d_x_expected)) << classes;
  }
}

TEST_P(Activations, SoftmaxOfHugeLogitsIsFinite) {
  const SlotLayout layout = OneShard(1);
  Blocks y = Pack(layout, 3, {1e30f, -1e30f, 1e30f});
  const SoftmaxForwardArgs args{1, 1, 3, y.data(), y.data()};
  SoftmaxForward(args, {0, 1});
  EXPECT_TRUE(SameBits(Unpack(layout, 3, y), {0.5f, 0.0f, 0.5f}));
}

TEST_P(Activations, AddIsAChainOverItsInputs) {
  const Blocks a = Edgy(kCount, 1), b = Edgy(kCount, 2), c = Edgy(kCount, 3);
  std::vector<float> expected;
  for (size_t k = 0; k < a.size(); ++k) expected.push_back((a[k] + b[k]) + c[k]);
  Blocks out = a;
  const float* inputs[] = {out.data(), b.data(), c.data()};
  const AddArgs args{kCount, inputs, 3, out.data()};
  RunInPieces(AddUnits(args), 2, [&](UnitRange units) { Add(args, units); });
  EXPECT_TRUE(SameBits(Values(out), expected));
}

TEST_P(Activations, CopyFeaturesMovesAColumnRangeOfEveryRow) {
  const int64_t blocks = 2, rows = 3, src_width = 5, dst_width = 7, width = 2;
  const Blocks src = Edgy(blocks * rows * src_width * kBlockLanes, 1);
  for (const bool accumulate : {false, true}) {
    Blocks dst = Edgy(blocks * rows * dst_width * kBlockLanes, 2);
    std::vector<float> expected = Values(dst);
    for (int64_t row = 0; row < blocks * rows; ++row) {
      for (int64_t e = 0; e < width * kBlockLanes; ++e) {
        const float value = src[static_cast<size_t>((row * src_width + 3) * kBlockLanes + e)];
        float& to = expected[static_cast<size_t>((row * dst_width + 4) * kBlockLanes + e)];
        to = accumulate ? to + value : value;
      }
    }
    const CopyFeaturesArgs args{blocks,    rows, width,      src_width,  3,
                                dst_width, 4,    src.data(), dst.data(), accumulate};
    RunInPieces(CopyFeaturesUnits(args), 2, [&](UnitRange units) { CopyFeatures(args, units); });
    EXPECT_TRUE(SameBits(Values(dst), expected));
  }
}

TEST(ActivationReference, DerivativesAgreeWithCentralDifferences) {
  for (const Activation activation : kAll) {
    const auto x = RandomValues<double>(9, 1), d_y = RandomValues<double>(9, 2);
    std::vector<double> d_x;
    for (size_t k = 0; k < x.size(); ++k) {
      d_x.push_back(
          ReferenceActivationDerivative(activation, ReferenceActivation(activation, x[k]), d_y[k]));
    }
    ExpectGradient(x, d_x, [&](const std::vector<double>& values) {
      double sum = 0;
      for (size_t k = 0; k < values.size(); ++k)
        sum += ReferenceActivation(activation, values[k]) * d_y[k];
      return sum;
    });
  }
}

TEST(ActivationReference, SoftmaxDerivativeAgreesWithCentralDifferences) {
  const auto x = RandomValues<double>(19, 1), d_y = RandomValues<double>(19, 2);
  ExpectGradient(x, ReferenceSoftmaxBackward(ReferenceSoftmax(x), d_y),
                 [&](const std::vector<double>& values) {
                   const auto y = ReferenceSoftmax(values);
                   double sum = 0;
                   for (size_t k = 0; k < y.size(); ++k) sum += y[k] * d_y[k];
                   return sum;
                 });
}

}  // namespace
}  // namespace lockstep::kernels
