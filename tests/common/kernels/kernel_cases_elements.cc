// Random cases of elementwise kernels: activations, softmax, sums, copies, decoding, dropout,
// optimizers, the shard tree over flat buffers.
#include "absl/strings/str_cat.h"

#include "common/base/philox.h"
#include "common/kernels/activation.h"
#include "common/kernels/decode.h"
#include "common/kernels/dropout.h"
#include "common/kernels/optimizers.h"
#include "common/kernels/reference_activation.h"
#include "common/kernels/reference_optimizers.h"
#include "common/kernels/tree_sum.h"
#include "tests/common/kernels/kernel_cases.h"

namespace lockstep::kernels {
namespace {

size_t At(int64_t index) { return static_cast<size_t>(index); }

Difference RunActivation(Choices& choose) {
  const int64_t count = choose.Extent(600) * kBlockLanes;
  const Activation activation =
      choose.Of({Activation::kLinear, Activation::kRelu, Activation::kSigmoid, Activation::kTanh});
  const auto x = choose.Values(count), d_y = choose.Values(count), before = choose.Values(count);
  const bool accumulate = choose.Coin();
  std::vector<float> expected_y, expected_d_x;
  for (int64_t k = 0; k < count; ++k) {
    expected_y.push_back(ReferenceActivation(activation, x[At(k)]));
    const float d = ReferenceActivationDerivative(activation, expected_y[At(k)], d_y[At(k)]);
    expected_d_x.push_back(accumulate ? before[At(k)] + d : d);
  }
  const Floats x_buffer(x, choose.Edge()), d_y_buffer(d_y, choose.Edge());
  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return OnEveryTarget([&] {
    Floats y(x.size(), edge), d_x(before, edge);
    const ActivationForwardArgs forward{count, activation, x_buffer.data(), y.data()};
    RunInPieces(ActivationForwardUnits(forward), pieces,
                [&](UnitRange units) { ActivationForward(forward, units); });
    const ActivationBackwardArgs backward{count,      activation, y.data(), d_y_buffer.data(),
                                          d_x.data(), accumulate};
    RunInPieces(ActivationBackwardUnits(backward), pieces,
                [&](UnitRange units) { ActivationBackward(backward, units); });
    return FirstOf({Untouched("y", y.intact()), Untouched("d_x", d_x.intact()),
                    Compare(absl::StrCat("y of activation ", static_cast<int>(activation)),
                            y.values(), expected_y),
                    Compare("d_x", d_x.values(), expected_d_x)});
  });
}

Difference RunSoftmax(Choices& choose) {
  const int64_t positions = choose.From(1, 3), classes = choose.Extent(70);
  const int64_t samples = choose.From(1, 35), features = positions * classes;
  const SlotLayout layout = OneShard(static_cast<int32_t>(samples));
  const auto x = choose.Values(samples * features), d_y = choose.Values(samples * features);
  std::vector<float> expected_y, expected_d_x;
  for (int64_t row = 0; row < samples * positions; ++row) {
    const auto of = [&](const std::vector<float>& all) {
      return std::vector<float>(all.begin() + row * classes, all.begin() + (row + 1) * classes);
    };
    const auto y = ReferenceSoftmax(of(x)), d_x = ReferenceSoftmaxBackward(y, of(d_y));
    expected_y.insert(expected_y.end(), y.begin(), y.end());
    expected_d_x.insert(expected_d_x.end(), d_x.begin(), d_x.end());
  }
  const Floats x_blocks(Packed(layout, features, x), choose.Edge());
  const Floats d_y_blocks(Packed(layout, features, d_y), choose.Edge());
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    Floats y(x_blocks.size(), edge), d_x(x_blocks.size(), edge);
    const SoftmaxForwardArgs forward{layout.blocks(), positions, classes, x_blocks.data(),
                                     y.data()};
    RunInPieces(SoftmaxForwardUnits(forward), 1,
                [&](UnitRange units) { SoftmaxForward(forward, units); });
    const SoftmaxBackwardArgs backward{layout.blocks(),   positions,  classes, y.data(),
                                       d_y_blocks.data(), d_x.data(), false};
    RunInPieces(SoftmaxBackwardUnits(backward), 2,
                [&](UnitRange units) { SoftmaxBackward(backward, units); });
    return FirstOf({Untouched("y", y.intact()), Untouched("d_x", d_x.intact()),
                    Compare("y", Unpacked(layout, features, y), expected_y),
                    Compare("d_x", Unpacked(layout, features, d_x), expected_d_x)});
  });
}

