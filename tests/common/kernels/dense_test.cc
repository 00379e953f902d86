// The exemplar for kernels with weights: bits of the reference on every SIMD target, for any split
// into units and subtrees.
#include "common/kernels/dense.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_activation.h"
#include "common/kernels/reference_dense.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

struct Shape {
  int64_t samples, positions, inputs, outputs;
};

// One input, one output, tails of every tile width, several panels of k, rows that fill no tile.
const std::vector<Shape>& Shapes() {
  static const auto* shapes = new std::vector<Shape>{
      {1, 1, 1, 1},     {5, 1, 3, 2},   {16, 1, 7, 13},  {17, 1, 12, 12},
      {48, 1, 31, 11},  {33, 3, 5, 29}, {16, 1, 300, 7}, {32, 1, 257, 3},
      {20, 1, 520, 25}, {8, 2, 9, 70},  {80, 1, 2, 64},  {16, 1, 64, 300},
  };
  return *shapes;
}

using Dense = SimdTest;
LOCKSTEP_EVERY_SIMD(Dense);

TEST_P(Dense, ForwardHasTheBitsOfTheReference) {
  for (const Shape& s : Shapes()) {
    for (const Activation activation :
         {Activation::kLinear, Activation::kRelu, Activation::kTanh}) {
      const SlotLayout layout = OneShard(static_cast<int32_t>(s.samples));
      const auto x = RandomValues(s.samples * s.positions * s.inputs, 1);
      const auto w = RandomValues(s.inputs * s.outputs, 2), b = RandomValues(s.outputs, 3);
      const float* bias = s.inputs % 2 == 0 ? nullptr : b.data();
      std::vector<float> expected(static_cast<size_t>(s.samples * s.positions * s.outputs));
      ReferenceDenseForward({s.samples * s.positions, s.inputs, s.outputs}, x.data(), w.data(),
                            bias, expected.data());
      for (float& value : expected) value = ReferenceActivation(activation, value);

      const Blocks x_blocks = Pack(layout, s.positions * s.inputs, x);
      Blocks y = NanBlocks(layout.blocks() * s.positions * s.outputs * kBlockLanes);
      const DenseForwardArgs args{layout.blocks(), s.positions, s.inputs, s.outputs,
                                  x_blocks.data(), w.data(),    bias,     y.data(),
                                  activation};
      RunInPieces(DenseForwardUnits(args), 4, [&](UnitRange units) { DenseForward(args, units); });

      EXPECT_TRUE(SameBits(Unpack(layout, s.positions * s.outputs, y), expected))
          << s.inputs << " -> " << s.outputs << ", samples " << s.samples;
    }
  }
}

TEST_P(Dense, BackwardDataHasTheBitsOfTheReferenceAndAddsTheFinishedChain) {
  for (const Shape& s : Shapes()) {
    for (const bool accumulate : {false, true}) {
      const SlotLayout layout = OneShard(static_cast<int32_t>(s.samples));
      const auto d_y = RandomValues(s.samples * s.positions * s.outputs, 1);
      const auto w = RandomValues(s.inputs * s.outputs, 2);
      const auto before = RandomValues(s.samples * s.positions * s.inputs, 3);
      std::vector<float> expected(before.size());
      ReferenceDenseBackwardData({s.samples * s.positions, s.inputs, s.outputs}, d_y.data(),
                                 w.data(), expected.data());
      for (size_t k = 0; accumulate && k < expected.size(); ++k)
        expected[k] = before[k] + expected[k];

      const Blocks d_y_blocks = Pack(layout, s.positions * s.outputs, d_y);
      Blocks d_x = accumulate ? Pack(layout, s.positions * s.inputs, before)
                              : NanBlocks(layout.blocks() * s.positions * s.inputs * kBlockLanes);
      const DenseBackwardDataArgs args{layout.blocks(),   s.positions, s.inputs,   s.outputs,
                                       d_y_blocks.data(), w.data(),    d_x.data(), accumulate};
      RunInPieces(DenseBackwardDataUnits(args), 4,
                  [&](UnitRange units) { DenseBackwardData(args, units); });

      EXPECT_TRUE(SameBits(Unpack(layout, s.positions * s.inputs, d_x), expected))
          << s.inputs << " -> " << s.outputs;
    }
  }
}

