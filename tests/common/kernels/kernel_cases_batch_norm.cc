// Random cases of batch normalisation.
#include <cmath>

#include "absl/strings/str_cat.h"

#include "common/kernels/batch_norm.h"
#include "common/kernels/reference_batch_norm.h"
#include "tests/common/kernels/kernel_cases.h"

namespace lockstep::kernels {
namespace {

// A drawn case with the buffers of its operands.
struct Drawn {
  explicit Drawn(Choices& choose)
      : positions(choose.Extent(60)),
        channels(choose.Extent(40)),
        layout(choose.Slots()),
        samples(layout.shards.samples()),
        x(choose.Values(samples * positions * channels)),
        d_y(choose.Values(samples * positions * channels)),
        mean(choose.Values(channels)),
        variance(choose.Values(channels)),
        gamma(choose.Values(channels)),
        beta(choose.Values(channels)),
        x_blocks(Packed(layout, positions * channels, x), choose.Edge()),
        d_y_blocks(Packed(layout, positions * channels, d_y), choose.Edge()),
        mean_buffer(mean, choose.Edge()),
        variance_buffer(Absolute(variance), choose.Edge()),
        gamma_buffer(gamma, choose.Edge()),
        beta_buffer(beta, choose.Edge()),
        has_gamma(choose.Coin()),
        has_beta(choose.Coin()),
        edge(choose.Edge()),
        pieces(choose.Next()) {}

  static std::vector<float>& Absolute(std::vector<float>& values) {
    for (float& value : values) value = std::fabs(value);
    return values;
  }
  ReferenceBatchNormArgs<float> twin(const ReferenceShards& shards, int64_t first_sample) const {
    return {positions,
            channels,
            shards,
            x.data() + first_sample * positions * channels,
            mean.data(),
            variance.data(),
            has_gamma ? gamma.data() : nullptr,
            has_beta ? beta.data() : nullptr,
            1e-3f};
  }
  Difference Named(const Difference& difference) const {
    if (difference.empty()) return "";
    return absl::StrCat(difference, " (", positions, " positions, ", channels, " channels, ",
                        layout.shards.count.size(), " shards of ", layout.shard_slots,
                        " slots, positions ", layout.shards.positions, ")");
  }

