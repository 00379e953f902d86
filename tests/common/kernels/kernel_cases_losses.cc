// Random cases of the losses.
#include "absl/strings/str_cat.h"

#include "common/kernels/losses.h"
#include "common/kernels/reference_losses.h"
#include "tests/common/kernels/kernel_cases.h"

namespace lockstep::kernels {
namespace {

using Twin = ReferenceLoss<float> (*)(const std::vector<float>&, const std::vector<float>&, float);

struct Loss {
  void (*kernel)(const LossArgs& args, UnitRange units);
  Twin twin;
  bool sparse;
};

struct Expected {
  std::vector<float> loss;  // by slot
  std::vector<float> d_x;   // by sample
};

// [N][features], and a seed by sample.
struct Samples {
  std::vector<float> x, target, seed;
};

Expected ExpectedOf(const Loss& loss, const SlotLayout& layout, int64_t features,
                    const Samples& samples) {
  Expected expected{std::vector<float>(static_cast<size_t>(layout.blocks()) * kBlockLanes, 0.0f),
                    {}};
  const std::vector<int64_t> slots = layout.slots();
  for (size_t n = 0; n < slots.size(); ++n) {
    const auto row = [&](const std::vector<float>& values) {
      const auto begin = values.begin() + static_cast<int64_t>(n) * features;
      return std::vector<float>(begin, begin + features);
    };
    const ReferenceLoss<float> one =
        loss.twin(row(samples.x), row(samples.target), samples.seed[n]);
    expected.loss[static_cast<size_t>(slots[n])] = one.loss;
    expected.d_x.insert(expected.d_x.end(), one.d_x.begin(), one.d_x.end());
  }
  return expected;
}

Difference RunLoss(Choices& choose, const Loss& loss) {
  const SlotLayout layout = choose.Slots();
  const std::vector<int64_t> slots = layout.slots();
  const int64_t samples = layout.shards.samples(), features = choose.Extent(70);
  const size_t all = static_cast<size_t>(layout.blocks()) * kBlockLanes;
  const auto x = choose.Values(samples * features);
  auto target = choose.Values(samples * features);
  std::vector<float> seed(static_cast<size_t>(samples)), seeds(all, 0.0f);
  std::vector<int32_t> labels(all, 0);
  for (size_t n = 0; n < slots.size(); ++n) {
    const auto slot = static_cast<size_t>(slots[n]);
    seeds[slot] = seed[n] = static_cast<float>(choose.From(1, 40)) * 0.125f;
    labels[slot] = static_cast<int32_t>(choose.Below(features));
    for (int64_t k = 0; loss.sparse && k < features; ++k) {
      target[n * static_cast<size_t>(features) + static_cast<size_t>(k)] =
          k == labels[slot] ? 1.0f : 0.0f;
    }
  }
  const Expected expected = ExpectedOf(loss, layout, features, {x, target, seed});

  const Floats x_blocks(Packed(layout, features, x), choose.Edge());
  const Floats target_blocks(Packed(layout, features, target), choose.Edge());
  const Floats seed_buffer(seeds, choose.Edge());
  const GuardedBuffer<int32_t> label_buffer(labels, choose.Edge());
  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  const bool gradient = choose.Below(4) != 0;
  const Difference difference = OnEveryTarget([&] {
    Floats d_x(x_blocks.size(), edge), losses(all, edge);
    const LossArgs args{layout.blocks(),
                        features,
                        layout.map(),
                        x_blocks.data(),
                        loss.sparse ? nullptr : target_blocks.data(),
                        label_buffer.data(),
                        seed_buffer.data(),
                        gradient ? d_x.data() : nullptr,
                        losses.data()};
    RunInPieces(LossUnits(args), pieces, [&](UnitRange units) { loss.kernel(args, units); });
    return FirstOf({Untouched("d_x", d_x.intact()), Untouched("loss", losses.intact()),
                    Compare("loss", losses.values(), expected.loss),
                    gradient ? Compare("d_x", Unpacked(layout, features, d_x), expected.d_x) : ""});
  });
  if (difference.empty()) return "";
  return absl::StrCat(difference, " (", features, " features, ", layout.shards.count.size(),
                      " shards of ", layout.shard_slots, " slots)");
}

template <auto kernel, auto twin, bool sparse>
Difference Run(Choices& choose) {
  return RunLoss(choose, {kernel, twin, sparse});
}

Difference RunArgMax(Choices& choose) {
  const int64_t samples = choose.From(1, 40), features = choose.Extent(70);
  const SlotLayout layout = OneShard(static_cast<int32_t>(samples));
  const auto x = choose.Values(samples * features);
  std::vector<float> expected;
  for (int64_t n = 0; n < samples; ++n) {
    int64_t best = 0;
    for (int64_t k = 1; k < features; ++k) {
      const float value = x[static_cast<size_t>(n * features + k)];
      const float most = x[static_cast<size_t>(n * features + best)];
      if (!std::isnan(most) && (value > most || std::isnan(value))) best = k;
    }
    expected.push_back(static_cast<float>(best));
  }
  const Floats x_blocks(Packed(layout, features, x), choose.Edge());
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    GuardedBuffer<int32_t> index(static_cast<size_t>(layout.blocks()) * kBlockLanes, edge);
    ArgMax({layout.blocks(), features, x_blocks.data(), index.data()}, {0, layout.blocks()});
    std::vector<float> actual;
    for (const int64_t slot : layout.slots()) {
      actual.push_back(static_cast<float>(index.data()[slot]));
    }
    return FirstOf({Untouched("index", index.intact()), Compare("index", actual, expected)});
  });
}

constexpr KernelCase kCases[] = {
    {"mean_squared_error", &Run<&MeanSquaredError, &ReferenceMeanSquaredError<float>, false>},
    {"sparse_logits",
     &Run<&SparseCrossEntropyLogits, &ReferenceSparseCrossEntropyLogits<float>, true>},
    {"sparse_probabilities",
     &Run<&SparseCrossEntropyProbabilities, &ReferenceCrossEntropyProbabilities<float>, true>},
    {"categorical_logits",
     &Run<&CategoricalCrossEntropyLogits, &ReferenceCrossEntropyLogits<float>, false>},
    {"categorical_probabilities", &Run<&CategoricalCrossEntropyProbabilities,
                                       &ReferenceCrossEntropyProbabilities<float>, false>},
    {"binary_logits", &Run<&BinaryCrossEntropyLogits, &ReferenceBinaryLogits<float>, false>},
    {"binary_probabilities",
     &Run<&BinaryCrossEntropyProbabilities, &ReferenceBinaryProbabilities<float>, false>},
    {"arg_max", &RunArgMax}};

}  // namespace

absl::Span<const KernelCase> LossCases() { return kCases; }

}  // namespace lockstep::kernels
