#include "common/nn/parameters.h"

#include "gmock/gmock.h"

#include "common/spec/job_yaml.h"
#include "common/spec/model_parser.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;

absl::StatusOr<std::unique_ptr<Model>> MakeModel(absl::string_view name, absl::string_view text) {
  const absl::StatusOr<Value> value = ParseYaml(text, "job.yaml");
  if (!value.ok()) return value.status();
  const absl::StatusOr<ModelSpec> spec = ParseModel(*value, name, "model");
  if (!spec.ok()) return spec.status();
  return Model::Create(*spec);
}

constexpr char kMixed[] =
    "{input_shape: [5], layers: [{dense: {units: 3, name: a}}, {batch_normalization: {name: n}}, "
    "{dense: {units: 2, name: b, trainable: false}}, {dense: {units: 1000, name: c}}]}";

std::vector<std::string> PathsOf(const ParameterSet& parameters) {
  std::vector<std::string> paths;
  for (const ParameterSet::Variable& variable : parameters.variables()) {
    paths.push_back(variable.path);
  }
  return paths;
}

// The order of model_sha256 and of random numbers.
TEST(ParameterSet, KeepsKerasWeightOrderWhateverIsTrained) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> model, MakeModel("m", kMixed));

  EXPECT_THAT(PathsOf(ParameterSet({model.get()})),
              ElementsAre("a/kernel", "a/bias", "n/gamma", "n/beta", "n/moving_mean",
                          "n/moving_variance", "b/kernel", "b/bias", "c/kernel", "c/bias"));
}

TEST(ParameterSet, PutsTrainedVariablesFirstInWholeBlocks) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> model, MakeModel("m", kMixed));
  const ParameterSet parameters({model.get()});

  // 15, 3, 3, 3, 2000 and 1000 elements, each on 16.
  EXPECT_EQ(parameters.TrainableRange(0), (Range{0, 4096}));
  EXPECT_EQ(parameters.trainable_elements(), 4096);
  EXPECT_EQ(parameters.elements(), 4096 + 4 * 16);
  EXPECT_EQ(parameters.parameter_count(), 15 + 3 + 4 * 3 + 3 * 2 + 2 + 2 * 1000 + 1000);
  int64_t trained = 0, fixed = parameters.trainable_elements();
  for (const ParameterSet::Variable& variable : parameters.variables()) {
    int64_t& next = variable.trainable ? trained : fixed;
    EXPECT_EQ(variable.offset, next) << variable.path;
    next += (variable.shape.elements() + 15) / 16 * 16;
  }
}

TEST(ParameterSet, StartsEveryModelOnABlockOfItsOwn) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> a, MakeModel("a", kMixed));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> b,
                       MakeModel("b", "{input_shape: [4], layers: [{dense: {units: 2}}]}"));
  const ParameterSet parameters({a.get(), b.get()});

  EXPECT_EQ(parameters.TrainableRange(1), (Range{4096, 8192}));
  EXPECT_EQ(parameters.variables().back().path, "b/dense/bias");
  EXPECT_EQ(parameters.variables().back().model, 1u);
  EXPECT_THAT(parameters.OffsetsOf(1), ElementsAre(4096, 4112));
  EXPECT_EQ(parameters.OffsetsOf(0).size(), a->variables().size());
}

TEST(ParameterSet, HoldsNothingToTrainOfAFrozenModel) {
  ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<Model> model,
      MakeModel("m", "{input_shape: [4], layers: [{dense: {units: 2, trainable: false}}]}"));
  const ParameterSet parameters({model.get()});

  EXPECT_TRUE(parameters.TrainableRange(0).empty());
  EXPECT_EQ(parameters.trainable_elements(), 0);
  EXPECT_EQ(parameters.elements(), 32);
}

}  // namespace
}  // namespace lockstep
