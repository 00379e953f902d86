// The vectors of numerics.json against the layers' and optimizers' kernels on every SIMD target of
// this CPU, for shards laid out in more than one way, and against their scalar twins; see
// functions_golden_test.cc.
#include <algorithm>
#include <bit>

#include "gtest/gtest.h"

#include "common/kernels/batch_norm.h"
#include "common/kernels/conv2d.h"
#include "common/kernels/dense.h"
#include "common/kernels/optimizers.h"
#include "common/kernels/pooling.h"
#include "common/kernels/reference_batch_norm.h"
#include "common/kernels/reference_conv2d.h"
#include "common/kernels/reference_dense.h"
#include "common/kernels/reference_optimizers.h"
#include "common/kernels/reference_pooling.h"
#include "tests/common/kernels/image_testing.h"
#include "tests/golden/golden_file.h"

namespace lockstep::kernels {
namespace {

using ::lockstep::testing::Golden;
using ::lockstep::testing::Numerics;

using GoldenLayers = SimdTest;
LOCKSTEP_EVERY_SIMD(GoldenLayers);

ReferenceShards ShardsOf(const Golden& c) {
  ReferenceShards shards{.positions = static_cast<int32_t>(c.integer("shard_positions")),
                         .count = {}};
  for (const int64_t count : c.integers("counts")) {
    shards.count.push_back(static_cast<int32_t>(count));
  }
  return shards;
}

// Shards side by side in one block, as the planner lays them, and apart: no layout may matter.
std::vector<SlotLayout> LayoutsOf(const Golden& c) {
  const ReferenceShards shards = ShardsOf(c);
  const auto least = static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(shards.positions)));
  return {{least, shards}, {16, shards}, {32, shards}};
}

// Call `call` of a list of equal parts.
std::vector<float> Part(const std::vector<float>& values, int64_t parts, int64_t part) {
  const int64_t size = static_cast<int64_t>(values.size()) / parts;
  return {values.begin() + part * size, values.begin() + (part + 1) * size};
}

const float* OrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

// What a weights kernel takes: calls of packed inputs and gradients.
struct PackedCalls {
  PackedCalls(const Golden& c, const SlotLayout& layout, int64_t in, int64_t out) {
    const int64_t count = c.integer("calls");
    for (int64_t call = 0; call < count; ++call) {
      blocks.push_back(Pack(layout, in, Part(c.floats("x"), count, call)));
      blocks.push_back(Pack(layout, out, Part(c.floats("d_y"), count, call)));
    }
    for (size_t k = 0; k < blocks.size(); k += 2) {
      calls.push_back({blocks[k].data(), blocks[k + 1].data()});
    }
  }
  int32_t size() const { return static_cast<int32_t>(calls.size()); }

  std::vector<Blocks> blocks;
  std::vector<GradientCall> calls;
};

// Plain inputs and gradients for a twin.
struct PlainCalls {
  explicit PlainCalls(const Golden& c) {
    const int64_t count = c.integer("calls");
    for (int64_t call = 0; call < count; ++call) {
      values.push_back(Part(c.floats("x"), count, call));
      values.push_back(Part(c.floats("d_y"), count, call));
    }
    for (size_t k = 0; k < values.size(); k += 2) {
      calls.push_back({values[k].data(), values[k + 1].data()});
    }
  }
  std::vector<std::vector<float>> values;
  std::vector<ReferenceGradientCall<float>> calls;
};

// --- dense ---

TEST_P(GoldenLayers, DenseOutputIsAChainFromTheBias) {
  const Golden c = Numerics().at("reductions").at("chain");
  const std::vector<float> w = c.floats("b"), start = c.floats("start");
  const auto inputs = static_cast<int64_t>(w.size());
  const SlotLayout layout = OneShard(1);
  const Blocks x = Pack(layout, inputs, c.floats("a"));
  Blocks y = NanBlocks(kBlockLanes);
  const DenseForwardArgs args{
      1, 1, inputs, 1, x.data(), w.data(), start.data(), y.data(), Activation::kLinear};

  DenseForward(args, {0, DenseForwardUnits(args)});

  EXPECT_TRUE(SameBits({y[0]}, c.floats("fma")));
}

