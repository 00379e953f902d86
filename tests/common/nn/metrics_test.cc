#include "common/nn/metrics.h"

#include "gmock/gmock.h"

#include "common/nn/loss_registry.h"
#include "tests/common/nn/recorded_run.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::RecordedRun;
using ::lockstep::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

const LossDef& LossOf(absl::string_view name) { return **FindLoss({.type = std::string(name)}); }

Node Accuracy() { return {.type = "accuracy", .where = "metrics[0]"}; }

TEST(MetricOf, TakesAccuracyByLossAndOutputAsKerasDoes) {
  for (const char* loss : {"sparse_categorical_crossentropy", "categorical_crossentropy"}) {
    ASSERT_OK_AND_ASSIGN(const MetricKind kind, MetricOf(Accuracy(), LossOf(loss), Shape{10}));
    EXPECT_EQ(kind, MetricKind::kCategoricalAccuracy) << loss;
  }
  const LossDef& binary = LossOf("binary_crossentropy");
  ASSERT_OK_AND_ASSIGN(const MetricKind one, MetricOf(Accuracy(), binary, Shape{1}));
  EXPECT_EQ(one, MetricKind::kBinaryAccuracy);
  ASSERT_OK_AND_ASSIGN(const MetricKind many, MetricOf(Accuracy(), binary, Shape{4, 1}));
  EXPECT_EQ(many, MetricKind::kBinaryAccuracy);
  ASSERT_OK_AND_ASSIGN(const MetricKind row, MetricOf(Accuracy(), binary, Shape{4}));
  EXPECT_EQ(row, MetricKind::kCategoricalAccuracy) << "of several values the greatest one counts";
}

TEST(MetricOf, RefusesWhatItDoesNotKnowOrCannotSay) {
  EXPECT_THAT(MetricOf({.type = "accuracie"}, LossOf("binary_crossentropy"), Shape{1}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("unknown metric 'accuracie'; did you mean 'accuracy'?")));
  EXPECT_THAT(MetricOf(Accuracy(), LossOf("mean_squared_error"), Shape{1}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("metrics[0].accuracy"),
                             HasSubstr("says nothing about loss 'mean_squared_error'"))));
  EXPECT_THAT(MetricOf(Accuracy(), LossOf("binary_crossentropy"), Shape{2, 3}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("takes one value or one row of values a sample, not (2, 3)")));
}

// One block of samples; slot s holds sample s.
class RecordMetricTest : public ::testing::Test {
 protected:
  // The values of the first samples.
  std::vector<float> Run(MetricKind kind, LossCall call,
                         const std::vector<std::vector<float>>& outputs,
                         const std::vector<std::vector<float>>& targets) {
    const int64_t features = std::ssize(outputs[0]);
    call.shape = Shape{features};
    call.output = builder_.AllocateActivation(features);
    if (call.labels == Slice{}) call.target = builder_.AllocateActivation(features);
    const Slice value = builder_.Allocate(int64_t{kernels::kBlockLanes} * 4);
    RecordMetric(builder_, kind, call, value);
    RecordedRun run(builder_);
    run.Fill(call.output, Packed(outputs));
    if (call.target.valid()) {
      run.Fill(call.target, Packed(targets));
    } else {
      auto* const labels = run.At<int32_t>(call.labels);
      for (size_t n = 0; n < targets.size(); ++n) labels[n] = static_cast<int32_t>(targets[n][0]);
    }
    run.Run();
    return run.Values(value, std::ssize(outputs));
  }

  // [samples][features] to [features][16].
  static std::vector<float> Packed(const std::vector<std::vector<float>>& rows) {
    std::vector<float> packed(rows[0].size() * kernels::kBlockLanes, 0.0f);
    for (size_t n = 0; n < rows.size(); ++n) {
      for (size_t k = 0; k < rows[n].size(); ++k) packed[k * kernels::kBlockLanes + n] = rows[n][k];
    }
    return packed;
  }

  StepBuilder builder_{BatchGeometry{.blocks = 1}, {}};
};

TEST_F(RecordMetricTest, ComparesTheGreatestClassWithTheLabel) {
  const LossCall call{.labels = builder_.Allocate(int64_t{kernels::kBlockLanes} * 4)};

  EXPECT_EQ(Run(MetricKind::kCategoricalAccuracy, call,
                {{0.1f, 0.7f, 0.2f}, {0.5f, 0.2f, 0.3f}, {0.4f, 0.4f, 0.2f}}, {{1}, {2}, {0}}),
            (std::vector<float>{1, 0, 1}))
      << "the first of equals counts";
}

TEST_F(RecordMetricTest, ComparesTheGreatestClassWithTheGreatestTarget) {
  EXPECT_EQ(Run(MetricKind::kCategoricalAccuracy, {}, {{0.1f, 0.7f, 0.2f}, {0.5f, 0.2f, 0.3f}},
                {{0.3f, 0.6f, 0.1f}, {0, 0, 1}}),
            (std::vector<float>{1, 0}));
}

// Three of four right; one half itself is no.
TEST_F(RecordMetricTest, CountsTheShareOfValuesOnTheRightSideOfOneHalf) {
  EXPECT_EQ(Run(MetricKind::kBinaryAccuracy, {}, {{0.9f, 0.2f, 0.5f, 0.6f}}, {{1, 0, 0, 0}}),
            (std::vector<float>{0.75f}));
}

// Behind a sigmoid that the loss has taken the logits of, 0 is one half.
TEST_F(RecordMetricTest, ComparesLogitsThatTheLossTakesWithZero) {
  EXPECT_EQ(Run(MetricKind::kBinaryAccuracy, {.logits = true}, {{0.2f, -0.2f, 0.0f, -3.0f}},
                {{1, 0, 0, 1}}),
            (std::vector<float>{0.75f}));
}

}  // namespace
}  // namespace lockstep
