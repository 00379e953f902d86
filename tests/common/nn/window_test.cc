#include "common/nn/window.h"

#include "gmock/gmock.h"

#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::HasSubstr;

WindowRequest Request(int64_t in, int64_t window, int64_t stride = 1, int64_t dilation = 1) {
  return {"height", "kernel_size", in, window, stride, dilation};
}

// By moving the window until it leaves the input.
TEST(PlaceWindow, CountsValidPositions) {
  for (int64_t in = 1; in <= 12; ++in) {
    for (int64_t window = 1; window <= 4; ++window) {
      for (int64_t stride = 1; stride <= 3; ++stride) {
        for (int64_t dilation = 1; dilation <= 3; ++dilation) {
          int64_t positions = 0;
          for (int64_t at = 0; at + (window - 1) * dilation < in; at += stride) ++positions;
          const auto axis = PlaceWindow(Request(in, window, stride, dilation), /*same=*/false);
          if (positions == 0) {
            EXPECT_FALSE(axis.ok());
            continue;
          }
          ASSERT_OK(axis);
          EXPECT_EQ(axis->out, positions) << in << " " << window << " " << stride;
          EXPECT_EQ(axis->before, 0);
        }
      }
    }
  }
}

// Figures of TensorFlow's "SAME": the odd cell of padding stands after the input.
TEST(PlaceWindow, PadsSameAsKerasDoes) {
  const auto place = [](const WindowRequest& request) { return *PlaceWindow(request, true); };

  EXPECT_EQ(place(Request(5, 3)).out, 5);
  EXPECT_EQ(place(Request(5, 3)).before, 1);
  EXPECT_EQ(place(Request(5, 2)).before, 0);
  EXPECT_EQ(place(Request(7, 3, 2)).out, 4);
  EXPECT_EQ(place(Request(7, 3, 2)).before, 1);
  EXPECT_EQ(place(Request(8, 3, 2)).before, 0);
  EXPECT_EQ(place(Request(6, 3, 1, 2)).before, 2);
  EXPECT_EQ(place(Request(9, 1, 4)).out, 3);
  EXPECT_EQ(place(Request(9, 1, 4)).before, 0) << "a stride may pass cells by; never negative";
}

TEST(PlaceWindow, RefusesAWindowLargerThanItsInput) {
  EXPECT_OK(PlaceWindow(Request(5, 3, 1, 2), false));
  EXPECT_THAT(PlaceWindow(Request(4, 3, 1, 2), false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("window of 5 is larger than input height 4; reduce "
                                 "'kernel_size' or set 'padding' to 'same'")));
}

TEST(CheckImage, TakesThreeDimensions) {
  EXPECT_OK(CheckImage(Shape{4, 4, 1}));
  EXPECT_THAT(CheckImage(Shape{4, 4}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                HasSubstr("input shape (4, 4) is no image")));
}

TEST(CheckInputCount, NamesBothCounts) {
  EXPECT_OK(CheckInputCount(1, 1));
  EXPECT_THAT(CheckInputCount(2, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 2 inputs but takes 1")));
}

}  // namespace
}  // namespace lockstep