TEST_P(GoldenLayers, DenseForwardAndData) {
  for (const Golden& c : Numerics().cases("dense")) {
    const int64_t positions = c.integer("positions");
    const int64_t inputs = c.integer("inputs"), outputs = c.integer("outputs");
    const std::vector<float> w = c.floats("w"), b = c.floats("b");
    const std::vector<float> x = Part(c.floats("x"), c.integer("calls"), 0);
    const std::vector<float> d_y = Part(c.floats("d_y"), c.integer("calls"), 0);
    const ReferenceDenseShape shape{ShardsOf(c).samples() * positions, inputs, outputs};
    std::vector<float> twin_y(d_y.size()), twin_d_x(x.size());
    ReferenceDenseForward(shape, x.data(), w.data(), OrNull(b), twin_y.data());
    ReferenceDenseBackwardData(shape, d_y.data(), w.data(), twin_d_x.data());
    EXPECT_TRUE(SameBits(twin_y, c.floats("y")));
    EXPECT_TRUE(SameBits(twin_d_x, c.floats("d_x")));
    for (const SlotLayout& layout : LayoutsOf(c)) {
      const Blocks xs = Pack(layout, positions * inputs, x);
      const Blocks d_ys = Pack(layout, positions * outputs, d_y);
      Blocks y = NanBlocks(static_cast<int64_t>(d_ys.size()));
      Blocks d_x = NanBlocks(static_cast<int64_t>(xs.size()));
      const DenseForwardArgs forward{layout.blocks(), positions, inputs,
                                     outputs,         xs.data(), w.data(),
                                     OrNull(b),       y.data(),  Activation::kLinear};
      const DenseBackwardDataArgs backward{layout.blocks(), positions, inputs,     outputs,
                                           d_ys.data(),     w.data(),  d_x.data(), false};
      DenseForward(forward, {0, DenseForwardUnits(forward)});
      DenseBackwardData(backward, {0, DenseBackwardDataUnits(backward)});

      EXPECT_TRUE(SameBits(Unpack(layout, positions * outputs, y), c.floats("y")));
      EXPECT_TRUE(SameBits(Unpack(layout, positions * inputs, d_x), c.floats("d_x")));
    }
  }
}

TEST_P(GoldenLayers, DenseWeights) {
  for (const Golden& c : Numerics().cases("dense")) {
    const int64_t positions = c.integer("positions");
    const int64_t inputs = c.integer("inputs"), outputs = c.integer("outputs");
    std::vector<float> d_w(c.floats("d_w").size()), d_b(c.floats("d_b").size());
    ReferenceDenseBackwardWeights<float>(
        {positions, inputs, outputs, ShardsOf(c), PlainCalls(c).calls, d_w.data(), d_b.data()});
    EXPECT_TRUE(SameBits(d_w, c.floats("d_w")));
    EXPECT_TRUE(SameBits(d_b, c.floats("d_b")));
    for (const SlotLayout& layout : LayoutsOf(c)) {
      const PackedCalls calls(c, layout, positions * inputs, positions * outputs);
      DenseBackwardWeightsArgs args{
          positions,          inputs,       outputs, layout.map(), layout.all(),
          calls.calls.data(), calls.size(), nullptr, d_w.data(),   d_b.data()};
      Blocks rows = NanBlocks(DenseBackwardWeightsScratch(args));
      args.d_y_rows = rows.data();
      const DenseTransposeGradientArgs transpose{positions,          outputs,      layout.map(),
                                                 calls.calls.data(), calls.size(), rows.data()};
      DenseTransposeGradient(transpose, {0, DenseTransposeGradientUnits(transpose)});
      DenseBackwardWeights(args, {0, DenseBackwardWeightsUnits(args)});

      EXPECT_TRUE(SameBits(d_w, c.floats("d_w"))) << layout.shard_slots << " slots a shard";
      EXPECT_TRUE(SameBits(d_b, c.floats("d_b"))) << layout.shard_slots << " slots a shard";
    }
  }
}

// --- conv2d ---