Difference RunAdd(Choices& choose) {
  const int64_t count = choose.Extent(600) * kBlockLanes, inputs = choose.From(1, 5);
  std::vector<float> expected = choose.Values(count);
  std::vector<std::unique_ptr<Floats>> buffers;
  buffers.push_back(std::make_unique<Floats>(expected, choose.Edge()));
  for (int64_t k = 1; k < inputs; ++k) {
    const auto more = choose.Values(count);
    for (size_t e = 0; e < more.size(); ++e) expected[e] = expected[e] + more[e];
    buffers.push_back(std::make_unique<Floats>(more, choose.Edge()));
  }
  std::vector<const float*> pointers;
  for (const auto& buffer : buffers) pointers.push_back(buffer->data());
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    Floats out(At(count), edge);
    const AddArgs args{count, pointers.data(), static_cast<int32_t>(inputs), out.data()};
    RunInPieces(AddUnits(args), 1, [&](UnitRange units) { Add(args, units); });
    return FirstOf({Untouched("out", out.intact()), Compare("out", out.values(), expected)});
  });
}

Difference RunCopy(Choices& choose) {
  const int64_t blocks = choose.From(1, 3), rows = choose.Extent(20), width = choose.Extent(40);
  const int64_t src_offset = choose.Below(5), dst_offset = choose.Below(5);
  const int64_t src_width = width + src_offset + choose.Below(4);
  const int64_t dst_width = width + dst_offset + choose.Below(4);
  const bool accumulate = choose.Coin();
  const auto src = choose.Values(blocks * rows * src_width * kBlockLanes);
  const auto before = choose.Values(blocks * rows * dst_width * kBlockLanes);
  std::vector<float> expected = before;
  for (int64_t row = 0; row < blocks * rows; ++row) {
    for (int64_t e = 0; e < width * kBlockLanes; ++e) {
      float& to = expected[At((row * dst_width + dst_offset) * kBlockLanes + e)];
      const float from = src[At((row * src_width + src_offset) * kBlockLanes + e)];
      to = accumulate ? to + from : from;
    }
  }
  const Floats src_buffer(src, choose.Edge());
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    Floats dst(before, edge);
    const CopyFeaturesArgs args{blocks,     rows,      width,      src_width,
                                src_offset, dst_width, dst_offset, src_buffer.data(),
                                dst.data(), accumulate};
    RunInPieces(CopyFeaturesUnits(args), 1, [&](UnitRange units) { CopyFeatures(args, units); });
    return FirstOf({Untouched("dst", dst.intact()), Compare("dst", dst.values(), expected)});
  });
}

template <class T>
Difference DecodeType(Choices& choose, SampleType type) {
  const SlotLayout layout = choose.Slots();
  const int64_t features = choose.Extent(300);
  std::mt19937_64 random(choose.Next());
  std::vector<T> rows(At(layout.blocks() * kBlockLanes * features));
  for (T& value : rows) value = static_cast<T>(static_cast<int64_t>(random()) / 3);
  const auto scales = choose.Values(2);
  std::vector<float> expected(At(layout.blocks() * kBlockLanes * features), 0.0f);
  for (const int64_t slot : layout.slots()) {
    for (int64_t f = 0; f < features; ++f) {
      const int64_t at = (slot / kBlockLanes * features + f) * kBlockLanes + slot % kBlockLanes;
      const auto value = static_cast<float>(rows[At(slot * features + f)]);
      expected[At(at)] = std::fma(value, scales[0], scales[1]);
    }
  }
  const GuardedBuffer<T> row_buffer(rows, choose.Edge());
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    Floats y(expected.size(), edge);
    const DecodeArgs args{layout.blocks(),   features,  layout.map(), type,
                          row_buffer.data(), scales[0], scales[1],    y.data()};
    RunInPieces(DecodeUnits(args), 1, [&](UnitRange units) { Decode(args, units); });
    return FirstOf(
        {Untouched("y", y.intact()),
         Compare(absl::StrCat("y of type ", static_cast<int>(type)), y.values(), expected)});
  });
}

