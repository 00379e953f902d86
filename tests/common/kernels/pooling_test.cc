// Pooling has the bits of its reference twin; see conv2d_test.cc for the pattern.
#include "common/kernels/pooling.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_pooling.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const std::vector<PoolGeometry>& Geometries() {
  static const auto* geometries = new std::vector<PoolGeometry>{
      {8, 6, 3, 2, 2, 2, 2, 0, 0, 4, 3},       // the usual one
      {7, 5, 2, 2, 2, 2, 2, 0, 0, 3, 2},       // odd image, valid: cells in no window
      {7, 5, 2, 2, 2, 2, 2, 0, 0, 4, 3},       // odd image, same: windows cut at the end
      {7, 9, 2, 3, 3, 2, 2, 1, 1, 4, 5},       // overlapping, cut on both sides
      {6, 7, 1, 3, 2, 1, 1, 1, 0, 6, 7},       // stride 1, same
      {9, 9, 2, 2, 2, 3, 3, 0, 0, 3, 3},       // gaps between windows
      {5, 4, 19, 5, 4, 1, 1, 0, 0, 1, 1},      // global
      {17, 16, 1, 16, 16, 1, 16, 0, 0, 2, 1},  // 256 choices
  };
  return *geometries;
}

int64_t InputElements(const PoolGeometry& g) { return g.height * g.width * g.channels; }
int64_t OutputElements(const PoolGeometry& g) { return g.out_h * g.out_w * g.channels; }

// Small whole numbers with ties, signed zeros and NaN.
std::vector<float> Awkward(int64_t count) {
  std::vector<float> values = RandomValues(count, 5);
  for (size_t k = 0; k < values.size(); ++k) {
    values[k] = std::round(values[k] * 3);  // -0 included
    if (k % 23 == 0) values[k] = kNan;
  }
  return values;
}

using Pooling = SimdTest;
LOCKSTEP_EVERY_SIMD(Pooling);

struct MaxPooled {
  std::vector<float> y, d_x;
};

// Forward, then backward onto `before` (empty: no accumulation), with or without kept choices.
struct MaxPoolCase {
  int32_t samples;
  bool keep_choices = true;
  std::vector<float> before = {};
};
MaxPooled RunMaxPool(const PoolGeometry& g, const MaxPoolCase& c, const std::vector<float>& x,
                     const std::vector<float>& d_y) {
  const auto& [samples, keep_choices, before] = c;
  const SlotLayout layout = OneShard(samples);
  const Blocks x_blocks = Pack(layout, InputElements(g), x),
               d_y_blocks = Pack(layout, OutputElements(g), d_y);
  Blocks y = NanBlocks(layout.blocks() * OutputElements(g) * kBlockLanes);
  Blocks d_x = before.empty() ? NanBlocks(layout.blocks() * InputElements(g) * kBlockLanes)
                              : Pack(layout, InputElements(g), before);
  std::vector<uint8_t, AlignedAllocator<uint8_t>> choice(y.size(), 255);
  uint8_t* kept = keep_choices ? choice.data() : nullptr;
  const MaxPoolForwardArgs forward{g, layout.blocks(), x_blocks.data(), y.data(), kept};
  RunInPieces(MaxPoolForwardUnits(forward), 3,
              [&](UnitRange units) { MaxPoolForward(forward, units); });
  const MaxPoolBackwardArgs backward{g,          layout.blocks(), d_y_blocks.data(), kept,
                                     d_x.data(), !before.empty(), x_blocks.data()};
  RunInPieces(MaxPoolBackwardUnits(backward), 4,
              [&](UnitRange units) { MaxPoolBackward(backward, units); });
  return {Unpack(layout, OutputElements(g), y), Unpack(layout, InputElements(g), d_x)};
}

TEST_P(Pooling, MaxHasTheBitsOfItsReferenceWithTiesZerosAndNan) {
  for (const PoolGeometry& g : Geometries()) {
    for (const bool keep_choices : {true, false}) {
      SCOPED_TRACE(::testing::Message() << g.pool_h << "x" << g.pool_w << " stride " << g.stride_h
                                        << " on " << g.height);
      const std::vector<float> x = Awkward(18 * InputElements(g)),
                               d_y = RandomValues(18 * OutputElements(g), 2);
      MaxPooled expected{std::vector<float>(d_y.size()), std::vector<float>(x.size())};
      ReferenceMaxPoolForward<float>({g, 18, x.data(), expected.y.data()});
      ReferenceMaxPoolBackward<float>({g, 18, x.data(), d_y.data(), expected.d_x.data(), false});

      const MaxPooled actual = RunMaxPool(g, {18, keep_choices}, x, d_y);

      EXPECT_TRUE(SameBits(actual.y, expected.y));
      EXPECT_TRUE(SameBits(actual.d_x, expected.d_x));
    }
  }
}