Conv2dGeometry ConvOf(const Golden& c) {
  const auto size = c.integers("size"), kernel = c.integers("kernel"), out = c.integers("out");
  const auto stride = c.integers("stride"), dilation = c.integers("dilation");
  const auto pad = c.integers("pad");
  return {.height = size[0],
          .width = size[1],
          .channels = c.integer("channels"),
          .kernel_h = kernel[0],
          .kernel_w = kernel[1],
          .filters = c.integer("filters"),
          .stride_h = stride[0],
          .stride_w = stride[1],
          .dilation_h = dilation[0],
          .dilation_w = dilation[1],
          .pad_top = pad[0],
          .pad_left = pad[1],
          .out_h = out[0],
          .out_w = out[1],
          .groups = c.integer("groups")};
}

TEST_P(GoldenLayers, Conv2dForwardAndData) {
  for (const Golden& c : Numerics().cases("conv2d")) {
    const Conv2dGeometry g = ConvOf(c);
    const int64_t in = g.height * g.width * g.channels, out = g.out_h * g.out_w * g.filters;
    const int64_t samples = ShardsOf(c).samples();
    const std::vector<float> w = c.floats("w"), b = c.floats("b");
    const std::vector<float> x = Part(c.floats("x"), c.integer("calls"), 0);
    const std::vector<float> d_y = Part(c.floats("d_y"), c.integer("calls"), 0);
    std::vector<float> twin_y(d_y.size()), twin_d_x(x.size());
    ReferenceConv2dForward<float>({g, samples, x.data(), w.data(), OrNull(b), twin_y.data()});
    ReferenceConv2dBackwardData<float>({g, samples, d_y.data(), w.data(), twin_d_x.data(), false});
    EXPECT_TRUE(SameBits(twin_y, c.floats("y")));
    EXPECT_TRUE(SameBits(twin_d_x, c.floats("d_x")));
    for (const SlotLayout& layout : LayoutsOf(c)) {
      const Blocks xs = Pack(layout, in, x), d_ys = Pack(layout, out, d_y);
      Blocks y = NanBlocks(static_cast<int64_t>(d_ys.size()));
      Blocks d_x = NanBlocks(static_cast<int64_t>(xs.size()));
      const Conv2dForwardArgs forward{g,         layout.blocks(), xs.data(),          w.data(),
                                      OrNull(b), y.data(),        Activation::kLinear};
      const Conv2dBackwardDataArgs backward{g,        layout.blocks(), d_ys.data(),
                                            w.data(), d_x.data(),      false};
      Conv2dForward(forward, {0, Conv2dForwardUnits(forward)});
      Conv2dBackwardData(backward, {0, Conv2dBackwardDataUnits(backward)});

      EXPECT_TRUE(SameBits(Unpack(layout, out, y), c.floats("y"))) << c.text("size");
      EXPECT_TRUE(SameBits(Unpack(layout, in, d_x), c.floats("d_x"))) << c.text("size");
    }
  }
}

TEST_P(GoldenLayers, Conv2dWeights) {
  for (const Golden& c : Numerics().cases("conv2d")) {
    const Conv2dGeometry g = ConvOf(c);
    const int64_t in = g.height * g.width * g.channels, out = g.out_h * g.out_w * g.filters;
    std::vector<float> d_w(c.floats("d_w").size()), d_b(c.floats("d_b").size());
    ReferenceConv2dBackwardWeights<float>(
        {g, ShardsOf(c), PlainCalls(c).calls, d_w.data(), d_b.data()});
    EXPECT_TRUE(SameBits(d_w, c.floats("d_w")));
    EXPECT_TRUE(SameBits(d_b, c.floats("d_b")));
    for (const SlotLayout& layout : LayoutsOf(c)) {
      PackedCalls calls(c, layout, in, out);
      std::vector<Blocks> planes;
      for (GradientCall& call : calls.calls) {
        if (Conv2dInputIsPlanes(g)) break;
        planes.push_back(NanBlocks(layout.blocks() * Conv2dPlaneElements(g) * kBlockLanes));
        const Conv2dMakePlanesArgs make{g, layout.blocks(), call.x, planes.back().data()};
        Conv2dMakePlanes(make, {0, Conv2dMakePlanesUnits(make)});
        call.x = planes.back().data();
      }
      const Conv2dBackwardWeightsArgs args{
          g, layout.map(), layout.all(), calls.calls.data(), calls.size(), d_w.data(), d_b.data()};
      Conv2dBackwardWeights(args, {0, Conv2dBackwardWeightsUnits(args)});

      EXPECT_TRUE(SameBits(d_w, c.floats("d_w"))) << layout.shard_slots << " slots a shard";
      EXPECT_TRUE(SameBits(d_b, c.floats("d_b"))) << layout.shard_slots << " slots a shard";
    }
  }
}

