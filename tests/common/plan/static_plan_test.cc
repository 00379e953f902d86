#include "common/plan/static_plan.h"

#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "tests/common/plan/planned_job.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::kCnnJob;
using ::lockstep::testing::PlannedJob;
using ::lockstep::testing::ResidualJob;
using ::testing::SizeIs;

// What stands in the list, extents left out. Calls that are recorded once a subtree count once.
std::vector<std::string> CallsOf(const StepBuilder& builder) {
  std::vector<std::string> calls;
  for (const StepBuilder::Entry& entry : builder.entries()) {
    const bool is_call = entry.kind == StepBuilder::Entry::Kind::kCall;
    const std::string call =
        is_call ? entry.info.label
                : absl::StrCat(
                      entry.collective.label, " of ", entry.collective.count,
                      entry.collective.kind == CollectiveKind::kSumFloats ? " floats" : " moments");
    if (calls.empty() || calls.back() != call || !is_call) calls.push_back(call);
  }
  return calls;
}

std::vector<std::string> NamesOf(const std::vector<PersistentBuffer>& buffers) {
  std::vector<std::string> names;
  for (const PersistentBuffer& buffer : buffers) names.push_back(buffer.name);
  return names;
}

// Collectives meet because every rank walks the same list.
TEST(StaticPlan, HasTheSameCallsAndBuffersOnEveryRankOfAnyWorkers) {
  for (const std::string& job : {std::string(kCnnJob), ResidualJob()}) {
    ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(job));
    const std::unique_ptr<StaticPlan> alone = planned.PlanFor(1, 0);
    const std::vector<std::string> calls = CallsOf(*alone->train()[0].phase.builder);
    for (const int32_t workers : {2, 3, 5, 8}) {
      for (int32_t rank = 0; rank < workers; ++rank) {
        const std::unique_ptr<StaticPlan> plan = planned.PlanFor(workers, rank);
        ASSERT_THAT(plan->train(), SizeIs(1));
        EXPECT_EQ(CallsOf(*plan->train()[0].phase.builder), calls) << rank << " of " << workers;
        EXPECT_EQ(NamesOf(plan->persistent()), NamesOf(alone->persistent()));
        EXPECT_LE(plan->arena_bytes(), alone->arena_bytes()) << "less to hold, not more";
      }
    }
  }
}

TEST(StaticPlan, GivesEveryParameterBlockOneOwnerAndTheOwnerItsState) {
  ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(kCnnJob));
  const ParameterSet& parameters = *planned.graph().parameters;
  for (const int32_t workers : {1, 3, 8}) {
    int64_t next = parameters.TrainableRange(0).begin;
    for (int32_t rank = 0; rank < workers; ++rank) {
      const std::unique_ptr<StaticPlan> plan = planned.PlanFor(workers, rank);
      ASSERT_THAT(plan->owned(), SizeIs(1));
      const OwnedModel& owned = plan->owned()[0];
      ASSERT_THAT(owned.ranges, SizeIs(static_cast<size_t>(workers)));
      EXPECT_EQ(owned.own, owned.ranges[static_cast<size_t>(rank)]);
      EXPECT_EQ(owned.ranges, planned.PlanFor(workers, 0)->owned()[0].ranges) << "all agree";
      EXPECT_EQ(owned.own.begin, next);
      EXPECT_EQ(owned.own.begin % kParameterBlockElements, 0);
      next = owned.own.end;
      ASSERT_THAT(owned.state, SizeIs(2)) << "adam: m and v";
      for (const Slice slot : owned.state) {
        EXPECT_EQ(plan->persistent()[static_cast<size_t>(slot.buffer)].bytes, owned.own.size() * 4);
      }
    }
    EXPECT_EQ(next, parameters.TrainableRange(0).end);
  }
}

TEST(StaticPlan, HoldsAGradientBufferForEverySubtree) {
  ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(kCnnJob));
  const int64_t stride = planned.graph().parameters->trainable_elements() * 4;
  for (int32_t rank = 0; rank < 3; ++rank) {
    const std::unique_ptr<StaticPlan> plan = planned.PlanFor(3, rank);
    const ProgramContext& slices = plan->slices();

    ASSERT_EQ(slices.gradients.size(), slices.geometry.subtrees.size());
    for (size_t t = 0; t < slices.gradients.size(); ++t) {
      EXPECT_EQ(slices.gradients[t].offset_bytes, static_cast<int64_t>(t) * stride);
    }
    const auto& buffer = plan->persistent()[static_cast<size_t>(slices.gradients[0].buffer)];
    EXPECT_TRUE(buffer.shared) << "ranks of a host add them where they are";
    EXPECT_EQ(buffer.bytes, static_cast<int64_t>(slices.gradients.size()) * stride);
  }
}

