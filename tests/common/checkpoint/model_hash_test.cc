#include "common/checkpoint/model_hash.h"

#include <vector>

#include "gmock/gmock.h"

#include "common/base/sha256.h"

namespace lockstep {
namespace {

using Views = std::vector<TensorView>;

TEST(ModelSha256, IsTheHashOfNameTypeShapeAndLittleEndianBytes) {
  const std::vector<float> kernel = {1.0f, -2.0f};
  const std::vector<float> scalar = {0.5f};
  const std::string expected = std::string("dense/kernel F32 [2, 1]\n\0\0\x80\x3f\0\0\0\xc0", 32) +
                               std::string("mean F32 []\n\0\0\0\x3f", 16);

  EXPECT_EQ(ModelSha256(Views{{"dense/kernel", {2, 1}, kernel}, {"mean", {}, scalar}}),
            Sha256Hex(expected));
}

TEST(ModelSha256, DependsOnOrderNameShapeAndEveryBit) {
  const std::vector<float> a = {1.0f, 2.0f};
  const std::vector<float> b = {1.0f, -0.0f};
  const std::vector<float> c = {1.0f, 0.0f};
  const std::string hash = ModelSha256(Views{{"x", {2}, a}, {"y", {2}, b}});

  EXPECT_EQ(ModelSha256(Views{{"x", {2}, a}, {"y", {2}, b}}), hash);
  EXPECT_NE(ModelSha256(Views{{"y", {2}, b}, {"x", {2}, a}}), hash);
  EXPECT_NE(ModelSha256(Views{{"x", {2}, a}, {"z", {2}, b}}), hash);
  EXPECT_NE(ModelSha256(Views{{"x", {2}, a}, {"y", {2, 1}, b}}), hash);
  EXPECT_NE(ModelSha256(Views{{"x", {2}, a}, {"y", {2}, c}}), hash);
}

}  // namespace
}  // namespace lockstep
