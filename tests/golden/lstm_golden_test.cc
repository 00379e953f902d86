// The LSTM vectors of numerics.json against its kernels on every SIMD target of this CPU, one and
// several blocks, and against the scalar twin; see functions_golden_test.cc. Against the layer:
// lstm_layer_golden_test.cc.
#include "gtest/gtest.h"

#include "common/kernels/dense.h"
#include "common/kernels/lstm.h"
#include "common/kernels/reference_dense.h"
#include "common/kernels/reference_lstm.h"
#include "tests/common/kernels/image_testing.h"
#include "tests/golden/golden_file.h"

namespace lockstep::kernels {
namespace {

using ::lockstep::testing::Golden;
using ::lockstep::testing::Numerics;

// The first call of a case.
struct LstmCase {
  explicit LstmCase(const Golden& golden)
      : c(golden),
        shape{.blocks = 0,
              .positions = c.integer("positions"),
              .inputs = c.integer("inputs"),
              .units = c.integer("units"),
              .activation = Activation::kTanh,
              .recurrent_activation = Activation::kSigmoid,
              .backwards = c.integer("backwards") != 0,
              .sequences = c.integer("sequences") != 0},
        shards{static_cast<int32_t>(c.integer("shard_positions")), {}},
        w(c.floats("w")),
        u(c.floats("u")),
        b(c.floats("b")) {
    for (const int64_t count : c.integers("counts")) {
      shards.count.push_back(static_cast<int32_t>(count));
    }
  }
  int64_t outputs() const { return (shape.sequences ? shape.positions : 1) * shape.units; }
  int64_t gates() const { return shape.positions * 4 * shape.units; }
  const float* bias() const { return b.empty() ? nullptr : b.data(); }
  std::vector<float> Call(const char* name, int64_t call) const {
    const std::vector<float> values = c.floats(name);
    const int64_t size = std::ssize(values) / c.integer("calls");
    return {values.begin() + call * size, values.begin() + (call + 1) * size};
  }

  const Golden& c;
  LstmShape shape;
  ReferenceShards shards;
  std::vector<float> w, u, b;
};

TEST(GoldenTwins, Lstm) {
  for (const Golden& golden : Numerics().cases("lstm")) {
    const LstmCase c(golden);
    const int64_t samples = c.shards.samples(), outputs = 4 * c.shape.units;
    std::vector<std::vector<float>> tensors;  // of every call: x, h before, gate gradients
    std::vector<ReferenceGradientCall<float>> calls, recurrent;
    for (int64_t call = 0; call < golden.integer("calls"); ++call) {
      const std::vector<float> x = c.Call("x", call), d_y = c.Call("d_y", call);
      std::vector<float> y(d_y.size());
      ReferenceLstmKept<float> kept = ReferenceLstmForward<float>(
          {c.shape, samples, x.data(), c.w.data(), c.u.data(), c.bias(), y.data()});
      std::vector<float> d_gates =
          ReferenceLstmBackward<float>({c.shape, samples, c.u.data(), kept, d_y.data()});
      if (call == 0) {
        EXPECT_TRUE(SameBits(y, golden.floats("y")));
        EXPECT_TRUE(SameBits(d_gates, golden.floats("d_gates")));
      }
      tensors.insert(tensors.end(), {x, std::move(kept.before), std::move(d_gates)});
    }
    for (size_t k = 0; k < tensors.size(); k += 3) {
      calls.push_back({tensors[k].data(), tensors[k + 2].data()});
      recurrent.push_back({tensors[k + 1].data(), tensors[k + 2].data()});
    }
    std::vector<float> d_w(c.w.size()), d_u(c.u.size()), d_b(static_cast<size_t>(outputs));
    ReferenceDenseBackwardWeights<float>(
        {c.shape.positions, c.shape.inputs, outputs, c.shards, calls, d_w.data(), d_b.data()});
    ReferenceDenseBackwardWeights<float>(
        {c.shape.positions, c.shape.units, outputs, c.shards, recurrent, d_u.data(), nullptr});
    EXPECT_TRUE(SameBits(d_w, golden.floats("d_w")));
    EXPECT_TRUE(SameBits(d_u, golden.floats("d_u")));
    EXPECT_TRUE(SameBits(d_b, golden.floats("d_b")));
  }
}

using GoldenLstm = SimdTest;
LOCKSTEP_EVERY_SIMD(GoldenLstm);

TEST_P(GoldenLstm, ForwardAndGateGradients) {
  for (const Golden& golden : Numerics().cases("lstm")) {
    LstmCase c(golden);
    // Side by side, and each shard in a block of its own.
    for (const int32_t shard_slots : {4, 16}) {
      const SlotLayout layout{shard_slots, c.shards};
      c.shape.blocks = layout.blocks();
      const int64_t positions = c.shape.positions, units = c.shape.units;
      const Blocks x = Pack(layout, positions * c.shape.inputs, c.Call("x", 0));
      const Blocks d_y = Pack(layout, c.outputs(), c.Call("d_y", 0));
      const auto blocks_of = [&](int64_t features) {
        return NanBlocks(c.shape.blocks * features * kBlockLanes);
      };
      Blocks gates = blocks_of(c.gates()), d_gates = gates, y = blocks_of(c.outputs());
      Blocks cells = blocks_of(positions * 2 * units), before = blocks_of(positions * units);
      Blocks d_cell = blocks_of(units), d_x(x.size());
      const LstmKept kept{gates.data(), cells.data(), before.data()};
      const LstmForwardArgs forward{c.shape,  x.data(), c.w.data(), c.u.data(),
                                    c.bias(), y.data(), kept,       nullptr};
      const LstmBackwardArgs backward{c.shape,    c.u.data(),     kept,
                                      d_y.data(), d_gates.data(), d_cell.data()};
      const DenseBackwardDataArgs data{layout.blocks(), positions,  c.shape.inputs, 4 * units,
                                       d_gates.data(),  c.w.data(), d_x.data(),     false};
      LstmForward(forward, {0, LstmForwardUnits(forward)});
      LstmBackward(backward, {0, LstmBackwardUnits(backward)});
      DenseBackwardData(data, {0, DenseBackwardDataUnits(data)});

      EXPECT_TRUE(SameBits(Unpack(layout, c.outputs(), y), golden.floats("y")));
      EXPECT_TRUE(SameBits(Unpack(layout, c.gates(), d_gates), golden.floats("d_gates")));
      EXPECT_TRUE(SameBits(Unpack(layout, positions * c.shape.inputs, d_x), golden.floats("d_x")));
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