// Each model's values and state that the rank owns; rank 0 also what nobody trains.
TEST(StaticPlan, HasRoomForASnapshotOfWhatARankOwns) {
  ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(ResidualJob()));
  const ParameterSet& parameters = *planned.graph().parameters;
  for (int32_t rank = 0; rank < 3; ++rank) {
    const std::unique_ptr<StaticPlan> plan = planned.PlanFor(3, rank);
    const int64_t own = plan->owned()[0].own.size();
    const int64_t fixed = parameters.elements() - parameters.trainable_elements();

    ASSERT_GT(fixed, 0) << "moving means and variances";
    EXPECT_EQ(plan->persistent()[static_cast<size_t>(plan->snapshot().buffer)].bytes,
              (own * 2 + (rank == 0 ? fixed : 0)) * 4);
  }
}

TEST(StaticPlan, SharesAFeedBetweenDataSetsOfOneSignature) {
  ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(kCnnJob));
  const DataSignature& same = planned.signature();
  DataSignature bytes = planned.signature();
  bytes.inputs[0].type = kernels::SampleType::kU8;
  const DataSignature also_bytes = bytes;
  PlanRequest request = planned.RequestFor(2, 1);
  request.evaluations = {&same, &bytes, &also_bytes};

  const std::unique_ptr<StaticPlan> plan = StaticPlan::Create(request);

  ASSERT_THAT(plan->evaluations(), SizeIs(3));
  const Slice train = plan->slices().feed.input_rows[0];
  EXPECT_EQ(plan->evaluations()[0].feed.input_rows[0], train);
  EXPECT_NE(plan->evaluations()[1].feed.input_rows[0], train);
  EXPECT_EQ(plan->evaluations()[2].feed.input_rows[0], plan->evaluations()[1].feed.input_rows[0]);
  const auto bytes_of = [&](Slice rows) {
    return plan->persistent()[static_cast<size_t>(rows.buffer)].bytes;
  };
  EXPECT_EQ(bytes_of(train), 4 * bytes_of(plan->evaluations()[1].feed.input_rows[0]));
}

TEST(StaticPlan, CountsItsMemory) {
  ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(kCnnJob));
  const std::unique_ptr<StaticPlan> plan = planned.PlanFor(1, 0);
  int64_t persistent = 0;
  for (const PersistentBuffer& buffer : plan->persistent()) persistent += buffer.bytes;

  EXPECT_EQ(plan->persistent_bytes(), persistent);
  EXPECT_EQ(plan->bytes(), persistent + plan->arena_bytes());
  EXPECT_GE(plan->arena_bytes(), plan->train()[0].arena.bytes);
}

// Two for a multiply and an add, three passes but for the first layer's, which needs no gradient of
// the pixels; 32 samples fill their blocks, so nothing is padding.
TEST(StaticPlan, CountsTheFlopsOfTheMatrixProducts) {
  ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(kCnnJob));
  const double conv = 2.0 * 26 * 26 * 9 * 32, dense = 2.0 * 13 * 13 * 32 * 128,
               last = 2.0 * 128 * 10;
  const double products = 32 * (2 * conv + 3 * dense + 3 * last);
  double counted = 0;
  const std::unique_ptr<StaticPlan> plan = planned.PlanFor(1, 0);
  for (const StepBuilder::Entry& entry : plan->train()[0].phase.builder->entries()) {
    const std::string& label = entry.info.label;
    const bool product = absl::EndsWith(label, "/forward") ||
                         absl::EndsWith(label, "/backward_data") ||
                         absl::EndsWith(label, "/backward_weights");
    if (product && !absl::StrContains(label, "pooling")) counted += entry.info.flops;
  }

  EXPECT_EQ(counted, products);
  EXPECT_GE(plan->flops(), products);
}

}  // namespace
}  // namespace lockstep
