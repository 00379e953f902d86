// Padding moves values and adds zeros, with the bits of its reference twin; see dense_test.cc for
// the pattern.
#include "common/kernels/zero_padding2d.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_zero_padding2d.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

constexpr ZeroPadding2dGeometry kGeometries[] = {
    {.height = 3, .width = 4, .channels = 2, .top = 1, .bottom = 2, .left = 3, .right = 4},
    {.height = 5, .width = 2, .channels = 1, .top = 0, .bottom = 1, .left = 2, .right = 0},
    {.height = 1, .width = 1, .channels = 7, .top = 0, .bottom = 0, .left = 0, .right = 0},
};
constexpr int32_t kSamples = 18;  // two blocks, the second one with garbage in its other lanes

int64_t Inside(const ZeroPadding2dGeometry& g) { return g.height * g.width * g.channels; }
int64_t Padded(const ZeroPadding2dGeometry& g) { return g.out_h() * g.out_w() * g.channels; }

std::vector<float> WithEdges(int64_t count, uint32_t seed) {
  std::vector<float> values = RandomValues(count, seed);
  const float edges[] = {-0.0f, std::numeric_limits<float>::infinity(), std::nanf(""), 1e-40f};
  for (size_t k = 0; k < std::size(edges); ++k) values[3 * k] = edges[k];
  return values;
}

using ZeroPadding2d = SimdTest;
LOCKSTEP_EVERY_SIMD(ZeroPadding2d);

TEST_P(ZeroPadding2d, ForwardHasTheBitsOfTheReference) {
  const SlotLayout layout = OneShard(kSamples);
  for (const ZeroPadding2dGeometry& g : kGeometries) {
    const auto x = WithEdges(kSamples * Inside(g), 1);
    const Blocks packed = Pack(layout, Inside(g), x);
    Blocks y = NanBlocks(layout.blocks() * Padded(g) * kBlockLanes);
    const ZeroPadding2dForwardArgs args{g, layout.blocks(), packed.data(), y.data()};
    RunInPieces(ZeroPadding2dForwardUnits(args), 2,
                [&](UnitRange units) { ZeroPadding2dForward(args, units); });
    EXPECT_TRUE(SameBits(Unpack(layout, Padded(g), y), ReferenceZeroPadding2d(g, kSamples, x)));
  }
}

TEST_P(ZeroPadding2d, BackwardHasTheBitsOfTheReference) {
  const SlotLayout layout = OneShard(kSamples);
  for (const ZeroPadding2dGeometry& g : kGeometries) {
    const auto d_y = WithEdges(kSamples * Padded(g), 1),
               before = WithEdges(kSamples * Inside(g), 2);
    for (const bool accumulate : {false, true}) {
      std::vector<float> expected = before;
      ReferenceZeroPadding2dBackward(g, kSamples, d_y, accumulate, expected);
      const Blocks packed = Pack(layout, Padded(g), d_y);
      Blocks d_x = Pack(layout, Inside(g), before);
      const ZeroPadding2dBackwardArgs args{g, layout.blocks(), packed.data(), d_x.data(),
                                           accumulate};
      RunInPieces(ZeroPadding2dBackwardUnits(args), 2,
                  [&](UnitRange units) { ZeroPadding2dBackward(args, units); });
      EXPECT_TRUE(SameBits(Unpack(layout, Inside(g), d_x), expected)) << accumulate;
    }
  }
}

TEST(ZeroPadding2dReference, PutsTheImageBehindTheTopAndLeftBorder) {
  const ZeroPadding2dGeometry g{
      .height = 1, .width = 2, .channels = 1, .top = 1, .bottom = 0, .left = 1, .right = 2};
  EXPECT_EQ(ReferenceZeroPadding2d<float>(g, 1, {7, 8}),
            (std::vector<float>{0, 0, 0, 0, 0, 0, 7, 8, 0, 0}));
}

TEST(ZeroPadding2dReference, BackwardIsTheAdjointOfForward) {
  const ZeroPadding2dGeometry& g = kGeometries[0];
  const auto x = RandomValues<double>(2 * Inside(g), 1),
             d_y = RandomValues<double>(2 * Padded(g), 2);
  std::vector<double> d_x(x.size(), 0);
  ReferenceZeroPadding2dBackward(g, 2, d_y, false, d_x);
  ExpectGradient(x, d_x, [&](const std::vector<double>& values) {
    const auto y = ReferenceZeroPadding2d(g, 2, values);
    double sum = 0;
    for (size_t k = 0; k < y.size(); ++k) sum += y[k] * d_y[k];
    return sum;
  });
}

}  // namespace
}  // namespace lockstep::kernels