  const int64_t positions, channels;
  const SlotLayout layout;
  const int64_t samples;
  const std::vector<float> x, d_y, mean;
  std::vector<float> variance;
  const std::vector<float> gamma, beta;
  const Floats x_blocks, d_y_blocks, mean_buffer, variance_buffer, gamma_buffer, beta_buffer;
  const bool has_gamma, has_beta;
  const Flush edge;
  const uint32_t pieces;
};

std::vector<float> FloatsOf(const std::vector<Moments>& moments) {
  std::vector<float> words;  // halves of doubles: bits compare, a NaN is a NaN
  for (const Moments& m : moments) {
    for (const double value : {m.count, m.mean, m.m2}) {
      const auto bits = std::bit_cast<uint64_t>(std::isnan(value) ? 0.0 : value);
      words.push_back(static_cast<float>(std::isnan(value)));
      for (int shift = 0; shift < 64; shift += 16) {
        words.push_back(static_cast<float>(bits >> shift & 0xFFFF));
      }
    }
  }
  return words;
}

Difference RunMoments(Choices& choose) {
  const Drawn c(choose);
  const SubtreeRange subtree = choose.Subtree(c.layout);
  const SubtreeSamples part = SamplesOf(c.layout, subtree);
  std::vector<Moments> expected(static_cast<size_t>(c.channels));
  ReferenceBatchNormMoments(c.twin(part.shards, part.before), expected.data());
  return c.Named(OnEveryTarget([&] {
    GuardedBuffer<Moments> moments(expected.size(), c.edge);
    const BatchNormMomentsArgs args{c.positions, c.channels,        c.layout.map(),
                                    subtree,     c.x_blocks.data(), moments.data()};
    RunInPieces(BatchNormMomentsUnits(args), c.pieces,
                [&](UnitRange units) { BatchNormMoments(args, units); });
    return FirstOf({Untouched("moments", moments.intact()),
                    Compare("moments", FloatsOf(moments.values()), FloatsOf(expected))});
  }));
}

Difference Apply(Choices& choose) {
  const Drawn c(choose);
  std::vector<float> expected(c.x.size());
  ReferenceBatchNormApply(c.twin(c.layout.shards, 0), expected.data());
  return c.Named(OnEveryTarget([&] {
    Floats y(c.x_blocks.size(), c.edge);
    const BatchNormApplyArgs args{.blocks = c.layout.blocks(),
                                  .positions = c.positions,
                                  .channels = c.channels,
                                  .x = c.x_blocks.data(),
                                  .mean = c.mean_buffer.data(),
                                  .variance = c.variance_buffer.data(),
                                  .gamma = c.has_gamma ? c.gamma_buffer.data() : nullptr,
                                  .beta = c.has_beta ? c.beta_buffer.data() : nullptr,
                                  .epsilon = 1e-3f,
                                  .y = y.data()};
    RunInPieces(BatchNormApplyUnits(args), c.pieces,
                [&](UnitRange units) { BatchNormApply(args, units); });
    return FirstOf({Untouched("y", y.intact()),
                    Compare("y", Unpacked(c.layout, c.positions * c.channels, y), expected)});
  }));
}

Difference Sums(Choices& choose) {
  const Drawn c(choose);
  const SubtreeRange subtree = choose.Subtree(c.layout);
  const SubtreeSamples part = SamplesOf(c.layout, subtree);
  std::vector<float> expected(static_cast<size_t>(2 * c.channels));
  ReferenceBatchNormSums(c.twin(part.shards, part.before),
                         c.d_y.data() + part.before * c.positions * c.channels, expected.data());
  return c.Named(OnEveryTarget([&] {
    Floats sums(expected.size(), c.edge);
    const BatchNormSumsArgs args{.positions = c.positions,
                                 .channels = c.channels,
                                 .slots = c.layout.map(),
                                 .subtree = subtree,
                                 .x = c.x_blocks.data(),
                                 .d_y = c.d_y_blocks.data(),
                                 .mean = c.mean_buffer.data(),
                                 .variance = c.variance_buffer.data(),
                                 .epsilon = 1e-3f,
                                 .sums = sums.data()};
    RunInPieces(BatchNormSumsUnits(args), c.pieces,
                [&](UnitRange units) { BatchNormSums(args, units); });
    return FirstOf({Untouched("sums", sums.intact()), Compare("sums", sums.values(), expected)});
  }));
}

Difference Backward(Choices& choose) {
  const Drawn c(choose);
  const auto sums = choose.Values(2 * c.channels);
  const bool accumulate = choose.Coin();
  const auto before = choose.Values(c.samples * c.positions * c.channels);
  const double count = static_cast<double>(1 + c.samples * c.positions);
  std::vector<float> expected(c.x.size());
  ReferenceBatchNormBackward(c.twin(c.layout.shards, 0), c.d_y.data(), sums.data(), count,
                             expected.data());
  for (size_t k = 0; accumulate && k < expected.size(); ++k) expected[k] = before[k] + expected[k];
  const Floats sums_buffer(sums, choose.Edge());
  const auto start = accumulate ? Packed(c.layout, c.positions * c.channels, before)
                                : NanValues(static_cast<int64_t>(c.x_blocks.size()));
  return c.Named(OnEveryTarget([&] {
    Floats d_x(start, c.edge);
    const BatchNormBackwardArgs args{.blocks = c.layout.blocks(),
                                     .positions = c.positions,
                                     .channels = c.channels,
                                     .x = c.x_blocks.data(),
                                     .d_y = c.d_y_blocks.data(),
                                     .mean = c.mean_buffer.data(),
                                     .variance = c.variance_buffer.data(),
                                     .gamma = c.has_gamma ? c.gamma_buffer.data() : nullptr,
                                     .sums = sums_buffer.data(),
                                     .count = &count,
                                     .epsilon = 1e-3f,
                                     .d_x = d_x.data(),
                                     .accumulate = accumulate};
    RunInPieces(BatchNormBackwardUnits(args), c.pieces,
                [&](UnitRange units) { BatchNormBackward(args, units); });
    return FirstOf({Untouched("d_x", d_x.intact()),
                    Compare("d_x", Unpacked(c.layout, c.positions * c.channels, d_x), expected)});
  }));
}

constexpr KernelCase kCases[] = {{"batch_norm_moments", &RunMoments},
                                 {"batch_norm_apply", &Apply},
                                 {"batch_norm_sums", &Sums},
                                 {"batch_norm_backward", &Backward}};

}  // namespace

absl::Span<const KernelCase> BatchNormCases() { return kCases; }

}  // namespace lockstep::kernels
