// What `accuracy` means beside binary cross-entropy, against Keras (graph.json): one value is on
// the target's side of one half, of two the greatest is compared; logits by the user's word are
// compared as they are.
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "gtest/gtest.h"

#include "common/base/status_macros.h"
#include "tests/conformance/probe.h"
#include "tests/golden/golden_file.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

// $0 units, $1 activation, $2 from_logits.
constexpr char kJob[] = R"(
name: accuracy
model:
  input_shape: [1]
  layers: [{dense: {units: $0, activation: $1, name: y}}]
data: {train: {format: idx, inputs: a, targets: b}}
loss: {binary_crossentropy: {from_logits: $2}}
metrics: [accuracy]
optimizer: sgd
)";

// accuracies() of make_graph_goldens.py.
absl::StatusOr<double> AccuracyOf(int64_t units, bool from_logits) {
  const std::vector<float> both = {1, 1, 1, 0, 1, 1, 0, 1, 0, 1}, first = {1, 1, 1, 0, 0};
  Dataset data;
  data.count = 5;
  data.inputs.push_back(
      MakeColumn("input_layer", Shape{1}, std::vector<float>{0.2f, 0.4f, 0.7f, -1, 3}));
  data.targets.push_back(MakeColumn("y", Shape{units}, units == 2 ? both : first));
  std::vector<float> kernel = {1.0f, -0.5f};
  kernel.resize(static_cast<size_t>(units));
  LOCKSTEP_ASSIGN_OR_RETURN(const ProgramDef* const program, FindProgram("supervised"));
  const ProbeRequest request{
      .job = absl::Substitute(kJob, units, from_logits ? "linear" : "sigmoid", from_logits),
      .program = program,
      .data = &data,
      .samples = data.count,
      .pass = Pass::kEvaluate,
      .variables = {{"y/kernel", kernel}, {"y/bias", std::vector<float>(kernel.size())}}};
  LOCKSTEP_ASSIGN_OR_RETURN(const ProbeResult result, RunProbe(request, {}));
  return result.sums.at(1) / static_cast<double>(data.count);  // sums[0] is the loss
}

TEST(AccuracyGolden, IsThatOfKerasForEveryUseOfBinaryCrossEntropy) {
  const Golden truth = Golden::Read("keras/graph.json").at("accuracy");
  for (const int64_t units : {1, 2}) {
    for (const bool from_logits : {false, true}) {
      ASSERT_OK_AND_ASSIGN(const double accuracy, AccuracyOf(units, from_logits));
      const std::string name = absl::StrCat(from_logits ? "logits_" : "sigmoid_", units);
      EXPECT_EQ(accuracy, truth.reals(name).at(0)) << name;
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
