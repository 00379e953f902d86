// What single layers promise beyond the suites of layer_test.cc: dropout and batch normalization in
// training and evaluation, and the exact order of the gradients of a layer that is called twice
// (docs/NUMERICS.md#5-layers).
#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "tests/conformance/layer_cases.h"
#include "tests/conformance/model_probe.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

constexpr BatchShape kBatch = kBatchShapes[0];
constexpr double kUnit = 0x1p-24;  // half an ulp of 1: the error of one rounding

std::vector<LayerCase> CasesOf(absl::string_view layer) {
  std::vector<LayerCase> cases;
  for (const LayerCase& layer_case : LayerCases()) {
    if (layer_case.def->name == layer) cases.push_back(layer_case);
  }
  return cases;
}

const std::vector<float>& Named(const NamedValues& values, absl::string_view path) {
  for (const auto& [name, value] : values) {
    if (name == path) return value;
  }
  ADD_FAILURE() << "no " << path;
  static const std::vector<float>* const kNone = new std::vector<float>();
  return *kNone;
}

std::vector<double> Doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// --- dropout ---

TEST(DropoutLayer, IsTheIdentityWhenItEvaluates) {
  for (const LayerCase& layer_case : CasesOf("dropout")) {
    ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(ModelOf(layer_case), kBatch));
    const ModelPoint point = probe.RandomPoint(1);

    ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(point, Pass::kEvaluate, {}));

    EXPECT_TRUE(SameBits(outcome.outputs, point.inputs)) << NameOf(layer_case);
  }
}

// Masks compare floats: what rounds to 1 is 1.
TEST(DropoutLayer, RefusesARateThatDropsEveryValue) {
  const auto with_rate = [](absl::string_view rate) {
    return ModelProbe::Create(
        absl::StrCat("{input_shape: [4], layers: [{dropout: {rate: ", rate, "}}]}"), kBatch);
  };

  EXPECT_OK(with_rate("0.9999999"));
  for (const char* rate : {"0.99999999", "1"}) {
    EXPECT_THAT(with_rate(rate), StatusIs(absl::StatusCode::kInvalidArgument,
                                          ::testing::HasSubstr("would drop every value")));
  }
}

TEST(DropoutLayer, DropsWithAnotherMaskInEveryCall) {
  constexpr char kTwice[] =
      "{input_shape: [40], layers: [{dropout: {rate: 0.5, name: first}}, {reuse: {layer: first, "
      "name: again, inputs: input_layer}}], outputs: [first, again]}";
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(kTwice, kBatch));
  const ModelPoint point = probe.RandomPoint(1);

  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(point, Pass::kTrain, {}));

  for (const std::vector<float>& output : outcome.outputs) {
    for (size_t k = 0; k < output.size(); ++k) {
      // The scale 1 / (1 - 0.5) is exact.
      EXPECT_TRUE(output[k] == 0.0f || output[k] == 2.0f * point.inputs[0][k]) << k;
    }
  }
  EXPECT_FALSE(SameBits(outcome.outputs[0], outcome.outputs[1]));
}

// --- batch normalization ---

constexpr char kNorm[] =
    "{input_shape: [3, 2, 5], layers: [{batch_normalization: {momentum: 0.75, epsilon: 0.01, name: "
    "bn, trainable: true}}]}";
constexpr size_t kChannels = 5;
constexpr int kPositions = 6;
constexpr double kMomentum = 0.75;
constexpr double kEpsilon = 0.01;

std::string FrozenNorm() {
  std::string frozen = kNorm;
  frozen.replace(frozen.find("true"), 4, "false");
  return frozen;
}

// Of one channel, with the error that f32 has in them.
struct Statistics {
  double mean = 0, mean_error = 0;
  double variance = 0, variance_error = 0;
};

// Over the global batch, two passes in double. Ours: a sample's mean is a chain of additions and a
// quotient, its squares a chain of fma around that mean, whose error enters squared; past that all
// is double but for the last rounding.
Statistics StatisticsOf(const std::vector<double>& x, size_t channel) {
  Statistics of;
  double size = 0;
  const double count = static_cast<double>(x.size()) / kChannels;
  for (size_t k = channel; k < x.size(); k += kChannels) {
    of.mean += x[k] / count;
    size += std::abs(x[k]) / count;
  }
  for (size_t k = channel; k < x.size(); k += kChannels) {
    of.variance += std::pow(x[k] - of.mean, 2) / count;
  }
  of.mean_error = 2 * (kPositions + 2) * kUnit * size;
  of.variance_error = 2 * (kPositions + 6) * kUnit * of.variance;
  return of;
}

