// Bits of the reference on every SIMD target, for any split into units; what the sums over shards
// are made of is dense_test.cc's.
#include "common/kernels/lstm.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_dense.h"
#include "common/kernels/reference_lstm.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct LstmCase {
  int64_t samples, positions, inputs, units;
  bool sequences = true, backwards = false, bias = true;
  Activation activation = Activation::kTanh;
  Activation recurrent_activation = Activation::kSigmoid;

  LstmShape shape(int64_t blocks) const {
    return {.blocks = blocks,
            .positions = positions,
            .inputs = inputs,
            .units = units,
            .activation = activation,
            .recurrent_activation = recurrent_activation,
            .backwards = backwards,
            .sequences = sequences};
  }
  int64_t outputs() const { return (sequences ? positions : 1) * units; }
};

// One step, one unit, one input; tails of every tile; one, two, three blocks; every option.
const std::vector<LstmCase>& Cases() {
  static const auto* cases = [] {
    auto* all = new std::vector<LstmCase>{
        {1, 1, 1, 1},
        {5, 2, 3, 1, false, false, false},
        {16, 3, 1, 50},
        {33, 4, 28, 13, false},
        {48, 3, 5, 8, true, true},
        {17, 5, 2, 7, false, true},
        {32, 2, 70, 26, true, false, true, Activation::kRelu, Activation::kTanh},
        {40, 3, 4, 6, true, true, false, Activation::kLinear, Activation::kSigmoid},
        {20, 3, 4, 5, false, false, true, Activation::kSigmoid, Activation::kLinear},
        {34, 2, 3, 4, true, false, true, Activation::kTanh, Activation::kRelu},
    };
    for (int64_t units = 1; units <= 25; ++units) all->push_back({32, 2, 3, units});
    for (int64_t units = 2; units <= 25; ++units) all->push_back({16, 2, 3, units, false});
    return all;
  }();
  return *cases;
}

// What a case is computed from, and what the twin makes of it.
struct Sample {
  explicit Sample(const LstmCase& c, float scale = 1.0f)
      : x(RandomValues(c.samples * c.positions * c.inputs, 1)),
        w(RandomValues(c.inputs * 4 * c.units, 2)),
        u(RandomValues(c.units * 4 * c.units, 3)),
        b(RandomValues(4 * c.units, 4)),
        d_y(RandomValues(c.samples * c.outputs(), 5)),
        y(static_cast<size_t>(c.samples * c.outputs())) {
    for (float& value : u) value *= scale / std::sqrt(static_cast<float>(c.units));
    if (!c.bias) b.clear();
  }
  void RunTwin(const LstmCase& c) {
    kept = ReferenceLstmForward<float>(
        {c.shape(0), c.samples, x.data(), w.data(), u.data(), bias(), y.data()});
    d_gates = ReferenceLstmBackward<float>({c.shape(0), c.samples, u.data(), kept, d_y.data()});
  }
  const float* bias() const { return b.empty() ? nullptr : b.data(); }

  std::vector<float> x, w, u, b, d_y, y, d_gates;
  ReferenceLstmKept<float> kept;
};

std::string Name(const LstmCase& c) {
  return std::to_string(c.samples) + " samples, " + std::to_string(c.inputs) + " -> " +
         std::to_string(c.units);
}

// Memory of one pass in blocks.
struct Memory {
  Memory(const LstmCase& c, int64_t blocks)
      : gates(NanBlocks(blocks * c.positions * 4 * c.units * kBlockLanes)),
        d_gates(gates),
        cells(NanBlocks(blocks * c.positions * 2 * c.units * kBlockLanes)),
        before(NanBlocks(blocks * c.positions * c.units * kBlockLanes)),
        state(NanBlocks(blocks * 3 * c.units * kBlockLanes)),
        y(NanBlocks(blocks * c.outputs() * kBlockLanes)) {}
  LstmKept kept() { return {gates.data(), cells.data(), before.data()}; }

  Blocks gates, d_gates, cells, before, state, y;
};

void ExpectTwin(const LstmCase& c, const Sample& sample, uint32_t seed) {
  const SlotLayout layout = OneShard(static_cast<int32_t>(c.samples));
  const int64_t steps = c.positions, units = c.units;
  const Blocks x = Pack(layout, steps * c.inputs, sample.x);
  const Blocks d_y = Pack(layout, c.outputs(), sample.d_y);
  for (const bool keeps : {true, false}) {
    Memory memory(c, layout.blocks());
    const LstmForwardArgs forward{.shape = c.shape(layout.blocks()),
                                  .x = x.data(),
                                  .w = sample.w.data(),
                                  .u = sample.u.data(),
                                  .b = sample.bias(),
                                  .y = memory.y.data(),
                                  .kept = keeps ? memory.kept() : LstmKept{},
                                  .state = keeps ? nullptr : memory.state.data()};
    RunInPieces(LstmForwardUnits(forward), seed,
                [&](UnitRange range) { LstmForward(forward, range); });

    EXPECT_TRUE(SameBits(Unpack(layout, c.outputs(), memory.y), sample.y)) << Name(c);
    if (!keeps) continue;
    EXPECT_TRUE(SameBits(Unpack(layout, steps * 4 * units, memory.gates), sample.kept.gates))
        << Name(c);
    EXPECT_TRUE(SameBits(Unpack(layout, steps * 2 * units, memory.cells), sample.kept.cells))
        << Name(c);
    EXPECT_TRUE(SameBits(Unpack(layout, steps * units, memory.before), sample.kept.before))
        << Name(c);
    const LstmBackwardArgs backward{.shape = forward.shape,
                                    .u = sample.u.data(),
                                    .kept = memory.kept(),
                                    .d_y = d_y.data(),
                                    .d_gates = memory.d_gates.data(),
                                    .d_cell = memory.state.data()};
    RunInPieces(LstmBackwardUnits(backward), seed,
                [&](UnitRange range) { LstmBackward(backward, range); });

    EXPECT_TRUE(SameBits(Unpack(layout, steps * 4 * units, memory.d_gates), sample.d_gates))
        << Name(c);
  }
}

