// The vectors of numerics.json against sums, elementary functions, activations and losses: the
// kernels on every SIMD target of this CPU, and their scalar twins. Not near: equal. The exemplar
// of the golden tests is Losses.
#include <bit>

#include "gtest/gtest.h"

#include "common/base/check.h"
#include "common/base/philox.h"
#include "common/kernels/activation.h"
#include "common/kernels/decode.h"
#include "common/kernels/dropout.h"
#include "common/kernels/losses.h"
#include "common/kernels/reference_activation.h"
#include "common/kernels/reference_losses.h"
#include "common/kernels/tree_sum.h"
#include "tests/common/kernels/image_testing.h"
#include "tests/golden/golden_file.h"

namespace lockstep::kernels {
namespace {

using ::lockstep::testing::Golden;
using ::lockstep::testing::Numerics;

using GoldenFunctions = SimdTest;
LOCKSTEP_EVERY_SIMD(GoldenFunctions);

float Plus(float a, float b) { return a + b; }

Blocks Padded(const std::vector<float>& values) {
  Blocks padded(values.begin(), values.end());
  padded.resize((values.size() + kBlockLanes - 1) / kBlockLanes * kBlockLanes, 0.0f);
  return padded;
}

std::vector<float> Head(const Blocks& values, size_t count) {
  return {values.begin(), values.begin() + static_cast<int64_t>(count)};
}

// Rows [begin, begin + features) of a flat list.
std::vector<float> Row(const std::vector<float>& values, size_t sample, int64_t features) {
  const auto begin = values.begin() + static_cast<int64_t>(sample) * features;
  return {begin, begin + features};
}

ReferenceShards ShardsOf(const Golden& c) {
  ReferenceShards shards{.positions = static_cast<int32_t>(c.integer("positions")), .count = {}};
  for (const int64_t count : c.integers("counts")) {
    shards.count.push_back(static_cast<int32_t>(count));
  }
  return shards;
}

TEST(GoldenSums, TreesAndLaneChainsOfTheTwins) {
  const Golden golden = Numerics().at("reductions");
  for (const Golden& c : golden.cases("trees")) {
    const float sum = ReferenceTree(c.floats("x"), 1, 0.0f, Plus);
    EXPECT_TRUE(SameBits({sum}, c.floats("sum"))) << c.text("x");
  }
  for (const Golden& c : golden.cases("lane_chains")) {
    EXPECT_TRUE(SameBits({ReferenceLaneChains(c.floats("x"))}, c.floats("sum"))) << c.text("x");
  }
  for (const Golden& c : golden.cases("shard_trees")) {
    const std::vector<float> x = c.floats("x");
    const float sum = ReferenceShardSum<float>(
        ShardsOf(c), [&](int64_t sample) { return x[static_cast<size_t>(sample)]; });
    EXPECT_TRUE(SameBits({sum}, c.floats("sum"))) << c.text("counts");
  }
}

// Add is a chain of additions over its inputs, from the first.
TEST_P(GoldenFunctions, AddIsAChainOfAdditions) {
  const Golden c = Numerics().at("reductions").at("chain");
  std::vector<float> terms = c.floats("start");
  const std::vector<float> a = c.floats("a");
  terms.insert(terms.end(), a.begin(), a.end());
  std::vector<Blocks> inputs;
  for (const float term : terms) inputs.push_back(Blocks(kBlockLanes, term));
  std::vector<const float*> pointers;
  for (const Blocks& input : inputs) pointers.push_back(input.data());
  Blocks out(kBlockLanes);
  const AddArgs args{kBlockLanes, pointers.data(), static_cast<int32_t>(pointers.size()),
                     out.data()};

  Add(args, {0, AddUnits(args)});

  EXPECT_TRUE(SameBits({out[3]}, c.floats("add")));
}

TEST_P(GoldenFunctions, TreeSumAddsShardsInPairs) {
  for (const Golden& c : Numerics().at("reductions").cases("trees")) {
    const std::vector<float> x = c.floats("x");
    if (!std::has_single_bit(x.size())) continue;  // a job has 2^k shards
    std::vector<const float*> partials;
    for (const float& value : x) partials.push_back(&value);
    const std::vector<int32_t> leaves(x.size(), 1);
    float sum = -1;
    TreeSum({1, partials.data(), leaves.data(), static_cast<int32_t>(x.size()), &sum}, {0, 1});
    EXPECT_TRUE(SameBits({sum}, c.floats("sum")));
  }
}

TEST(GoldenMath, ElementaryFunctionsOfTheTwins) {
  const struct {
    const char* name;
    float (*twin)(float);
  } kTwins[] = {{"exp", ReferenceExp},
                {"log", ReferenceLog},
                {"log1p", ReferenceLog1p},
                {"sigmoid", ReferenceSigmoid},
                {"tanh", ReferenceTanh}};
  for (const auto& function : kTwins) {
    const Golden c = Numerics().at("functions").at(function.name);
    std::vector<float> y;
    for (const float x : c.floats("x")) y.push_back(function.twin(x));
    EXPECT_TRUE(SameBits(y, c.floats("y"))) << function.name;
  }
}

std::vector<float> Forward(Activation activation, const std::vector<float>& x) {
  const Blocks in = Padded(x);
  Blocks out(in.size());
  const ActivationForwardArgs args{static_cast<int64_t>(in.size()), activation, in.data(),
                                   out.data()};
  ActivationForward(args, {0, ActivationForwardUnits(args)});
  return Head(out, x.size());
}

// They contain exp on vectors, of negative numbers and of positive ones.
TEST_P(GoldenFunctions, SigmoidAndTanhAtEdges) {
  const Golden functions = Numerics().at("functions");
  const Golden sigmoid = functions.at("sigmoid"), tanh = functions.at("tanh");
  EXPECT_TRUE(SameBits(Forward(Activation::kSigmoid, sigmoid.floats("x")), sigmoid.floats("y")));
  EXPECT_TRUE(SameBits(Forward(Activation::kTanh, tanh.floats("x")), tanh.floats("y")));
}

TEST_P(GoldenFunctions, ActivationsAndTheirDerivatives) {
  for (const Golden& c : Numerics().cases("activations")) {
    const std::string name = c.text("name");
    const Activation activation = name == "relu"      ? Activation::kRelu
                                  : name == "sigmoid" ? Activation::kSigmoid
                                                      : Activation::kTanh;
    const std::vector<float> x = c.floats("x"), y = c.floats("y"), d_y = c.floats("d_y");
    std::vector<float> twin_y, twin_d_x;
    for (size_t k = 0; k < x.size(); ++k) {
      twin_y.push_back(ReferenceActivation(activation, x[k]));
      twin_d_x.push_back(ReferenceActivationDerivative(activation, y[k], d_y[k]));
    }
    const Blocks ys = Padded(y), d_ys = Padded(d_y);
    Blocks d_xs(ys.size());
    const ActivationBackwardArgs args{
        static_cast<int64_t>(ys.size()), activation, ys.data(), d_ys.data(), d_xs.data(), false};
    ActivationBackward(args, {0, ActivationBackwardUnits(args)});

    EXPECT_TRUE(SameBits(twin_y, y)) << name;
    EXPECT_TRUE(SameBits(twin_d_x, c.floats("d_x"))) << name;
    EXPECT_TRUE(SameBits(Forward(activation, x), y)) << name;
    EXPECT_TRUE(SameBits(Head(d_xs, y.size()), c.floats("d_x"))) << name;
  }
}

TEST_P(GoldenFunctions, SoftmaxAndItsGradient) {
  for (const Golden& c : Numerics().cases("softmax")) {
    const int64_t classes = c.integer("classes");
    const std::vector<float> x = c.floats("x"), y = c.floats("y"), d_y = c.floats("d_y");
    const auto samples = static_cast<int32_t>(static_cast<int64_t>(x.size()) / classes);
    std::vector<float> twin_y, twin_d_x;
    for (size_t n = 0; n < static_cast<size_t>(samples); ++n) {
      const auto row = ReferenceSoftmax(Row(x, n, classes));
      const auto d_row = ReferenceSoftmaxBackward(Row(y, n, classes), Row(d_y, n, classes));
      twin_y.insert(twin_y.end(), row.begin(), row.end());
      twin_d_x.insert(twin_d_x.end(), d_row.begin(), d_row.end());
    }
    const SlotLayout layout = OneShard(samples);
    Blocks values = Pack(layout, classes, x), gradients = Pack(layout, classes, d_y);
    const Blocks outputs = Pack(layout, classes, y);
    SoftmaxForward({1, 1, classes, values.data(), values.data()}, {0, 1});
    SoftmaxBackward({1, 1, classes, outputs.data(), gradients.data(), gradients.data(), false},
                    {0, 1});

    EXPECT_TRUE(SameBits(twin_y, y)) << classes;
    EXPECT_TRUE(SameBits(twin_d_x, c.floats("d_x"))) << classes;
    EXPECT_TRUE(SameBits(Unpack(layout, classes, values), y)) << classes;
    EXPECT_TRUE(SameBits(Unpack(layout, classes, gradients), c.floats("d_x"))) << classes;
  }
}

struct LossUnderTest {
  const char* name;
  void (*kernel)(const LossArgs&, UnitRange);
  ReferenceLoss<float> (*twin)(const std::vector<float>&, const std::vector<float>&, float);
};

constexpr LossUnderTest kLosses[] = {
    {"mean_squared_error", MeanSquaredError, ReferenceMeanSquaredError<float>},
    {"sparse_logits", SparseCrossEntropyLogits, ReferenceCrossEntropyLogits<float>},
    {"categorical_logits", CategoricalCrossEntropyLogits, ReferenceCrossEntropyLogits<float>},
    {"sparse_probabilities", SparseCrossEntropyProbabilities,
     ReferenceCrossEntropyProbabilities<float>},
    {"categorical_probabilities", CategoricalCrossEntropyProbabilities,
     ReferenceCrossEntropyProbabilities<float>},
    {"binary_logits", BinaryCrossEntropyLogits, ReferenceBinaryLogits<float>},
    {"binary_probabilities", BinaryCrossEntropyProbabilities, ReferenceBinaryProbabilities<float>},
};

const LossUnderTest& LossNamed(const std::string& name) {
  for (const LossUnderTest& loss : kLosses) {
    if (name == loss.name) return loss;
  }
  LOCKSTEP_CHECK(false);
  return kLosses[0];
}

// Arrange a case of the file, run kernel and twin, compare bits: all golden tests have this form.
TEST_P(GoldenFunctions, Losses) {
  size_t seen = 0;
  for (const Golden& c : Numerics().cases("losses")) {
    const LossUnderTest& loss = LossNamed(c.text("name"));
    const bool sparse = c.text("name").find("sparse") == 0;
    const int64_t features = c.integer("features");
    const std::vector<float> x = c.floats("x"), seed = c.floats("seed"), t = c.floats("target");
    const SlotLayout layout = OneShard(static_cast<int32_t>(seed.size()));
    const Blocks x_blocks = Pack(layout, features, x), t_blocks = Pack(layout, features, t);
    Blocks seeds = Padded(seed), d_x = NanBlocks(kBlockLanes * features),
           losses = NanBlocks(kBlockLanes);
    alignas(64) int32_t label[kBlockLanes] = {};
    const std::vector<int64_t> labels = c.integers("label");
    std::copy(labels.begin(), labels.end(), label);

    std::vector<float> twin_loss, twin_d_x;
    for (size_t n = 0; n < seed.size(); ++n) {
      const auto result = loss.twin(Row(x, n, features), Row(t, n, features), seed[n]);
      twin_loss.push_back(result.loss);
      twin_d_x.insert(twin_d_x.end(), result.d_x.begin(), result.d_x.end());
    }
    loss.kernel({1, features, layout.map(), x_blocks.data(), sparse ? nullptr : t_blocks.data(),
                 label, seeds.data(), d_x.data(), losses.data()},
                {0, 1});

    EXPECT_TRUE(SameBits(twin_loss, c.floats("loss"))) << loss.name << " " << features;
    EXPECT_TRUE(SameBits(twin_d_x, c.floats("d_x"))) << loss.name << " " << features;
    EXPECT_TRUE(SameBits(Head(losses, seed.size()), c.floats("loss"))) << loss.name << features;
    EXPECT_TRUE(SameBits(Unpack(layout, features, d_x), c.floats("d_x"))) << loss.name << features;
    ++seen;
  }
  EXPECT_EQ(seen, std::size(kLosses) * 4);
}

TEST_P(GoldenFunctions, DropoutIsAFunctionOfSeedCallStepPositionAndElement) {
  for (const Golden& c : Numerics().cases("dropout")) {
    const int64_t features = c.integer("features");
    const auto step = static_cast<int64_t>(c.word("step"));
    const std::vector<int64_t> positions = c.integers("positions");
    alignas(64) int32_t position[kBlockLanes] = {};
    std::copy(positions.begin(), positions.end(), position);
    const SlotLayout layout = OneShard(static_cast<int32_t>(positions.size()));
    const Blocks x = Pack(layout, features, c.floats("x"));
    Blocks y = NanBlocks(features * kBlockLanes);
    const DropoutArgs args{.blocks = 1,
                           .features = features,
                           .key = RandomKey(c.word("seed"), RandomPurpose::kDropout),
                           .node_call = static_cast<uint32_t>(c.integer("call")),
                           .step = &step,
                           .batch_position = position,
                           .rate = c.real32("rate"),
                           .scale = c.real32("scale"),
                           .x = x.data(),
                           .y = y.data(),
                           .accumulate = false};
    RunInPieces(DropoutUnits(args), 3, [&](UnitRange units) { Dropout(args, units); });
    EXPECT_TRUE(SameBits(Unpack(layout, features, y), c.floats("y"))) << features;
  }
}

TEST_P(GoldenFunctions, DecodingRoundsToFloatThenScalesWithOneFma) {
  for (const Golden& c : Numerics().cases("decode")) {
    const bool bytes = c.text("type") == "u8";
    const std::vector<float> expected = c.floats("y");
    const auto features = static_cast<int64_t>(expected.size());
    const std::vector<int64_t> integers = bytes ? c.integers("x") : std::vector<int64_t>();
    std::vector<uint8_t> small(integers.begin(), integers.end());
    small.resize(static_cast<size_t>(features) * kBlockLanes);
    std::vector<double> wide = bytes ? std::vector<double>() : c.doubles("x");
    wide.resize(small.size());
    const SlotLayout layout = OneShard(1);
    Blocks y = NanBlocks(features * kBlockLanes);
    const DecodeArgs args{1,
                          features,
                          layout.map(),
                          bytes ? SampleType::kU8 : SampleType::kF64,
                          bytes ? static_cast<const void*>(small.data()) : wide.data(),
                          c.real32("scale"),
                          c.real32("offset"),
                          y.data()};
    Decode(args, {0, DecodeUnits(args)});
    EXPECT_TRUE(SameBits(Unpack(layout, features, y), expected)) << c.text("type");
  }
}

}  // namespace
}  // namespace lockstep::kernels