Difference RunDecode(Choices& choose) {
  switch (choose.Below(8)) {
    case 0:
      return DecodeType<uint8_t>(choose, SampleType::kU8);
    case 1:
      return DecodeType<int8_t>(choose, SampleType::kI8);
    case 2:
      return DecodeType<uint16_t>(choose, SampleType::kU16);
    case 3:
      return DecodeType<int16_t>(choose, SampleType::kI16);
    case 4:
      return DecodeType<int32_t>(choose, SampleType::kI32);
    case 5:
      return DecodeType<int64_t>(choose, SampleType::kI64);
    case 6:
      return DecodeType<float>(choose, SampleType::kF32);
    default:
      return DecodeType<double>(choose, SampleType::kF64);
  }
}

Difference RunDropout(Choices& choose) {
  const int64_t blocks = choose.From(1, 3), features = choose.Extent(200);
  const uint64_t key = choose.Next();
  const auto node_call = static_cast<uint32_t>(choose.Below(1000));
  const int64_t step = choose.Coin() ? choose.Next() : int64_t{choose.Next()} << 13;
  std::vector<int32_t> positions(At(blocks * kBlockLanes));
  for (int32_t& position : positions) position = static_cast<int32_t>(choose.Below(100000));
  const float rate = static_cast<float>(choose.Below(11)) * 0.09f;
  const auto x = choose.Values(blocks * features * kBlockLanes);
  const auto before = choose.Values(blocks * features * kBlockLanes);
  const bool accumulate = choose.Coin();
  const auto scale = static_cast<float>(1 / (1 - static_cast<double>(rate)));
  std::vector<float> expected;
  for (int64_t k = 0; k < blocks * features * kBlockLanes; ++k) {
    const int64_t e = k / kBlockLanes % features;
    const int64_t slot = k / kBlockLanes / features * kBlockLanes + k % kBlockLanes;
    const uint32_t word =
        Philox({static_cast<uint32_t>(e / 4), static_cast<uint32_t>(positions[At(slot)]),
                static_cast<uint32_t>(step),
                node_call << 16 | (static_cast<uint32_t>(step >> 32) & 0xFFFF)},
               key)[At(e % 4)];
    const float y = UniformOf(word) >= rate ? x[At(k)] * scale : 0.0f;
    expected.push_back(accumulate ? before[At(k)] + y : y);
  }
  const Floats x_buffer(x, choose.Edge());
  const GuardedBuffer<int32_t> position_buffer(positions, choose.Edge());
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    Floats y(before, edge);
    const DropoutArgs args{
        blocks, features,        key,      node_call, &step, position_buffer.data(), rate,
        scale,  x_buffer.data(), y.data(), accumulate};
    RunInPieces(DropoutUnits(args), 1, [&](UnitRange units) { Dropout(args, units); });
    return FirstOf({Untouched("y", y.intact()), Compare("y", y.values(), expected)});
  });
}

Difference RunSgd(Choices& choose) {
  const int64_t count = choose.Extent(3 * kFlatBlock);
  const auto gradient = choose.Values(count), value = choose.Values(count);
  const auto velocity = choose.Values(count);
  SgdArgs args{.count = count,
               .learning_rate = choose.Of({0.05f, 1.0f, 1e-20f}),
               .momentum = choose.Of({0.0f, 0.9f}),
               .nesterov = choose.Coin()};
  const bool moving = args.momentum != 0;
  auto expected = value, expected_velocity = velocity;
  for (size_t k = 0; k < value.size(); ++k) {
    ReferenceSgd(args, gradient[k], moving ? &expected_velocity[k] : nullptr, &expected[k]);
  }
  const Floats gradient_buffer(gradient, choose.Edge());
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    Floats values(value, edge), velocities(velocity, edge);
    args.gradient = gradient_buffer.data();
    args.value = values.data();
    args.velocity = moving ? velocities.data() : nullptr;
    RunInPieces(FlatUnits(count), 1, [&](UnitRange units) { Sgd(args, units); });
    return FirstOf({Untouched("value", values.intact()), Untouched("velocity", velocities.intact()),
                    Compare("value", values.values(), expected),
                    Compare("velocity", velocities.values(), expected_velocity)});
  });
}