TEST_P(Pooling, MaxKeepsTheFirstOfEqualsAndTheFirstNan) {
  const PoolGeometry g{2, 2, 1, 2, 2, 2, 2, 0, 0, 1, 1};

  const MaxPooled equal = RunMaxPool(g, {1}, {1, 3, 3, 2}, {5});
  const MaxPooled nan = RunMaxPool(g, {1}, {1, kNan, 9, kNan}, {5});
  const MaxPooled zeros = RunMaxPool(g, {1}, {-0.0f, 0.0f, -1, -1}, {5});

  EXPECT_EQ(equal.d_x, (std::vector<float>{0, 5, 0, 0}));
  EXPECT_TRUE(std::isnan(nan.y[0]));
  EXPECT_EQ(nan.d_x, (std::vector<float>{0, 5, 0, 0}));
  EXPECT_TRUE(SameBits(zeros.y, {-0.0f}));
}

TEST_P(Pooling, MaxBackwardAddsItsChainToWhatIsThere) {
  for (const PoolGeometry& g : Geometries()) {
    const std::vector<float> x = Awkward(3 * InputElements(g)),
                             d_y = RandomValues(3 * OutputElements(g), 2);
    const std::vector<float> before = RandomValues(3 * InputElements(g), 9);
    std::vector<float> expected = before;
    ReferenceMaxPoolBackward<float>({g, 3, x.data(), d_y.data(), expected.data(), true});

    EXPECT_TRUE(SameBits(RunMaxPool(g, {3, true, before}, x, d_y).d_x, expected));
  }
}

TEST_P(Pooling, AverageHasTheBitsOfItsReference) {
  for (const PoolGeometry& g : Geometries()) {
    for (const bool accumulate : {false, true}) {
      SCOPED_TRACE(::testing::Message() << g.pool_h << "x" << g.pool_w << " stride " << g.stride_h
                                        << " on " << g.height);
      const SlotLayout layout = OneShard(18);
      const std::vector<float> x = RandomValues(18 * InputElements(g), 1),
                               d_y = RandomValues(18 * OutputElements(g), 2);
      std::vector<float> expected_y(d_y.size()), expected_d_x = x;
      ReferenceAveragePoolForward<float>({g, 18, x.data(), expected_y.data()});
      ReferenceAveragePoolBackward<float>(
          {g, 18, nullptr, d_y.data(), expected_d_x.data(), accumulate});
      const Blocks x_blocks = Pack(layout, InputElements(g), x),
                   d_y_blocks = Pack(layout, OutputElements(g), d_y);
      Blocks y = NanBlocks(layout.blocks() * OutputElements(g) * kBlockLanes), d_x = x_blocks;

      const AveragePoolArgs forward{g, layout.blocks(), x_blocks.data(), y.data()};
      RunInPieces(AveragePoolForwardUnits(forward), 3,
                  [&](UnitRange units) { AveragePoolForward(forward, units); });
      const AveragePoolBackwardArgs backward{g, layout.blocks(), d_y_blocks.data(), d_x.data(),
                                             accumulate};
      RunInPieces(AveragePoolBackwardUnits(backward), 4,
                  [&](UnitRange units) { AveragePoolBackward(backward, units); });

      EXPECT_TRUE(SameBits(Unpack(layout, OutputElements(g), y), expected_y));
      EXPECT_TRUE(SameBits(Unpack(layout, InputElements(g), d_x), expected_d_x));
    }
  }
}

TEST(PoolingDeathTest, RefusesChoicesOfMoreThan256Cells) {
  const PoolGeometry g{17, 17, 1, 17, 17, 1, 1, 0, 0, 1, 1};
  const Blocks x = NanBlocks(17 * 17 * kBlockLanes);
  Blocks y = NanBlocks(kBlockLanes);
  std::vector<uint8_t, AlignedAllocator<uint8_t>> choice(kBlockLanes);

  MaxPoolForward({g, 1, x.data(), y.data(), nullptr}, {0, 1});  // accepted: nothing is kept
  EXPECT_DEATH(MaxPoolForward({g, 1, x.data(), y.data(), choice.data()}, {0, 1}),
               "kMaxPoolChoices");
}

TEST(ReferencePooling, HasTheGradientsOfItsForward) {
  for (const PoolGeometry& g : Geometries()) {
    const auto x = RandomValues<double>(InputElements(g), 1),
               d_y = RandomValues<double>(OutputElements(g), 2);
    std::vector<double> y(d_y.size()), d_x(x.size());
    const auto dot = [&] {
      double sum = 0;
      for (size_t k = 0; k < y.size(); ++k) sum += y[k] * d_y[k];
      return sum;
    };

    ReferenceMaxPoolBackward<double>({g, 1, x.data(), d_y.data(), d_x.data(), false});
    ExpectGradient(x, d_x, [&](const std::vector<double>& moved) {
      ReferenceMaxPoolForward<double>({g, 1, moved.data(), y.data()});
      return dot();
    });
    ReferenceAveragePoolBackward<double>({g, 1, nullptr, d_y.data(), d_x.data(), false});
    ExpectGradient(x, d_x, [&](const std::vector<double>& moved) {
      ReferenceAveragePoolForward<double>({g, 1, moved.data(), y.data()});
      return dot();
    });
  }
}

}  // namespace
}  // namespace lockstep::kernels
