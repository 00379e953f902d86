#include "common/plan/model_summary.h"

#include "gmock/gmock.h"

#include "tests/common/plan/planned_job.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::PlannedJob;
using ::testing::ElementsAre;

constexpr absl::string_view kJob =
    "model:\n"
    "  input_shape: [4, 4, 3]\n"
    "  layers:\n"
    "    - conv2d: {filters: 8, kernel_size: 3, padding: same}\n"
    "    - batch_normalization\n"
    "    - flatten\n"
    "    - dense: {units: 10, trainable: false}\n"
    "    - dense: {units: 10, name: square}\n"
    "    - reuse: {layer: square, name: again}\n"
    "    - add: {inputs: [square, again]}\n"
    "loss: mean_squared_error\n"
    "optimizer: sgd\n";

ModelSummary SummaryOf(absl::string_view job) {
  const absl::StatusOr<PlannedJob> planned = PlannedJob::Create(job);
  EXPECT_OK(planned);
  return Summarize(*planned->graph().models[0].model);
}

// By hand: conv 3*3*3*8 + 8, normalization 4*8, dense 128*10 + 10 (fixed), square 10*10 + 10.
TEST(ModelSummary, CountsParametersOnceAndFixedOnesApart) {
  const ModelSummary summary = SummaryOf(kJob);

  ASSERT_EQ(summary.layers.size(), 7u);
  EXPECT_EQ(summary.layers[0].parameters, 224);
  EXPECT_EQ(summary.layers[1].parameters, 32);
  EXPECT_EQ(summary.layers[3].parameters, 1290);
  EXPECT_EQ(summary.layers[4].parameters, 110);
  EXPECT_EQ(summary.layers[5].parameters, 0) << "a further call has none of its own";
  EXPECT_EQ(summary.trainable_parameters, 224 + 16 + 110);
  EXPECT_EQ(summary.fixed_parameters, 16 + 1290);
}

TEST(ModelSummary, TellsShapesInputsAndFlopsOfEveryCall) {
  const ModelSummary summary = SummaryOf(kJob);

  EXPECT_EQ(summary.layers[0].output_shape, (Shape{4, 4, 8}));
  EXPECT_EQ(summary.layers[0].flops, 2.0 * 4 * 4 * 3 * 3 * 3 * 8);
  EXPECT_EQ(summary.layers[5].type, "dense");
  EXPECT_EQ(summary.layers[5].flops, 200.0) << "a further call computes again";
  EXPECT_THAT(summary.layers[6].inputs, ElementsAre("square", "again"));
  double flops = 0;
  for (const LayerSummary& layer : summary.layers) flops += layer.flops;
  EXPECT_EQ(summary.flops, flops);
}

TEST(ModelSummary, ReadsAsATable) {
  EXPECT_EQ(ToText(SummaryOf("model: {input_shape: [1000], layers: [{dense: {units: 2}}, "
                             "{activation: {activation: relu, name: on}}]}\n"
                             "loss: mean_squared_error\noptimizer: sgd\n")),
            "model 'model'\n"
            "layer  type        output shape  parameters  FLOPs/sample  inputs\n"
            "----------------------------------------------------------------------\n"
            "dense  dense       (2,)               2,002        4.00 k  input_layer\n"
            "on     activation  (2,)                   0             2  dense\n"
            "parameters: 2,002 (2,002 trainable, 0 not)\n");
}

TEST(ModelSummary, BecomesAValueForJson) {
  EXPECT_EQ(ToJson(ToValue(SummaryOf("model: {input_shape: [3], layers: [{dense: {units: 2}}]}\n"
                                     "loss: mean_squared_error\noptimizer: sgd\n"))),
            R"({"fixed_parameters":0,"flops_per_sample":12,"layers":[{"flops_per_sample":12,)"
            R"("inputs":["input_layer"],"name":"dense","output_shape":[2],"parameters":8,)"
            R"("type":"dense"}],"name":"model","trainable_parameters":8})");
}

TEST(HumanCount, KeepsThreeDigits) {
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1000), "1.00 k");
  EXPECT_EQ(HumanCount(12345), "12.3 k");
  EXPECT_EQ(HumanCount(123456789), "123 M");
  EXPECT_EQ(HumanCount(1.5e6, "FLOP"), "1.50 MFLOP");
  EXPECT_EQ(HumanCount(12, "FLOP"), "12 FLOP");
}

// Rounding may not make a fourth digit or leave a unit too early.
TEST(HumanCount, RoundsIntoTheNextWidth) {
  EXPECT_EQ(HumanCount(9996), "10.0 k");
  EXPECT_EQ(HumanCount(99960), "100 k");
  EXPECT_EQ(HumanCount(999600), "1.00 M");
}

TEST(HumanBytes, CountsIn1024) {
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.00 KiB");
  EXPECT_EQ(HumanBytes(int64_t{2779136}), "2.65 MiB");
}

TEST(GroupedDigits, SetsACommaBeforeEveryThirdDigit) {
  EXPECT_EQ(GroupedDigits(0), "0");
  EXPECT_EQ(GroupedDigits(999), "999");
  EXPECT_EQ(GroupedDigits(1000), "1,000");
  EXPECT_EQ(GroupedDigits(-693962), "-693,962");
}

TEST(FormatTable, PadsByCharactersNotBytes) {
  EXPECT_EQ(FormatTable({{"name", "n"}, {"größe", "10"}, {"a", "2"}}, {false, true}),
            "name    n\n"
            "---------\n"
            "größe  10\n"
            "a       2\n");
}

}  // namespace
}  // namespace lockstep
