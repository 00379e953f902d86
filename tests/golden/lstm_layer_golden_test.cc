// The LSTM vectors of numerics.json against the layer in a model, whole: outputs, and gradients of
// inputs and variables over shards and calls, for ranks that split the shards.
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "tests/conformance/model_probe.h"
#include "tests/golden/golden_file.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

// The layer called once on x0, or also on x1.
std::string ModelOf(const Golden& c) {
  const bool twice = c.integer("calls") == 2;
  const std::string shape =
      absl::StrCat("[", c.integer("positions"), ", ", c.integer("inputs"), "]");
  return absl::StrCat(
      "{inputs: {x0: ", shape, twice ? ", x1: " + shape : "",
      "}, layers: [{lstm: {name: layer, inputs: x0, units: ", c.integer("units"),
      ", return_sequences: ", c.integer("sequences") != 0 ? "true" : "false",
      ", go_backwards: ", c.integer("backwards") != 0 ? "true" : "false",
      ", use_bias: ", c.text("b").empty() ? "false" : "true", "}}",
      twice ? ", {reuse: {layer: layer, name: again, inputs: x1}}], outputs: [layer, again]}"
            : "], outputs: [layer]}");
}

Tensors PartsOf(const Golden& c, absl::string_view name) {
  const std::vector<float> values = c.floats(name);
  const int64_t parts = c.integer("calls"), size = std::ssize(values) / parts;
  Tensors tensors;
  for (int64_t k = 0; k < parts; ++k) {
    tensors.emplace_back(values.begin() + k * size, values.begin() + (k + 1) * size);
  }
  return tensors;
}

TEST(LstmLayerGolden, OutputsAndGradients) {
  for (const Golden& c : Numerics().cases("lstm")) {
    const std::vector<int64_t> counts = c.integers("counts");
    const auto shards = static_cast<int64_t>(counts.size());
    int64_t samples = 0;
    for (const int64_t count : counts) samples += count;
    ASSERT_OK_AND_ASSIGN(
        const ModelProbe probe,
        ModelProbe::Create(ModelOf(c), {shards * c.integer("shard_positions"), shards, samples}));
    ModelPoint point{.inputs = PartsOf(c, "x"),
                     .variables = {{"layer/lstm_cell/kernel", c.floats("w")},
                                   {"layer/lstm_cell/recurrent_kernel", c.floats("u")}},
                     .d_outputs = PartsOf(c, "d_y")};
    NamedValues d_variables = {{"layer/lstm_cell/kernel", c.floats("d_w")},
                               {"layer/lstm_cell/recurrent_kernel", c.floats("d_u")}};
    if (!c.text("b").empty()) {
      point.variables.emplace_back("layer/lstm_cell/bias", c.floats("b"));
      d_variables.emplace_back("layer/lstm_cell/bias", c.floats("d_b"));
    }
    for (int ranks = 1; ranks <= shards; ++ranks) {
      ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome,
                           probe.Run(point, Pass::kTrain, {.ranks = ranks, .threads = 2}));
      EXPECT_TRUE(SameBits(outcome.outputs[0], c.floats("y"))) << c.text("counts");
      EXPECT_TRUE(SameBits(outcome.d_inputs[0], c.floats("d_x"))) << c.text("counts");
      EXPECT_TRUE(SameBits(outcome.d_variables, d_variables)) << c.text("counts");
    }
    ASSERT_OK_AND_ASSIGN(const ModelOutcome evaluated, probe.Run(point, Pass::kEvaluate, {}));
    EXPECT_TRUE(SameBits(evaluated.outputs[0], c.floats("y"))) << c.text("counts");
  }
}

}  // namespace
}  // namespace lockstep::testing