// gamma (x - mean) / sqrt(variance + epsilon) + beta: in f32 a difference, a sum, a root, a
// quotient, a product and an fma; the errors of the statistics come on top.
void ExpectNormalized(const ModelPoint& point, const std::vector<float>& y,
                      const std::vector<Statistics>& by_channel) {
  const std::vector<double> gamma = Doubles(Named(point.variables, "bn/gamma"));
  const std::vector<double> beta = Doubles(Named(point.variables, "bn/beta"));
  const std::vector<double> x = Doubles(point.inputs[0]);
  for (size_t k = 0; k < y.size(); ++k) {
    const size_t c = k % kChannels;
    const Statistics& of = by_channel[c];
    const double root = 1 / std::sqrt(of.variance + kEpsilon);
    const double scaled = gamma[c] * (x[k] - of.mean) * root;
    const double bound = 2 * 6 * kUnit * (std::abs(scaled) + std::abs(beta[c])) +
                         std::abs(gamma[c]) * root * of.mean_error +
                         std::abs(scaled) * of.variance_error / (2 * (of.variance + kEpsilon));
    EXPECT_NEAR(y[k], scaled + beta[c], bound) << "value " << k;
  }
}

TEST(BatchNormalizationLayer, NormalizesByTheMovingValuesWhenItEvaluates) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(kNorm, kBatch));
  const ModelPoint point = probe.RandomPoint(2);
  const std::vector<double> means = Doubles(Named(point.variables, "bn/moving_mean"));
  const std::vector<double> variances = Doubles(Named(point.variables, "bn/moving_variance"));
  std::vector<Statistics> moving;
  for (size_t c = 0; c < kChannels; ++c) {
    moving.push_back({.mean = means[c], .variance = variances[c]});
  }

  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(point, Pass::kEvaluate, {}));

  ExpectNormalized(point, outcome.outputs[0], moving);
}

// The biased variance moves, as in Keras 3.
TEST(BatchNormalizationLayer, NormalizesByTheGlobalBatchAndMovesItsValuesWhenItTrains) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(kNorm, kBatch));
  const ModelPoint point = probe.RandomPoint(2);
  const std::vector<double> means = Doubles(Named(point.variables, "bn/moving_mean"));
  const std::vector<double> variances = Doubles(Named(point.variables, "bn/moving_variance"));
  std::vector<Statistics> batch;
  for (size_t c = 0; c < kChannels; ++c) {
    batch.push_back(StatisticsOf(Doubles(point.inputs[0]), c));
  }

  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(point, Pass::kTrain, {.ranks = 3}));

  ExpectNormalized(point, outcome.outputs[0], batch);
  for (size_t c = 0; c < kChannels; ++c) {
    EXPECT_NEAR(Named(outcome.variables, "bn/moving_mean")[c],
                kMomentum * means[c] + (1 - kMomentum) * batch[c].mean,
                batch[c].mean_error + 4 * kUnit * (std::abs(means[c]) + std::abs(batch[c].mean)));
    EXPECT_NEAR(Named(outcome.variables, "bn/moving_variance")[c],
                kMomentum * variances[c] + (1 - kMomentum) * batch[c].variance,
                batch[c].variance_error + 4 * kUnit * (variances[c] + batch[c].variance));
  }
}

TEST(BatchNormalizationLayer, ComputesInTrainingAsInEvaluationWhenItIsNotTrainable) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(FrozenNorm(), kBatch));
  const ModelPoint point = probe.RandomPoint(3);
  ASSERT_OK_AND_ASSIGN(const ModelOutcome evaluated, probe.Run(point, Pass::kEvaluate, {}));

  ASSERT_OK_AND_ASSIGN(const ModelOutcome trained, probe.Run(point, Pass::kTrain, {}));

  EXPECT_TRUE(SameBits(trained.outputs, evaluated.outputs));
}

// --- zero padding ---

TEST(ZeroPadding2dLayer, TakesKerasThreeFormsOfPaddingAndNoOther) {
  const auto with_padding = [](absl::string_view padding) {
    return ModelProbe::Create(
        absl::StrCat("{input_shape: [1, 1, 1], layers: [{zero_padding2d: {padding: ", padding,
                     "}}]}"),
        kBatch);
  };

  for (const auto& [padding, width] : std::map<std::string, size_t>{
           {"0", 1}, {"2", 25}, {"[1, 2]", 15}, {"[[1, 0], [0, 3]]", 8}}) {
    ASSERT_OK_AND_ASSIGN(const ModelProbe probe, with_padding(padding));
    const ModelPoint point = probe.RandomPoint(1);
    ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(point, Pass::kEvaluate, {}));
    EXPECT_EQ(outcome.outputs[0].size(), width * point.inputs[0].size()) << padding;
  }
  for (const char* padding : {"-1", "same", "[1]", "[1, -2]", "[[1, 2, 3], 1]", "1.5"}) {
    EXPECT_THAT(with_padding(padding), StatusIs(absl::StatusCode::kInvalidArgument,
                                                ::testing::HasSubstr("give counts of cells")));
  }
}

// --- the order of a shared layer's gradients ---

// A layer called on x and then on z, by a shape of input in which one call sees the same terms in
// the same order.
struct SharedOrder {
  const char* name;
  const char* layer;      // the options
  const char* shape;      // of x and z
  const char* joined;     // of the one input that holds both
  bool shards_hold_more;  // joined along the samples of a shard; else along the first axis
};