// d_w, then d_b, of one subtree of a layout whose lanes without a sample are NaN.
std::vector<float> WeightGradient(const Shape& s, const SlotLayout& layout, SubtreeRange subtree,
                                  const std::vector<std::vector<float>>& tensors) {
  std::vector<Blocks> blocks;
  for (size_t k = 0; k < tensors.size(); ++k) {
    blocks.push_back(Pack(layout, s.positions * (k % 2 == 0 ? s.inputs : s.outputs), tensors[k]));
  }
  std::vector<GradientCall> calls;
  for (size_t k = 0; k < blocks.size(); k += 2)
    calls.push_back({blocks[k].data(), blocks[k + 1].data()});
  const auto call_count = static_cast<int32_t>(calls.size());
  std::vector<float> gradient(static_cast<size_t>((s.inputs + 1) * s.outputs), -7.0f);
  DenseBackwardWeightsArgs args{
      s.positions,  s.inputs,   s.outputs, layout.map(),    subtree,
      calls.data(), call_count, nullptr,   gradient.data(), gradient.data() + s.inputs * s.outputs};
  Blocks rows = NanBlocks(DenseBackwardWeightsScratch(args));
  args.d_y_rows = rows.data();
  const DenseTransposeGradientArgs transpose{s.positions,  s.outputs,  layout.map(),
                                             calls.data(), call_count, rows.data()};
  RunInPieces(DenseTransposeGradientUnits(transpose), 5,
              [&](UnitRange units) { DenseTransposeGradient(transpose, units); });
  RunInPieces(DenseBackwardWeightsUnits(args), 6,
              [&](UnitRange units) { DenseBackwardWeights(args, units); });
  return gradient;
}

std::vector<float> ReferenceWeightGradient(const Shape& s, const ReferenceShards& shards,
                                           const std::vector<std::vector<float>>& tensors) {
  std::vector<float> gradient(static_cast<size_t>((s.inputs + 1) * s.outputs));
  ReferenceDenseWeightsArgs<float> args{s.positions,
                                        s.inputs,
                                        s.outputs,
                                        shards,
                                        {},
                                        gradient.data(),
                                        gradient.data() + s.inputs * s.outputs};
  for (size_t k = 0; k < tensors.size(); k += 2)
    args.calls.push_back({tensors[k].data(), tensors[k + 1].data()});
  ReferenceDenseBackwardWeights(args);
  return gradient;
}

struct ShardCase {
  int32_t shard_slots;
  ReferenceShards shards;
};

// Full shards, a smaller last batch, empty shards, one shard, shards of several blocks.
const std::vector<ShardCase>& ShardCases() {
  static const auto* cases = new std::vector<ShardCase>{
      {4, {4, {4, 4, 4, 4, 4, 4, 4, 4}}},
      {4, {3, {3, 3, 2, 0}}},
      {1, {1, {1, 1, 1, 0, 0, 0, 0, 0}}},
      {16, {11, {11}}},
      {8, {5, {5, 0, 5, 1}}},
      {32, {20, {20, 17}}},
      {2, {2, {0, 0}}},
  };
  return *cases;
}

std::vector<std::vector<float>> RandomCalls(const Shape& s, int64_t samples, int calls) {
  std::vector<std::vector<float>> tensors;
  for (int call = 0; call < calls; ++call) {
    tensors.push_back(
        RandomValues(samples * s.positions * s.inputs, static_cast<uint32_t>(10 + call)));
    tensors.push_back(
        RandomValues(samples * s.positions * s.outputs, static_cast<uint32_t>(20 + call)));
  }
  return tensors;
}