using Lstm = SimdTest;
LOCKSTEP_EVERY_SIMD(Lstm);

TEST_P(Lstm, HasTheBitsOfTheReferenceForAnySplit) {
  for (const LstmCase& c : Cases()) {
    Sample sample(c);
    sample.RunTwin(c);
    for (const uint32_t seed : {1u, 2u}) ExpectTwin(c, sample, seed);
  }
}

// In few samples, since a NaN takes its sample with it; in the weights with one step, since there
// it takes all.
TEST_P(Lstm, TreatsEveryFloatAsTheReferenceDoes) {
  for (const LstmCase& c :
       {LstmCase{37, 4, 5, 6}, LstmCase{37, 4, 5, 6, false}, LstmCase{37, 1, 5, 6}}) {
    Sample sample(c);
    constexpr float kSpecial[] = {kInf,       -kInf,     kNan,     0.0f,      -0.0f,  0x1p-149f,
                                  -0x1p-130f, 0x1p-126f, 0x1p127f, -0x1p127f, 1e-30f, -90.0f};
    for (size_t k = 0; k < std::size(kSpecial); ++k) {
      sample.x[k * 5 * static_cast<size_t>(c.positions)] = kSpecial[k];
      sample.d_y[(k + 14) * 6] = kSpecial[k];
    }
    sample.u[2] = -0x1p-140f;
    if (c.positions == 1) {
      sample.w[3] = kInf;
      sample.u[5] = kInf;
      sample.b[1] = kNan;
    }
    sample.RunTwin(c);
    ExpectTwin(c, sample, 3);
  }
}

// Closed input and output gates leave tails that would be denormal from one step to the next.
TEST_P(Lstm, StoresNoDenormals) {
  const LstmCase c{16, 6, 2, 5};
  Sample sample(c);
  for (int64_t k = 0; k < c.units; ++k) {
    sample.b[static_cast<size_t>(k)] = -80.0f;
    sample.b[static_cast<size_t>(c.units + k)] = -3.0f;
    sample.b[static_cast<size_t>(3 * c.units + k)] = -86.0f + static_cast<float>(k);
  }
  for (float& value : sample.d_y) value *= 1e-3f;
  sample.RunTwin(c);
  ExpectTwin(c, sample, 4);
  size_t zeros = 0;
  for (const auto* values : {&sample.kept.cells, &sample.y, &sample.d_gates}) {
    for (const float value : *values) {
      EXPECT_TRUE(value == 0.0f || std::abs(value) >= 0x1p-126f) << value;
      zeros += value == 0.0f ? 1 : 0;
    }
  }
  EXPECT_GT(zeros, 100u);
}

TEST(LstmReference, GradientsAgreeWithCentralDifferences) {
  for (const bool sequences : {true, false}) {
    const LstmCase c{2, 3, 3, 4, sequences, !sequences};
    const int64_t rows = c.samples * c.positions, gates = 4 * c.units;
    const auto x = RandomValues<double>(rows * c.inputs, 1);
    const auto w = RandomValues<double>(c.inputs * gates, 2);
    const auto u = RandomValues<double>(c.units * gates, 3), b = RandomValues<double>(gates, 4);
    const auto d_y = RandomValues<double>(c.samples * c.outputs(), 5);
    std::vector<double> y(d_y.size());
    const auto loss = [&](const std::vector<double>& px, const std::vector<double>& pw,
                          const std::vector<double>& pu, const std::vector<double>& pb) {
      ReferenceLstmForward<double>(
          {c.shape(0), c.samples, px.data(), pw.data(), pu.data(), pb.data(), y.data()});
      double sum = 0;
      for (size_t k = 0; k < y.size(); ++k) sum += y[k] * d_y[k];
      return sum;
    };
    const auto kept = ReferenceLstmForward<double>(
        {c.shape(0), c.samples, x.data(), w.data(), u.data(), b.data(), y.data()});
    const auto d_gates =
        ReferenceLstmBackward<double>({c.shape(0), c.samples, u.data(), kept, d_y.data()});
    std::vector<double> d_x(x.size()), d_w(w.size()), d_u(u.size()), d_b(b.size());
    ReferenceDenseBackwardData({rows, c.inputs, gates}, d_gates.data(), w.data(), d_x.data());
    const ReferenceShards shards{2, {2}};
    ReferenceDenseBackwardWeights<double>({c.positions,
                                           c.inputs,
                                           gates,
                                           shards,
                                           {{x.data(), d_gates.data()}},
                                           d_w.data(),
                                           d_b.data()});
    ReferenceDenseBackwardWeights<double>({c.positions,
                                           c.units,
                                           gates,
                                           shards,
                                           {{kept.before.data(), d_gates.data()}},
                                           d_u.data(),
                                           nullptr});

    ExpectGradient(x, d_x, [&](const std::vector<double>& v) { return loss(v, w, u, b); });
    ExpectGradient(w, d_w, [&](const std::vector<double>& v) { return loss(x, v, u, b); });
    ExpectGradient(u, d_u, [&](const std::vector<double>& v) { return loss(x, w, v, b); });
    ExpectGradient(b, d_b, [&](const std::vector<double>& v) { return loss(x, w, u, v); });
  }
}

}  // namespace
}  // namespace lockstep::kernels