// --- pooling ---

PoolGeometry PoolOf(const Golden& c) {
  const auto size = c.integers("size"), kernel = c.integers("kernel"), out = c.integers("out");
  const auto stride = c.integers("stride"), pad = c.integers("pad");
  return {.height = size[0],
          .width = size[1],
          .channels = c.integer("channels"),
          .pool_h = kernel[0],
          .pool_w = kernel[1],
          .stride_h = stride[0],
          .stride_w = stride[1],
          .pad_top = pad[0],
          .pad_left = pad[1],
          .out_h = out[0],
          .out_w = out[1]};
}

struct PoolResult {
  std::vector<float> max_y, max_d_x, average_y, average_d_x;
};

void ExpectGolden(const PoolResult& result, const Golden& c) {
  EXPECT_TRUE(SameBits(result.max_y, c.floats("max_y"))) << c.text("size");
  EXPECT_TRUE(SameBits(result.max_d_x, c.floats("max_d_x"))) << c.text("size");
  EXPECT_TRUE(SameBits(result.average_y, c.floats("average_y"))) << c.text("size");
  EXPECT_TRUE(SameBits(result.average_d_x, c.floats("average_d_x"))) << c.text("size");
}

TEST(GoldenTwins, Pooling) {
  for (const Golden& c : Numerics().cases("pooling")) {
    const PoolGeometry g = PoolOf(c);
    const std::vector<float> x = c.floats("x"), d_y = c.floats("d_y");
    PoolResult result{d_y, x, d_y, x};
    ReferenceMaxPoolForward<float>({g, 2, x.data(), result.max_y.data()});
    ReferenceMaxPoolBackward<float>({g, 2, x.data(), d_y.data(), result.max_d_x.data(), false});
    ReferenceAveragePoolForward<float>({g, 2, x.data(), result.average_y.data()});
    ReferenceAveragePoolBackward<float>(
        {g, 2, nullptr, d_y.data(), result.average_d_x.data(), false});
    ExpectGolden(result, c);
  }
}

TEST_P(GoldenLayers, Pooling) {
  for (const Golden& c : Numerics().cases("pooling")) {
    const PoolGeometry g = PoolOf(c);
    const int64_t in = g.height * g.width * g.channels, out = g.out_h * g.out_w * g.channels;
    const SlotLayout layout = OneShard(2);
    const Blocks x = Pack(layout, in, c.floats("x")), d_y = Pack(layout, out, c.floats("d_y"));
    Blocks max_y(d_y.size()), average_y(d_y.size()), max_d_x(x.size()), average_d_x(x.size());
    std::vector<uint8_t, AlignedAllocator<uint8_t>> choice(d_y.size());
    const MaxPoolForwardArgs max{g, 1, x.data(), max_y.data(), choice.data()};
    const MaxPoolBackwardArgs max_back{g, 1, d_y.data(), choice.data(), max_d_x.data(), false};
    const AveragePoolArgs average{g, 1, x.data(), average_y.data()};
    const AveragePoolBackwardArgs average_back{g, 1, d_y.data(), average_d_x.data(), false};
    MaxPoolForward(max, {0, MaxPoolForwardUnits(max)});
    MaxPoolBackward(max_back, {0, MaxPoolBackwardUnits(max_back)});
    AveragePoolForward(average, {0, AveragePoolForwardUnits(average)});
    AveragePoolBackward(average_back, {0, AveragePoolBackwardUnits(average_back)});
    ExpectGolden({Unpack(layout, out, max_y), Unpack(layout, in, max_d_x),
                  Unpack(layout, out, average_y), Unpack(layout, in, average_d_x)},
                 c);
  }
}

// --- batch normalization ---

