// A layer that has absorbed its neighbours trains to the same bits as the layers one after another.
// A reshape to the same shape keeps them apart: it is a layer of its own that moves nothing.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/training_run.h"

namespace lockstep::testing {
namespace {

constexpr int64_t kSamples = 45;

struct Neighbours {
  const char* name;
  const char* first;   // layers up to the border
  const char* border;  // the shape there
  const char* second;  // layers behind it
};

class Absorb : public ::testing::TestWithParam<Neighbours> {};

std::string Job(const Neighbours& layers, bool apart) {
  const std::string border =
      apart ? absl::StrCat("{reshape: {target_shape: ", layers.border, "}}, ") : "";
  return absl::StrCat("model: {inputs: {image: [8, 7, 2]}, layers: [", layers.first, ", ", border,
                      layers.second,
                      ", flatten, {dense: {units: 3, activation: softmax}}]}\n"
                      "loss: sparse_categorical_crossentropy\n"
                      "metrics: [accuracy]\n"
                      "optimizer: {sgd: {learning_rate: 0.05, momentum: 0.9}}\n"
                      "data: {train: {format: idx, inputs: a, targets: b}}\n"
                      "train: {batch_size: 20, epochs: 2, shards: 8, seed: 1}\n");
}

TEST_P(Absorb, TrainsToTheSameBits) {
  Dataset data{.count = kSamples};
  data.inputs.push_back(MakeColumn("image", Shape{8, 7, 2}, RandomFloats(kSamples * 112, 1)));
  data.targets.push_back(MakeColumn("target", Shape{}, RandomLabels(kSamples, 3, 2)));
  const auto train = [&](bool apart, int ranks, int threads) {
    return RunTraining({.job = Job(GetParam(), apart),
                        .train = &data,
                        .validation = &data,
                        .ranks = ranks,
                        .threads = threads});
  };

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult apart, train(true, 1, 1));
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult together, train(false, 1, 1));
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult split, train(false, 3, 2));

  EXPECT_EQ(together.variables, apart.variables);
  EXPECT_EQ(split.variables, apart.variables);
  EXPECT_EQ(together.result.metrics, apart.result.metrics);
}

constexpr char kConv[] = "{conv2d: {filters: 5, kernel_size: 3, padding: same}}";
constexpr char kConvRelu[] =
    "{conv2d: {filters: 5, kernel_size: 3, padding: same, activation: relu}}";
constexpr char kTwoConvs[] =
    "{conv2d: {filters: 3, kernel_size: 2}}, {conv2d: {filters: 5, kernel_size: 3, padding: same}}";

INSTANTIATE_TEST_SUITE_P(
    Layers, Absorb,
    ::testing::Values(
        Neighbours{"ConvThenPool", kConvRelu, "[8, 7, 5]", "max_pooling2d"},
        Neighbours{"LinearConvThenPool", kConv, "[8, 7, 5]", "max_pooling2d"},
        Neighbours{"ConvReluThenPoolBehindAnother", kTwoConvs, "[7, 6, 5]",
                   "{activation: {activation: relu}}, max_pooling2d"},
        Neighbours{"ConvThenTanh", kConv, "[8, 7, 5]", "{activation: {activation: tanh}}"},
        Neighbours{"DenseThenSigmoid", "{dense: {units: 4}}", "[8, 7, 4]",
                   "{activation: {activation: sigmoid}}"},
        Neighbours{"NormThenRelu", "{conv2d: {filters: 4, kernel_size: 3}}, batch_normalization",
                   "[6, 5, 4]", "{activation: {activation: relu}}"},
        Neighbours{"NormWithoutScaleThenRelu", "{batch_normalization: {scale: false}}", "[8, 7, 2]",
                   "{activation: {activation: relu}}"},
        Neighbours{"FrozenNormThenRelu",
                   "{conv2d: {filters: 4, kernel_size: 3}}, {batch_normalization: {trainable: "
                   "false}}",
                   "[6, 5, 4]", "{activation: {activation: relu}}"},
        Neighbours{"SumThenRelu",
                   "{conv2d: {filters: 2, kernel_size: 3, padding: same, name: branch}}, {add: "
                   "{inputs: [branch, image]}}",
                   "[8, 7, 2]", "{activation: {activation: relu}}"}),
    [](const auto& layers) { return std::string(layers.param.name); });

}  // namespace
}  // namespace lockstep::testing
