#include "common/optim/optimizer_registry.h"

#include <algorithm>

#include "gmock/gmock.h"

#include "common/spec/job_yaml.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<std::unique_ptr<Optimizer>> Make(absl::string_view type,
                                                absl::string_view options = "{}") {
  return MakeOptimizer({.type = std::string(type),
                        .options = *ParseYaml(options, "job.yaml"),
                        .where = "optimizer"});
}

auto Refuses(absl::string_view place, absl::string_view words) {
  return StatusIs(absl::StatusCode::kInvalidArgument,
                  AllOf(HasSubstr(std::string(place)), HasSubstr(std::string(words))));
}

TEST(Optimizers, StandSortedInTheirRoomAndTakeTheirDefaults) {
  EXPECT_TRUE(std::is_sorted(
      Optimizers().begin(), Optimizers().end(),
      [](const OptimizerDef* a, const OptimizerDef* b) { return a->name < b->name; }));
  for (const OptimizerDef* def : Optimizers()) EXPECT_OK(Make(def->name)) << def->name;
}

TEST(Optimizers, NameTheStateThatACheckpointKeeps) {
  ASSERT_OK_AND_ASSIGN(const auto adam, Make("adam"));
  EXPECT_THAT(adam->state_slots(), ElementsAre("m", "v"));
  ASSERT_OK_AND_ASSIGN(const auto plain, Make("sgd"));
  EXPECT_THAT(plain->state_slots(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const auto momentum, Make("sgd", "{momentum: 0.9}"));
  EXPECT_THAT(momentum->state_slots(), ElementsAre("momentum"));
}

TEST(Optimizers, RefuseAnUnknownOneWithItsNearName) {
  EXPECT_THAT(Make("adm"), Refuses("optimizer", "unknown optimizer 'adm'; did you mean 'adam'"));
}

TEST(Optimizers, RefuseOptionsOutsideTheirRange) {
  EXPECT_OK(Make("sgd", "{momentum: 1}"));
  EXPECT_THAT(Make("sgd", "{momentum: 1.01}"),
              Refuses("optimizer.sgd.momentum", "1.01 is too large; use 1 or less"));
  EXPECT_OK(Make("adam", "{beta_2: 0.9999999}"));
  EXPECT_THAT(Make("adam", "{beta_2: 1}"),
              Refuses("optimizer.adam.beta_2", "1 is too large; use 0.9999999 or less"));
  EXPECT_OK(Make("adam", "{learning_rate: 0}"));
  EXPECT_THAT(Make("adam", "{learning_rate: -0.1}"),
              Refuses("optimizer.adam.learning_rate", "-0.1 is too small; use 0 or more"));
}

}  // namespace
}  // namespace lockstep