Difference RunAdam(Choices& choose) {
  const int64_t count = choose.Extent(3 * kFlatBlock);
  const auto gradient = choose.Values(count), value = choose.Values(count),
             m = choose.Values(count);
  auto v = choose.Values(count);
  for (float& square : v) square = std::fabs(square);
  AdamArgs args{.count = count,
                .alpha = choose.Of({0.001f, 1.0f}),
                .one_minus_beta1 = 0.1f,
                .one_minus_beta2 = choose.Of({0.001f, 0.5f}),
                .epsilon = choose.Of({1e-7f, 0.0f})};
  auto expected = value, expected_m = m, expected_v = v;
  for (size_t k = 0; k < value.size(); ++k) {
    ReferenceAdam(args, gradient[k], &expected_m[k], &expected_v[k], &expected[k]);
  }
  const Floats gradient_buffer(gradient, choose.Edge());
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    Floats values(value, edge), ms(m, edge), vs(v, edge);
    args.gradient = gradient_buffer.data();
    args.m = ms.data();
    args.v = vs.data();
    args.value = values.data();
    RunInPieces(FlatUnits(count), 1, [&](UnitRange units) { Adam(args, units); });
    return FirstOf({Untouched("value", values.intact()), Untouched("m", ms.intact()),
                    Untouched("v", vs.intact()), Compare("m", ms.values(), expected_m),
                    Compare("v", vs.values(), expected_v),
                    Compare("value", values.values(), expected)});
  });
}

// The shards of a power of two, cut into the maximal subtrees of two ranks.
Difference RunTreeSum(Choices& choose) {
  const int64_t count = choose.Extent(2 * kFlatBlock);
  const auto shards = static_cast<int32_t>(choose.Of<int64_t>({1, 2, 4, 8, 16}));
  const auto cut = static_cast<int32_t>(choose.Below(shards + 1));
  std::map<std::pair<int32_t, int32_t>, std::vector<float>> partials;
  std::vector<std::unique_ptr<Floats>> buffers;
  std::vector<const float*> pointers;
  std::vector<int32_t> leaves;
  for (const auto& [begin, end] : {std::pair{0, cut}, std::pair{cut, shards}}) {
    for (const auto& subtree : MaximalSubtrees(begin, end)) {
      partials[subtree] = choose.Values(count);
      buffers.push_back(std::make_unique<Floats>(partials[subtree], choose.Edge()));
      pointers.push_back(buffers.back()->data());
      leaves.push_back(subtree.second);
    }
  }
  const auto expected =
      MergeSubtrees(partials, 0, shards, [](std::vector<float> a, const std::vector<float>& b) {
        for (size_t k = 0; k < a.size(); ++k) a[k] = a[k] + b[k];
        return a;
      });
  const Flush edge = choose.Edge();
  return OnEveryTarget([&] {
    Floats out(At(count), edge);
    const TreeSumArgs args{count, pointers.data(), leaves.data(),
                           static_cast<int32_t>(leaves.size()), out.data()};
    RunInPieces(FlatUnits(count), 1, [&](UnitRange units) { TreeSum(args, units); });
    bool finite = true;
    for (const float value : expected) finite = finite && std::isfinite(value);
    const bool seen = AllFinite(out.data(), count);
    return FirstOf({Untouched("out", out.intact()), Compare("out", out.values(), expected),
                    seen == finite ? "" : "AllFinite sees the contrary"});
  });
}

constexpr KernelCase kCases[] = {{"activation", &RunActivation},
                                 {"softmax", &RunSoftmax},
                                 {"add", &RunAdd},
                                 {"copy_features", &RunCopy},
                                 {"decode", &RunDecode},
                                 {"dropout", &RunDropout},
                                 {"sgd", &RunSgd},
                                 {"adam", &RunAdam},
                                 {"tree_sum", &RunTreeSum}};

}  // namespace

absl::Span<const KernelCase> ElementCases() { return kCases; }

}  // namespace lockstep::kernels
