// The gradients of every layer, by differences of its outputs; gradient_check.h says how. The
// double references of the kernels are held to more (tests/common/kernels); this holds the layers
// to what they compute.
#include "gtest/gtest.h"

#include "tests/conformance/gradient_check.h"
#include "tests/conformance/layer_cases.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

// Few samples, so that one of them weighs; the last shard is empty.
constexpr BatchShape kBatch = {8, 4, 5};

class LayerGradients : public ::testing::TestWithParam<LayerCase> {};
INSTANTIATE_TEST_SUITE_P(Examples, LayerGradients, ::testing::ValuesIn(LayerCases()),
                         LayerCaseName);

void ExpectGradients(const std::string& model) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(model, kBatch));
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    EXPECT_TRUE(HasTheGradient(probe, probe.RandomPoint(seed), kEveryOperand, seed * 10))
        << "seed " << seed;
  }
}

TEST_P(LayerGradients, HasTheDirectionalDerivativeOfItsOutputs) {
  ExpectGradients(ModelOf(GetParam()));
}

TEST_P(LayerGradients, HasTheSumOfTheGradientsOfItsCallsWhenItIsShared) {
  ExpectGradients(SharedModelOf(GetParam()));
}

TEST_P(LayerGradients, PassesTheGradientOnWhenItIsNotTrainable) {
  ExpectGradients(FrozenModelOf(GetParam()));
}

// One by one, so that the gradient of a small bias does not drown in that of a large input.
TEST_P(LayerGradients, IsAdjointToItsJacobianInEveryOperand) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(ModelOf(GetParam()), kBatch));
  const ModelPoint point = probe.RandomPoint(11);
  for (size_t operand = 0; operand < OperandCount(probe); ++operand) {
    EXPECT_TRUE(HasTheGradient(probe, point, operand, 12)) << "operand " << operand;
  }
}

}  // namespace
}  // namespace lockstep::testing