TEST_P(Dense, WeightGradientHasTheBitsOfTheReferenceForAnyShards) {
  for (const ShardCase& c : ShardCases()) {
    for (const Shape& s :
         {Shape{0, 1, 1, 1}, Shape{0, 1, 13, 10}, Shape{0, 3, 7, 33}, Shape{0, 1, 25, 130}}) {
      const SlotLayout layout{c.shard_slots, c.shards};
      const auto tensors = RandomCalls(s, c.shards.samples(), s.positions == 3 ? 2 : 1);

      const auto actual = WeightGradient(s, layout, layout.all(), tensors);

      EXPECT_TRUE(SameBits(actual, ReferenceWeightGradient(s, c.shards, tensors)))
          << c.shards.count.size() << " shards, " << s.inputs << " -> " << s.outputs;
    }
  }
}

// Each rank holds its own shards and sends one partial per maximal aligned subtree.
TEST_P(Dense, WeightGradientSumsToTheSameBitsForOneToEightRanks) {
  const Shape s{0, 1, 7, 19};
  const ReferenceShards shards{3, {3, 3, 3, 3, 3, 1, 0, 0}};
  const auto tensors = RandomCalls(s, shards.samples(), 1);
  const auto whole = ReferenceWeightGradient(s, shards, tensors);
  const SlotLayout layout{4, shards};
  for (int32_t ranks = 1; ranks <= 8; ++ranks) {
    std::map<std::pair<int32_t, int32_t>, std::vector<float>> partials;
    for (int32_t rank = 0; rank < ranks; ++rank) {
      for (const auto& subtree : MaximalSubtrees(rank * 8 / ranks, (rank + 1) * 8 / ranks)) {
        partials[subtree] = WeightGradient(s, layout, {subtree.first, subtree.second}, tensors);
      }
    }
    const auto sum =
        MergeSubtrees(partials, 0, 8, [](std::vector<float> a, const std::vector<float>& b) {
          for (size_t k = 0; k < a.size(); ++k) a[k] += b[k];
          return a;
        });
    EXPECT_TRUE(SameBits(sum, whole)) << ranks << " ranks";
  }
}

TEST(DenseReference, GradientsAgreeWithCentralDifferences) {
  const int64_t rows = 3, inputs = 4, outputs = 5;
  const ReferenceDenseShape shape{rows, inputs, outputs};
  const auto x = RandomValues<double>(rows * inputs, 1),
             w = RandomValues<double>(inputs * outputs, 2);
  const auto b = RandomValues<double>(outputs, 3), d_y = RandomValues<double>(rows * outputs, 4);
  const auto loss = [&](const std::vector<double>& px, const std::vector<double>& pw,
                        const std::vector<double>& pb) {
    std::vector<double> y(d_y.size());
    ReferenceDenseForward(shape, px.data(), pw.data(), pb.data(), y.data());
    double sum = 0;
    for (size_t k = 0; k < y.size(); ++k) sum += y[k] * d_y[k];
    return sum;
  };
  std::vector<double> d_x(x.size()), d_w(w.size()), d_b(b.size());
  ReferenceDenseBackwardData(shape, d_y.data(), w.data(), d_x.data());
  ReferenceDenseBackwardWeights<double>(
      {1, inputs, outputs, {2, {2, 1}}, {{x.data(), d_y.data()}}, d_w.data(), d_b.data()});

  ExpectGradient(x, d_x, [&](const std::vector<double>& v) { return loss(v, w, b); });
  ExpectGradient(w, d_w, [&](const std::vector<double>& v) { return loss(x, v, b); });
  ExpectGradient(b, d_b, [&](const std::vector<double>& v) { return loss(x, w, v); });
}

}  // namespace
}  // namespace lockstep::kernels