std::vector<double> Flat(const std::vector<Moments>& moments) {
  std::vector<double> flat;
  for (const Moments& m : moments) flat.insert(flat.end(), {m.count, m.mean, m.m2});
  return flat;
}

struct NormCase {
  explicit NormCase(const Golden& golden)
      : c(golden),
        positions(c.integer("positions")),
        channels(c.integer("channels")),
        values(static_cast<double>(ShardsOf(c).samples() * positions)),
        x(c.floats("x")),
        d_y(c.floats("d_y")),
        mean(c.floats("mean")),
        variance(c.floats("variance")),
        gamma(c.floats("gamma")),
        beta(c.floats("beta")),
        sums(c.floats("sums")) {}

  const Golden& c;
  int64_t positions, channels;
  double values;  // of a channel
  std::vector<float> x, d_y, mean, variance, gamma, beta, sums;
};

TEST(GoldenTwins, BatchNormalization) {
  for (const Golden& golden : Numerics().cases("batch_norm")) {
    const NormCase n(golden);
    const ReferenceBatchNormArgs<float> args{
        n.positions,     n.channels,     ShardsOf(golden),
        n.x.data(),      n.mean.data(),  n.variance.data(),
        OrNull(n.gamma), OrNull(n.beta), golden.real32("epsilon")};
    std::vector<Moments> moments(n.mean.size());
    std::vector<float> y(n.x.size()), sums(n.sums.size()), d_x(n.x.size());
    ReferenceBatchNormMoments(args, moments.data());
    ReferenceBatchNormApply(args, y.data());
    ReferenceBatchNormSums(args, n.d_y.data(), sums.data());
    ReferenceBatchNormBackward(args, n.d_y.data(), n.sums.data(), n.values, d_x.data());
    EXPECT_EQ(Flat(moments), golden.doubles("moments"));
    EXPECT_TRUE(SameBits(y, golden.floats("y")));
    EXPECT_TRUE(SameBits(sums, golden.floats("sums")));
    EXPECT_TRUE(SameBits(d_x, golden.floats("d_x")));
  }
}

TEST_P(GoldenLayers, BatchNormalizationStatistics) {
  for (const Golden& golden : Numerics().cases("batch_norm")) {
    const NormCase n(golden);
    for (const SlotLayout& layout : LayoutsOf(golden)) {
      const Blocks x = Pack(layout, n.positions * n.channels, n.x);
      std::vector<Moments> moments(n.mean.size());
      const BatchNormMomentsArgs args{n.positions,  n.channels, layout.map(),
                                      layout.all(), x.data(),   moments.data()};
      BatchNormMoments(args, {0, BatchNormMomentsUnits(args)});
      std::vector<float> mean(n.mean.size()), variance(n.mean.size());
      std::vector<float> moving = golden.floats("old");
      double count = 0;
      BatchNormFinish({n.channels, moments.data(), golden.real32("momentum"), mean.data(),
                       variance.data(), moving.data(), moving.data() + n.channels, &count});

      EXPECT_EQ(Flat(moments), golden.doubles("moments"));
      EXPECT_TRUE(SameBits(mean, n.mean));
      EXPECT_TRUE(SameBits(variance, n.variance));
      EXPECT_TRUE(SameBits(moving, golden.floats("moving")));
      EXPECT_EQ(count, n.values);
    }
  }
}

