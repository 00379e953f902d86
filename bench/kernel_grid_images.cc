#include <algorithm>

#include "absl/strings/str_cat.h"

#include "bench/kernel_grid.h"
#include "common/kernels/activation.h"
#include "common/kernels/batch_norm.h"
#include "common/kernels/decode.h"
#include "common/kernels/dropout.h"
#include "common/kernels/losses.h"
#include "common/kernels/pooling.h"

namespace lockstep::kernels {
namespace {

// Operations an element, counted in math-inl.h and the kernels: an fma is two, any other operation
// (also a division, comparison, selection, or one on integers) is one.
constexpr double kExpOperations = 27;  // of an argument that is not positive
constexpr double kSigmoidOperations = kExpOperations + 5;
constexpr double kTanhOperations = 46;
// The greatest: 4; x - m, the sum, the quotient.
constexpr double kSoftmaxOperations = kExpOperations + 4 + 3;
// Besides: the label's x - m 2, p - t, seed, slots without a sample.
constexpr double kCrossEntropyOperations = kSoftmaxOperations + 5;
constexpr double kDropoutOperations = 51;  // a quarter of a Philox block: 45

}  // namespace

void Grid::Images(int64_t image, int64_t channels) {
  for (const int64_t kernel : {1, 3, 5}) {
    for (const int64_t stride : {1, 2}) {
      for (const bool depthwise : {false, true}) {
        if (depthwise && channels == 1) continue;
        const int64_t out = (image - kernel) / stride + 1;
        const int64_t filters = depthwise ? channels : std::max<int64_t>(channels, 10);
        Convolution(
            {image, image, channels, kernel, kernel, filters, stride, stride, 1, 1, 0, 0, out, out,
             depthwise ? channels : 1},
            absl::StrCat(samples_, " x ", image, "x", image, "x", channels, " -> ", filters,
                         ", kernel ", kernel, ", stride ", stride, depthwise ? ", depthwise" : ""));
      }
    }
  }
  const std::string shape = absl::StrCat(samples_, " x ", image, "x", image, "x", channels);
  Pooling(image, channels, shape);
  Normalization(image * image, channels, shape);
  Elements(image * image * channels, shape);
}

void Grid::Convolution(const Conv2dGeometry& g, const std::string& shape) {
  memory_.Restart();
  const int64_t in = blocks_ * g.height * g.width * g.channels * kBlockLanes;
  const int64_t out = blocks_ * g.out_h * g.out_w * g.filters * kBlockLanes;
  const int64_t weights = g.kernel_h * g.kernel_w * (g.channels / g.groups) * g.filters;
  const int64_t plane_floats = blocks_ * Conv2dPlaneElements(g) * kBlockLanes;
  if (!memory_.Fits(in + out + plane_floats + 2 * weights + 64)) return;
  float* const x = memory_.Take(in);
  float* const y = memory_.Take(out);
  float* const w = memory_.Take(weights);
  float* const b = memory_.Take(g.filters);
  // Windows narrower than their stride skip cells.
  const double touched =
      std::min(1.0, static_cast<double>(g.kernel_h) / static_cast<double>(g.stride_h)) *
      std::min(1.0, static_cast<double>(g.kernel_w) / static_cast<double>(g.stride_w));
  Probe probe{
      .shape = shape,
      .samples = samples_,
      .slots = blocks_ * kBlockLanes,
      .flops = 2.0 * slots() * static_cast<double>(g.out_h * g.out_w * weights),
      .bytes = 4.0 * (static_cast<double>(in) * touched + static_cast<double>(out + weights))};
  const Conv2dForwardArgs forward{g, blocks_, x, w, b, y, Activation::kRelu};
  probe.kernel = "conv2d_forward";
  probe.run = [&] { Conv2dForward(forward, {0, Conv2dForwardUnits(forward)}); };
  Measure(probe);
  // Gradients of activations of this size are ordinary numbers again.
  for (int64_t k = 0; k < out; ++k) y[k] = x[k % in];
  float* planes = x;
  if (!Conv2dInputIsPlanes(g)) {
    planes = memory_.Take(plane_floats);
    const Conv2dMakePlanesArgs make{g, blocks_, x, planes};
    Conv2dMakePlanes(make, {0, Conv2dMakePlanesUnits(make)});
  }
  const GradientCall gradient_call{planes, y};
  const Conv2dBackwardWeightsArgs gradient{.geometry = g,
                                           .slots = slots_,
                                           .subtree = {0, 1},
                                           .calls = &gradient_call,
                                           .call_count = 1,
                                           .d_w = memory_.Take(weights),
                                           .d_b = b};
  probe.kernel = "conv2d_backward_weights";
  probe.run = [&] { Conv2dBackwardWeights(gradient, {0, Conv2dBackwardWeightsUnits(gradient)}); };
  Measure(probe);
  const Conv2dBackwardDataArgs data{g, blocks_, y, w, x, false};
  probe.bytes = 4.0 * static_cast<double>(in + out + weights);  // cells that are skipped become +0
  probe.kernel = "conv2d_backward_data";
  probe.run = [&] { Conv2dBackwardData(data, {0, Conv2dBackwardDataUnits(data)}); };
  Measure(probe);
}

void Grid::Pooling(int64_t image, int64_t channels, const std::string& shape) {
  memory_.Restart();
  const int64_t out = image / 2, lanes = blocks_ * channels * kBlockLanes;
  if (!memory_.Fits(2 * image * image * lanes + 2 * out * out * lanes)) return;
  const PoolGeometry g{image, image, channels, 2, 2, 2, 2, 0, 0, out, out};
  float* const x = memory_.Take(image * image * lanes);
  float* const y = memory_.Take(out * out * lanes);
  float* const d_x = memory_.Take(image * image * lanes);
  auto* const choice = reinterpret_cast<uint8_t*>(memory_.Take(out * out * lanes / 4 + 16));
  const double in_cells = static_cast<double>(image * image * lanes);
  const double out_cells = static_cast<double>(out * out * lanes);
  Probe probe{.shape = shape, .samples = samples_, .slots = blocks_ * kBlockLanes};
  const MaxPoolForwardArgs forward{g, blocks_, x, y, choice};
  probe.kernel = "max_pool_forward";
  probe.bytes = 4 * in_cells + 5 * out_cells;
  probe.run = [&] { MaxPoolForward(forward, {0, MaxPoolForwardUnits(forward)}); };
  Measure(probe);
  const MaxPoolBackwardArgs backward{g, blocks_, y, choice, d_x, false};
  probe.kernel = "max_pool_backward";
  probe.run = [&] { MaxPoolBackward(backward, {0, MaxPoolBackwardUnits(backward)}); };
  Measure(probe);
  probe.bytes = 4 * in_cells + 4 * out_cells;
  const AveragePoolArgs average{g, blocks_, x, y};
  probe.kernel = "average_pool_forward";
  probe.run = [&] { AveragePoolForward(average, {0, AveragePoolForwardUnits(average)}); };
  Measure(probe);
  const AveragePoolBackwardArgs spread{g, blocks_, y, d_x, false};
  probe.kernel = "average_pool_backward";
  probe.run = [&] { AveragePoolBackward(spread, {0, AveragePoolBackwardUnits(spread)}); };
  Measure(probe);
}

void Grid::Normalization(int64_t positions, int64_t channels, const std::string& shape) {
  memory_.Restart();
  const int64_t count = blocks_ * positions * channels * kBlockLanes;
  if (!memory_.Fits(3 * count + 8 * channels + 256)) return;
  float* const x = memory_.Take(count);
  float* const y = memory_.Take(count);
  float* const d_x = memory_.Take(count);
  float* const mean = memory_.Take(channels);
  float* const variance = memory_.Take(channels);
  float* const sums = memory_.Take(2 * channels);
  std::vector<Moments> moments(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; ++c) variance[c] = 1;
  const double values = static_cast<double>(count);
  const double n = values;
  Probe probe{.shape = shape, .samples = samples_, .slots = blocks_ * kBlockLanes};
  const BatchNormMomentsArgs moment_args{positions, channels, slots_, {0, 1}, x, moments.data()};
  probe.kernel = "batch_norm_moments";
  probe.flops = 4 * values;
  probe.bytes = 8 * values;  // the mean is known before the first deviation: two passes
  probe.run = [&] { BatchNormMoments(moment_args, {0, BatchNormMomentsUnits(moment_args)}); };
  Measure(probe);
  const BatchNormApplyArgs apply{blocks_,  positions, channels, x,     mean,
                                 variance, mean,      mean,     1e-3f, y};
  probe.kernel = "batch_norm_apply";
  probe.bytes = 8 * values;
  probe.run = [&] { BatchNormApply(apply, {0, BatchNormApplyUnits(apply)}); };
  Measure(probe);
  const BatchNormSumsArgs sum_args{positions, channels, slots_,   {0, 1}, x,
                                   y,         mean,     variance, 1e-3f,  sums};
  probe.kernel = "batch_norm_sums";
  probe.run = [&] { BatchNormSums(sum_args, {0, BatchNormSumsUnits(sum_args)}); };
  Measure(probe);
  const BatchNormBackwardArgs backward{blocks_, positions, channels, x,     y,   mean, variance,
                                       mean,    sums,      &n,       1e-3f, d_x, false};
  probe.kernel = "batch_norm_backward";
  probe.flops = 8 * values;
  probe.bytes = 12 * values;
  probe.run = [&] { BatchNormBackward(backward, {0, BatchNormBackwardUnits(backward)}); };
  Measure(probe);
}

void Grid::Elements(int64_t features, const std::string& shape) {
  memory_.Restart();
  const int64_t count = blocks_ * features * kBlockLanes;
  if (!memory_.Fits(3 * count + 4 * blocks_ * kBlockLanes)) return;
  float* const x = memory_.Take(count);
  float* const y = memory_.Take(count);
  float* const d_x = memory_.Take(count);
  const double values = static_cast<double>(count);
  Probe probe{.shape = shape, .samples = samples_, .slots = blocks_ * kBlockLanes};
  const struct {
    const char* name;
    Activation activation;
    double flops;
  } activations[] = {{"relu", Activation::kRelu, 1},
                     {"sigmoid", Activation::kSigmoid, kSigmoidOperations},
                     {"tanh", Activation::kTanh, kTanhOperations}};
  for (const auto& each : activations) {
    const ActivationForwardArgs forward{count, each.activation, x, y};
    probe.kernel = absl::StrCat(each.name, "_forward");
    probe.flops = each.flops * values;
    probe.bytes = 8 * values;
    probe.run = [&] { ActivationForward(forward, {0, ActivationForwardUnits(forward)}); };
    Measure(probe);
    const ActivationBackwardArgs backward{count, each.activation, y, x, d_x, false};
    probe.kernel = absl::StrCat(each.name, "_backward");
    probe.flops = 4 * values;
    probe.bytes = 12 * values;
    probe.run = [&] { ActivationBackward(backward, {0, ActivationBackwardUnits(backward)}); };
    Measure(probe);
  }
  const int64_t step = 3;
  const int64_t slot_count = blocks_ * kBlockLanes;
  auto* const positions = reinterpret_cast<int32_t*>(memory_.Take(slot_count));
  std::fill_n(positions, slot_count, 5);
  const DropoutArgs dropout{blocks_, features, 7, 1, &step, positions, 0.5f, 2.0f, x, y, false};
  probe.kernel = "dropout";
  probe.flops = kDropoutOperations * values;
  probe.bytes = 8 * values;
  probe.run = [&] { Dropout(dropout, {0, DropoutUnits(dropout)}); };
  Measure(probe);
  const DecodeArgs decode{blocks_, features, slots_, SampleType::kU8, x, 0.004f, 0.0f, y};
  probe.kernel = "decode_u8";
  probe.flops = 2 * values;
  probe.bytes = 5 * values;
  probe.run = [&] { Decode(decode, {0, DecodeUnits(decode)}); };
  Measure(probe);
  if (features > 10'000) return;  // as classes these would be odd beyond reason
  const SoftmaxForwardArgs softmax{blocks_, 1, features, x, y};
  probe.kernel = "softmax_forward";
  probe.flops = kSoftmaxOperations * values;
  probe.bytes = 8 * values;
  probe.run = [&] { SoftmaxForward(softmax, {0, SoftmaxForwardUnits(softmax)}); };
  Measure(probe);
  auto* const labels = reinterpret_cast<int32_t*>(memory_.Take(slot_count));
  float* const seeds = memory_.Take(slot_count);
  float* const losses = memory_.Take(slot_count);
  std::fill_n(labels, slot_count, 0);
  const LossArgs loss{blocks_, features, slots_, x, nullptr, labels, seeds, d_x, losses};
  probe.kernel = "sparse_cross_entropy";
  probe.flops = kCrossEntropyOperations * values;
  probe.run = [&] { SparseCrossEntropyLogits(loss, {0, LossUnits(loss)}); };
  Measure(probe);
}

}  // namespace lockstep::kernels