// Rows of x and z in turn: `rows` of x, as many of z, the next ones of x, ...
std::vector<float> Interleave(const std::vector<float>& x, const std::vector<float>& z,
                              int64_t row) {
  std::vector<float> joined;
  for (int64_t begin = 0; begin < std::ssize(x); begin += row) {
    joined.insert(joined.end(), x.begin() + begin, x.begin() + begin + row);
    joined.insert(joined.end(), z.begin() + begin, z.begin() + begin + row);
  }
  return joined;
}

constexpr BatchShape kTwoShards = {6, 2, 6};
constexpr int64_t kShardPositions = 3;

class SharedLayerOrder : public ::testing::TestWithParam<SharedOrder> {};
INSTANTIATE_TEST_SUITE_P(
    Chains, SharedLayerOrder,
    ::testing::Values(SharedOrder{"DenseSamples", "dense: {units: 4, activation: tanh", "[7]",
                                  "[7]", true},
                      SharedOrder{"DensePositions", "dense: {units: 3", "[2, 5]", "[2, 5]", true},
                      SharedOrder{"ConvolutionPositions", "conv2d: {filters: 3, kernel_size: 1",
                                  "[2, 3, 4]", "[4, 3, 4]", false}),
    [](const auto& chain) { return std::string(chain.param.name); });

TEST_P(SharedLayerOrder, GoesOnOverTheCallsAsOverOneLongerCall) {
  const SharedOrder& order = GetParam();
  const std::string layer = absl::StrCat("{", order.layer, ", name: layer, inputs: x}}");
  ASSERT_OK_AND_ASSIGN(
      const ModelProbe shared,
      ModelProbe::Create(
          absl::StrCat("{inputs: {x: ", order.shape, ", z: ", order.shape, "}, layers: [", layer,
                       ", {reuse: {layer: layer, name: again, inputs: z}}], "
                       "outputs: [layer, again]}"),
          kTwoShards));
  BatchShape longer = kTwoShards;
  if (order.shards_hold_more) longer = {12, 2, 12};
  ASSERT_OK_AND_ASSIGN(
      const ModelProbe one,
      ModelProbe::Create(absl::StrCat("{inputs: {x: ", order.joined, "}, layers: [", layer, "]}"),
                         longer));
  const ModelPoint twice = shared.RandomPoint(4);
  // One shard's samples, or one sample.
  const int64_t rows_at_once = order.shards_hold_more ? kShardPositions : 1;
  const auto row = [&](const std::vector<float>& values) {
    return std::ssize(values) / kTwoShards.samples * rows_at_once;
  };
  const ModelPoint once = {
      .inputs = {Interleave(twice.inputs[0], twice.inputs[1], row(twice.inputs[0]))},
      .variables = twice.variables,
      .d_outputs = {Interleave(twice.d_outputs[0], twice.d_outputs[1], row(twice.d_outputs[0]))}};

  ASSERT_OK_AND_ASSIGN(const ModelOutcome expected, one.Run(once, Pass::kTrain, {}));
  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, shared.Run(twice, Pass::kTrain, {.ranks = 2}));

  EXPECT_TRUE(SameBits(outcome.d_variables, expected.d_variables));
}

// Its sums are global per call, then added over the calls; the moving values see call after call.
TEST(BatchNormalizationLayer, AddsTheGradientsOfItsCallsInForwardOrder) {
  constexpr char kTwice[] =
      "{inputs: {x: [4, 5], z: [4, 5]}, layers: [{batch_normalization: {name: bn, inputs: x}}, "
      "{reuse: {layer: bn, name: again, inputs: z}}], outputs: [bn, again]}";
  constexpr char kOnce[] =
      "{inputs: {x: [4, 5]}, layers: [{batch_normalization: {name: bn, inputs: x}}]}";
  ASSERT_OK_AND_ASSIGN(const ModelProbe shared, ModelProbe::Create(kTwice, kBatch));
  ASSERT_OK_AND_ASSIGN(const ModelProbe one, ModelProbe::Create(kOnce, kBatch));
  const ModelPoint twice = shared.RandomPoint(5);
  ModelPoint first = {{twice.inputs[0]}, twice.variables, {twice.d_outputs[0]}};
  ASSERT_OK_AND_ASSIGN(const ModelOutcome after_first, one.Run(first, Pass::kTrain, {}));
  const ModelPoint second = {{twice.inputs[1]}, after_first.variables, {twice.d_outputs[1]}};
  ASSERT_OK_AND_ASSIGN(const ModelOutcome after_second, one.Run(second, Pass::kTrain, {}));

  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, shared.Run(twice, Pass::kTrain, {.ranks = 3}));

  for (const absl::string_view path : {"bn/gamma", "bn/beta"}) {
    std::vector<float> sum = Named(after_first.d_variables, path);
    for (size_t c = 0; c < sum.size(); ++c) sum[c] += Named(after_second.d_variables, path)[c];
    EXPECT_TRUE(SameBits(Named(outcome.d_variables, path), sum)) << path;
  }
  EXPECT_TRUE(SameBits(outcome.variables, after_second.variables));
}

}  // namespace
}  // namespace lockstep::testing