TEST_P(GoldenLayers, BatchNormalizationOutputAndGradients) {
  for (const Golden& golden : Numerics().cases("batch_norm")) {
    const NormCase n(golden);
    const float epsilon = golden.real32("epsilon");
    for (const SlotLayout& layout : LayoutsOf(golden)) {
      const Blocks x = Pack(layout, n.positions * n.channels, n.x);
      const Blocks d_y = Pack(layout, n.positions * n.channels, n.d_y);
      Blocks y(x.size()), d_x(x.size());
      std::vector<float> sums(n.sums.size());
      const BatchNormApplyArgs apply{
          layout.blocks(),   n.positions,     n.channels,     x.data(), n.mean.data(),
          n.variance.data(), OrNull(n.gamma), OrNull(n.beta), epsilon,  y.data()};
      const BatchNormSumsArgs sum{n.positions, n.channels, layout.map(),  layout.all(),
                                  x.data(),    d_y.data(), n.mean.data(), n.variance.data(),
                                  epsilon,     sums.data()};
      const BatchNormBackwardArgs backward{layout.blocks(),
                                           n.positions,
                                           n.channels,
                                           x.data(),
                                           d_y.data(),
                                           n.mean.data(),
                                           n.variance.data(),
                                           OrNull(n.gamma),
                                           n.sums.data(),
                                           &n.values,
                                           epsilon,
                                           d_x.data(),
                                           false};
      BatchNormApply(apply, {0, BatchNormApplyUnits(apply)});
      BatchNormSums(sum, {0, BatchNormSumsUnits(sum)});
      BatchNormBackward(backward, {0, BatchNormBackwardUnits(backward)});

      const int64_t features = n.positions * n.channels;
      EXPECT_TRUE(SameBits(Unpack(layout, features, y), golden.floats("y")));
      EXPECT_TRUE(SameBits(sums, golden.floats("sums")));
      EXPECT_TRUE(SameBits(Unpack(layout, features, d_x), golden.floats("d_x")));
    }
  }
}

// --- optimizers ---

// The state of one run over the steps of a case; values after every step.
struct Trace {
  std::vector<float> values, m, v;
};

// Settings of the kernels by the case's optimizer; the schedule is Adam's own (alpha of the file).
bool IsAdam(const Golden& c) { return c.text("optimizer").find("adam") != std::string::npos; }

template <class SgdStep, class AdamStep>
Trace RunSteps(const Golden& c, SgdStep sgd_step, AdamStep adam_step) {
  std::vector<float> value = c.floats("value");
  const std::vector<float> gradients = c.floats("gradient"), settings = c.floats("settings");
  const auto count = static_cast<int64_t>(value.size());
  const int64_t steps = static_cast<int64_t>(gradients.size()) / count;
  Trace trace{{}, std::vector<float>(value.size(), 0.0f), std::vector<float>(value.size(), 0.0f)};
  for (int64_t t = 0; t < steps; ++t) {
    const float* gradient = gradients.data() + t * count;
    if (IsAdam(c)) {
      adam_step(AdamArgs{count, c.floats("alpha")[static_cast<size_t>(t)], settings[0], settings[1],
                         settings[2], gradient, trace.m.data(), trace.v.data(), value.data()});
    } else {
      sgd_step(SgdArgs{count, settings[0], settings[1], settings[2] != 0.0f, gradient,
                       settings[1] == 0.0f ? nullptr : trace.m.data(), value.data()});
    }
    trace.values.insert(trace.values.end(), value.begin(), value.end());
  }
  return trace;
}

void ExpectGolden(const Trace& trace, const Golden& c) {
  EXPECT_TRUE(SameBits(trace.values, c.floats("values"))) << c.text("optimizer");
  EXPECT_TRUE(SameBits(trace.m, c.floats("m"))) << c.text("optimizer");
  EXPECT_TRUE(!IsAdam(c) || SameBits(trace.v, c.floats("v"))) << c.text("optimizer");
}

TEST(GoldenTwins, Optimizers) {
  for (const Golden& c : Numerics().cases("optimizers")) {
    const auto sgd = [](const SgdArgs& args) {
      for (int64_t e = 0; e < args.count; ++e) {
        ReferenceSgd(args, args.gradient[e], args.velocity == nullptr ? nullptr : args.velocity + e,
                     args.value + e);
      }
    };
    const auto adam = [](const AdamArgs& args) {
      for (int64_t e = 0; e < args.count; ++e) {
        ReferenceAdam(args, args.gradient[e], args.m + e, args.v + e, args.value + e);
      }
    };
    ExpectGolden(RunSteps(c, sgd, adam), c);
  }
}

TEST_P(GoldenLayers, Optimizers) {
  for (const Golden& c : Numerics().cases("optimizers")) {
    const auto sgd = [](const SgdArgs& args) { Sgd(args, {0, FlatUnits(args.count)}); };
    const auto adam = [](const AdamArgs& args) { Adam(args, {0, FlatUnits(args.count)}); };
    ExpectGolden(RunSteps(c, sgd, adam), c);
  }
}

}  // namespace
}  // namespace lockstep::kernels
