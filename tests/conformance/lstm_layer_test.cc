// What the LSTM layer takes and refuses; what it computes is in layer_test.cc's suites and in
// tests/golden.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "tests/conformance/model_probe.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<ModelProbe> WithOptions(absl::string_view options,
                                       absl::string_view shape = "[4, 3]") {
  return ModelProbe::Create(
      absl::StrCat("{input_shape: ", shape, ", layers: [{lstm: {", options, "}}]}"),
      kBatchShapes[0]);
}

TEST(LstmLayer, HasKerasVariablesInKerasOrder) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, WithOptions("units: 2, name: rows"));
  const std::vector<Model::Variable>& variables = probe.model().variables();

  ASSERT_EQ(variables.size(), 3u);
  EXPECT_EQ(variables[0].path, "rows/lstm_cell/kernel");
  EXPECT_EQ(variables[0].shape, (Shape{3, 8}));
  EXPECT_EQ(variables[0].initializer.type, "glorot_uniform");
  EXPECT_EQ(variables[1].path, "rows/lstm_cell/recurrent_kernel");
  EXPECT_EQ(variables[1].shape, (Shape{2, 8}));
  EXPECT_EQ(variables[1].initializer.type, "orthogonal");
  EXPECT_EQ(variables[2].path, "rows/lstm_cell/bias");
  EXPECT_EQ(variables[2].shape, (Shape{8}));
  EXPECT_EQ(variables[2].initializer.type, "unit_forget_bias");
}

TEST(LstmLayer, LeavesTheBiasAsTheJobWantsIt) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe none, WithOptions("units: 2, use_bias: false"));
  EXPECT_EQ(none.model().variables().size(), 2u);
  ASSERT_OK_AND_ASSIGN(const ModelProbe plain,
                       WithOptions("units: 2, unit_forget_bias: false, bias_initializer: ones"));
  EXPECT_EQ(plain.model().variables()[2].initializer.type, "ones");
}

TEST(LstmLayer, RefusesWhatItDoesNotDo) {
  const struct {
    const char* options;
    const char* shape;
    const char* message;
  } kCases[] = {
      {"units: 2, dropout: 0.1", "[4, 3]", "dropout: is not supported yet"},
      {"units: 2, recurrent_dropout: 0.1", "[4, 3]", "recurrent_dropout: is not supported yet"},
      {"units: 2, return_state: true", "[4, 3]", "return_state: is not supported yet"},
      {"units: 2, stateful: true", "[4, 3]", "stateful: is not supported yet"},
      {"units: 2, activation: softmax", "[4, 3]", "softmax"},
      {"units: 2", "[4]", "(positions, features) is wanted"},
      {"units: 2", "[4, 4, 3]", "(positions, features) is wanted"},
      {"units: 0", "[4, 3]", "units"},
      {"units: 100000", "[4, 3]", "(100000, 4, 100000)"},
      {"units: 2, bias_initializer: orthogonal", "[4, 3]", "two or more dimensions"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(WithOptions(c.options, c.shape),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.options;
  }
  EXPECT_OK(WithOptions("units: 2, unroll: true, dropout: 0, return_state: false"));
}

// Keras keeps the outputs of a reversed layer in the order of its steps.
TEST(LstmLayer, ReadsFromTheLastPositionToTheFirst) {
  const std::string common = "units: 3, return_sequences: true, name: layer";
  ASSERT_OK_AND_ASSIGN(const ModelProbe forwards, WithOptions(common));
  ASSERT_OK_AND_ASSIGN(const ModelProbe backwards, WithOptions(common + ", go_backwards: true"));
  ModelPoint point = forwards.RandomPoint(1);
  ASSERT_OK_AND_ASSIGN(const ModelOutcome expected, forwards.Run(point, Pass::kEvaluate, {}));
  std::vector<float>& x = point.inputs[0];
  constexpr size_t kPositions = 4, kFeatures = 3;
  for (size_t first = 0; first < x.size(); first += kPositions * kFeatures) {
    for (size_t p = 0; p < kPositions / 2; ++p) {
      for (size_t f = 0; f < kFeatures; ++f) {
        std::swap(x[first + p * kFeatures + f], x[first + (kPositions - 1 - p) * kFeatures + f]);
      }
    }
  }

  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, backwards.Run(point, Pass::kEvaluate, {}));

  EXPECT_TRUE(SameBits(outcome.outputs, expected.outputs));
}

}  // namespace
}  // namespace lockstep::testing
