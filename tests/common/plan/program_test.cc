#include "common/plan/program.h"

#include <algorithm>

#include "gmock/gmock.h"

#include "tests/common/plan/planned_job.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::PlannedJob;
using ::lockstep::testing::StatusIs;
using ::testing::HasSubstr;

TEST(Program, IsFoundByName) {
  ASSERT_OK_AND_ASSIGN(const ProgramDef* const program, FindProgram("supervised"));
  EXPECT_EQ(program->name, "supervised");

  EXPECT_THAT(FindProgram("superwised"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("unknown program 'superwised'; did you mean 'supervised'?")));
}

TEST(Program, StandSortedInTheirRoom) {
  EXPECT_TRUE(
      std::is_sorted(Programs().begin(), Programs().end(),
                     [](const ProgramDef* a, const ProgramDef* b) { return a->name < b->name; }));
}

TEST(SupervisedProgram, TakesOneModel) {
  ASSERT_OK_AND_ASSIGN(const ProgramDef* const supervised, FindProgram("supervised"));
  ASSERT_OK_AND_ASSIGN(
      const PlannedJob one,
      PlannedJob::Create("model: {input_shape: [4], layers: [{dense: {units: 2}}]}\n"
                         "loss: mean_squared_error\noptimizer: sgd\n"));
  EXPECT_OK(supervised->check(one.graph()));

  ASSERT_OK_AND_ASSIGN(
      const PlannedJob two,
      PlannedJob::Create("models: {a: {input_shape: [4], layers: [{dense: {units: 2}}]}, "
                         "b: {input_shape: [4], layers: [{dense: {units: 2}}]}}\n"
                         "loss: mean_squared_error\noptimizers: {a: sgd, b: sgd}\n"));
  EXPECT_THAT(supervised->check(two.graph()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("takes one model")));
}

// Four slots a shard; `counts` of them hold samples, one after another in `values`.
double SumOf(const std::vector<int32_t>& counts, const std::vector<float>& values,
             kernels::SubtreeRange subtree, const std::vector<float>& weights = {}) {
  constexpr int32_t kShardSlots = 4;
  const kernels::SlotMap slots{.blocks = 1,
                               .shards = static_cast<int32_t>(counts.size()),
                               .shard_slots = kShardSlots,
                               .shard_positions = kShardSlots,
                               .shard_count = counts.data()};
  std::vector<float> value(16, std::nanf("")), weight(16, std::nanf(""));
  size_t next = 0;
  for (size_t shard = 0; shard < counts.size(); ++shard) {
    for (int32_t k = 0; k < counts[shard]; ++k, ++next) {
      const size_t slot = shard * kShardSlots + static_cast<size_t>(k);
      value[slot] = values[next];
      if (!weights.empty()) weight[slot] = weights[next];
    }
  }
  return SumOfSubtree(slots, subtree, value.data(), weights.empty() ? nullptr : weight.data());
}

// One half of the last place of 1, which alone is lost, and of which two are one place.
constexpr float kHalf = 0x1p-53f;

TEST(SumOfSubtree, AddsATreeOverShards) {
  EXPECT_EQ(SumOf({1, 1, 1, 1}, {1, kHalf, kHalf, kHalf}, {0, 4}), 1 + 0x1p-52);
}

TEST(SumOfSubtree, AddsAChainInsideAShard) {
  EXPECT_EQ(SumOf({4}, {1, kHalf, kHalf, kHalf}, {0, 1}), 1.0);
}

TEST(SumOfSubtree, TakesTheSamplesOfItsShardsAlone) {
  const std::vector<int32_t> counts = {3, 0, 2, 1};
  const std::vector<float> values = {1, 2, 4, 8, 16, 32};

  EXPECT_EQ(SumOf(counts, values, {0, 4}), 63.0);
  EXPECT_EQ(SumOf(counts, values, {0, 2}), 7.0);
  EXPECT_EQ(SumOf(counts, values, {1, 1}), 0.0);
  EXPECT_EQ(SumOf(counts, values, {2, 2}), 56.0);
  EXPECT_EQ(SumOf(counts, values, {2, 2}, {9, 9, 9, 0.5f, 0, 2}), 68.0);
}

}  // namespace
}  // namespace lockstep
