// Random cases of the dense kernels.
#include "absl/strings/str_cat.h"

#include "common/kernels/dense.h"
#include "common/kernels/reference_activation.h"
#include "common/kernels/reference_dense.h"
#include "tests/common/kernels/kernel_cases.h"

namespace lockstep::kernels {
namespace {

struct DenseShape {
  int64_t positions, inputs, outputs;
  bool bias;
};

DenseShape ChooseShape(Choices& choose) {
  return {choose.Below(3) == 0 ? choose.From(2, 4) : 1, choose.Extent(300), choose.Extent(150),
          choose.Coin()};
}

std::string Words(const DenseShape& s, const SlotLayout& layout) {
  return absl::StrCat(" (", s.positions, " x ", s.inputs, " -> ", s.outputs, ", ",
                      layout.shards.count.size(), " shards of ", layout.shard_slots, " slots, ",
                      layout.shards.samples(), " samples)");
}

Difference Named(const Difference& difference, const std::string& words) {
  return difference.empty() ? "" : difference + words;
}

Difference Forward(Choices& choose) {
  const DenseShape s = ChooseShape(choose);
  const SlotLayout layout = choose.Slots();
  const int64_t samples = layout.shards.samples();
  const Activation activation =
      choose.Of({Activation::kLinear, Activation::kRelu, Activation::kSigmoid, Activation::kTanh});
  const auto x = choose.Values(samples * s.positions * s.inputs);
  const auto w = choose.Values(s.inputs * s.outputs), b = choose.Values(s.outputs);
  std::vector<float> expected(static_cast<size_t>(samples * s.positions * s.outputs));
  ReferenceDenseForward({samples * s.positions, s.inputs, s.outputs}, x.data(), w.data(),
                        s.bias ? b.data() : nullptr, expected.data());
  for (float& value : expected) value = ReferenceActivation(activation, value);

  const Floats x_blocks(Packed(layout, s.positions * s.inputs, x), choose.Edge());
  const Floats weights(w, choose.Edge()), biases(b, choose.Edge());
  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return Named(
      OnEveryTarget([&] {
        Floats y(NanValues(layout.blocks() * s.positions * s.outputs * kBlockLanes), edge);
        const DenseForwardArgs args{layout.blocks(),
                                    s.positions,
                                    s.inputs,
                                    s.outputs,
                                    x_blocks.data(),
                                    weights.data(),
                                    s.bias ? biases.data() : nullptr,
                                    y.data(),
                                    activation};
        RunInPieces(DenseForwardUnits(args), pieces,
                    [&](UnitRange units) { DenseForward(args, units); });
        return FirstOf({Untouched("y", y.intact()),
                        Compare("y", Unpacked(layout, s.positions * s.outputs, y), expected)});
      }),
      Words(s, layout));
}

Difference BackwardData(Choices& choose) {
  const DenseShape s = ChooseShape(choose);
  const SlotLayout layout = choose.Slots();
  const int64_t samples = layout.shards.samples();
  const bool accumulate = choose.Coin();
  const auto d_y = choose.Values(samples * s.positions * s.outputs);
  const auto w = choose.Values(s.inputs * s.outputs);
  const auto before = choose.Values(samples * s.positions * s.inputs);
  std::vector<float> expected(before.size());
  ReferenceDenseBackwardData({samples * s.positions, s.inputs, s.outputs}, d_y.data(), w.data(),
                             expected.data());
  for (size_t k = 0; accumulate && k < expected.size(); ++k) expected[k] = before[k] + expected[k];

  const Floats d_y_blocks(Packed(layout, s.positions * s.outputs, d_y), choose.Edge());
  const Floats weights(w, choose.Edge());
  const auto start = accumulate ? Packed(layout, s.positions * s.inputs, before)
                                : NanValues(layout.blocks() * s.positions * s.inputs * kBlockLanes);
  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return Named(
      OnEveryTarget([&] {
        Floats d_x(start, edge);
        const DenseBackwardDataArgs args{layout.blocks(),   s.positions,    s.inputs,   s.outputs,
                                         d_y_blocks.data(), weights.data(), d_x.data(), accumulate};
        RunInPieces(DenseBackwardDataUnits(args), pieces,
                    [&](UnitRange units) { DenseBackwardData(args, units); });
        return FirstOf({Untouched("d_x", d_x.intact()),
                        Compare("d_x", Unpacked(layout, s.positions * s.inputs, d_x), expected)});
      }),
      Words(s, layout));
}

std::vector<float> ReferenceGradient(const DenseShape& s, const SubtreeSamples& part,
                                     const std::vector<std::vector<float>>& tensors) {
  std::vector<float> gradient(static_cast<size_t>((s.inputs + 1) * s.outputs));
  ReferenceDenseWeightsArgs<float> args{s.positions,
                                        s.inputs,
                                        s.outputs,
                                        part.shards,
                                        {},
                                        gradient.data(),
                                        gradient.data() + s.inputs * s.outputs};
  const int64_t row = part.before * s.positions;
  for (size_t k = 0; k < tensors.size(); k += 2) {
    args.calls.push_back(
        {tensors[k].data() + row * s.inputs, tensors[k + 1].data() + row * s.outputs});
  }
  ReferenceDenseBackwardWeights(args);
  return gradient;
}

Difference BackwardWeights(Choices& choose) {
  DenseShape s = ChooseShape(choose);
  s.inputs = std::min<int64_t>(s.inputs, 70);
  const SlotLayout layout = choose.Slots();
  const SubtreeRange subtree = choose.Subtree(layout);
  const int64_t samples = layout.shards.samples();
  std::vector<std::vector<float>> tensors;
  std::vector<std::unique_ptr<Floats>> blocks;
  std::vector<GradientCall> calls;
  for (int64_t call = choose.From(1, 2); call > 0; --call) {
    for (const int64_t features : {s.positions * s.inputs, s.positions * s.outputs}) {
      tensors.push_back(choose.Values(samples * features));
      blocks.push_back(
          std::make_unique<Floats>(Packed(layout, features, tensors.back()), choose.Edge()));
    }
    calls.push_back({blocks[blocks.size() - 2]->data(), blocks.back()->data()});
  }
  std::vector<float> expected = ReferenceGradient(s, SamplesOf(layout, subtree), tensors);
  const std::vector<float> expected_b(expected.begin() + s.inputs * s.outputs, expected.end());
  expected.resize(static_cast<size_t>(s.inputs * s.outputs));

  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return Named(
      OnEveryTarget([&] {
        Floats d_w(NanValues(s.inputs * s.outputs), edge), d_b(NanValues(s.outputs), edge);
        DenseBackwardWeightsArgs args{s.positions,
                                      s.inputs,
                                      s.outputs,
                                      layout.map(),
                                      subtree,
                                      calls.data(),
                                      static_cast<int32_t>(calls.size()),
                                      nullptr,
                                      d_w.data(),
                                      s.bias ? d_b.data() : nullptr};
        Floats rows(NanValues(DenseBackwardWeightsScratch(args)), edge);
        args.d_y_rows = rows.data();
        const DenseTransposeGradientArgs transpose{s.positions,  s.outputs,       layout.map(),
                                                   calls.data(), args.call_count, rows.data()};
        RunInPieces(DenseTransposeGradientUnits(transpose), pieces,
                    [&](UnitRange units) { DenseTransposeGradient(transpose, units); });
        RunInPieces(DenseBackwardWeightsUnits(args), pieces + 1,
                    [&](UnitRange units) { DenseBackwardWeights(args, units); });
        return FirstOf({Untouched("d_y_rows", rows.intact()), Untouched("d_w", d_w.intact()),
                        Untouched("d_b", d_b.intact()), Compare("d_w", d_w.values(), expected),
                        s.bias ? Compare("d_b", d_b.values(), expected_b) : ""});
      }),
      Words(s, layout));
}

constexpr KernelCase kCases[] = {{"dense_forward", &Forward},
                                 {"dense_backward_data", &BackwardData},
                                 {"dense_backward_weights", &BackwardWeights}};

}  // namespace

absl::Span<const KernelCase> DenseCases() { return kCases; }

}  // namespace lockstep::kernels
