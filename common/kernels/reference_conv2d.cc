#include "common/kernels/reference_conv2d.h"

#include <cmath>

namespace lockstep::kernels {
namespace {

// Offsets into the plain layouts; an input cell may lie outside the image.
struct Index {
  const Conv2dGeometry& g;
  int64_t row(int64_t p, int64_t i) const { return p * g.stride_h + i * g.dilation_h - g.pad_top; }
  int64_t col(int64_t q, int64_t j) const { return q * g.stride_w + j * g.dilation_w - g.pad_left; }
  bool inside(int64_t h, int64_t w) const {
    return h >= 0 && h < g.height && w >= 0 && w < g.width;
  }
  int64_t x(int64_t n, int64_t h, int64_t w, int64_t c) const {
    return ((n * g.height + h) * g.width + w) * g.channels + c;
  }
  int64_t y(int64_t n, int64_t p, int64_t q, int64_t f) const {
    return ((n * g.out_h + p) * g.out_w + q) * g.filters + f;
  }
  int64_t w(int64_t i, int64_t j, int64_t c, int64_t f) const {
    return ((i * g.kernel_w + j) * group_channels() + c) * g.filters + f;
  }
  int64_t group_channels() const { return g.channels / g.groups; }
  int64_t group_filters() const { return g.filters / g.groups; }
};

template <class T>
T Output(const ReferenceConv2dForwardArgs<T>& args, int64_t n, int64_t p, int64_t q, int64_t f) {
  const Conv2dGeometry& g = args.geometry;
  const Index at{g};
  const int64_t first = f / at.group_filters() * at.group_channels();
  T sum = args.b == nullptr ? T{0} : args.b[f];
  for (int64_t i = 0; i < g.kernel_h; ++i) {
    for (int64_t j = 0; j < g.kernel_w; ++j) {
      if (!at.inside(at.row(p, i), at.col(q, j))) continue;
      for (int64_t c = 0; c < at.group_channels(); ++c) {
        sum = std::fma(args.x[at.x(n, at.row(p, i), at.col(q, j), first + c)],
                       args.w[at.w(i, j, c, f)], sum);
      }
    }
  }
  return sum;
}

// The output cell of an axis that reads the padded input coordinate `reached`, or -1.
int64_t Reader(int64_t reached, int64_t stride, int64_t out) {
  if (reached < 0 || reached % stride != 0 || reached / stride >= out) return -1;
  return reached / stride;
}

template <class T>
T InputGradient(const ReferenceConv2dBackwardDataArgs<T>& args, int64_t n, int64_t h, int64_t w,
                int64_t c) {
  const Conv2dGeometry& g = args.geometry;
  const Index at{g};
  const int64_t group = c / at.group_channels(), first = group * at.group_filters();
  T sum = 0;
  for (int64_t i = 0; i < g.kernel_h; ++i) {
    for (int64_t j = 0; j < g.kernel_w; ++j) {
      const int64_t p = Reader(h + g.pad_top - i * g.dilation_h, g.stride_h, g.out_h);
      const int64_t q = Reader(w + g.pad_left - j * g.dilation_w, g.stride_w, g.out_w);
      if (p < 0 || q < 0) continue;
      for (int64_t f = first; f < first + at.group_filters(); ++f) {
        sum = std::fma(args.d_y[at.y(n, p, q, f)], args.w[at.w(i, j, c % at.group_channels(), f)],
                       sum);
      }
    }
  }
  return sum;
}

// One sample's chain for one weight, over all calls.
template <class T>
T SampleGradient(const ReferenceConv2dBackwardWeightsArgs<T>& args, int64_t n, int64_t tap,
                 int64_t f) {
  const Conv2dGeometry& g = args.geometry;
  const Index at{g};
  const int64_t c = tap % at.group_channels(), j = tap / at.group_channels() % g.kernel_w;
  const int64_t i = tap / at.group_channels() / g.kernel_w;
  const int64_t channel = f / at.group_filters() * at.group_channels() + c;
  T sum = 0;
  for (const ReferenceGradientCall<T>& call : args.calls) {
    for (int64_t p = 0; p < g.out_h; ++p) {
      for (int64_t q = 0; q < g.out_w; ++q) {
        const bool inside = at.inside(at.row(p, i), at.col(q, j));
        const T x = inside ? call.x[at.x(n, at.row(p, i), at.col(q, j), channel)] : T{0};
        sum = std::fma(x, call.d_y[at.y(n, p, q, f)], sum);
      }
    }
  }
  return sum;
}

template <class T>
T SampleBiasGradient(const ReferenceConv2dBackwardWeightsArgs<T>& args, int64_t n, int64_t f) {
  const Conv2dGeometry& g = args.geometry;
  T sum = 0;
  for (const ReferenceGradientCall<T>& call : args.calls) {
    for (int64_t p = 0; p < g.out_h; ++p) {
      for (int64_t q = 0; q < g.out_w; ++q) sum = sum + call.d_y[Index{g}.y(n, p, q, f)];
    }
  }
  return sum;
}

}  // namespace

template <class T>
void ReferenceConv2dForward(const ReferenceConv2dForwardArgs<T>& args) {
  const Conv2dGeometry& g = args.geometry;
  T* y = args.y;
  for (int64_t n = 0; n < args.samples; ++n) {
    for (int64_t p = 0; p < g.out_h; ++p) {
      for (int64_t q = 0; q < g.out_w; ++q) {
        for (int64_t f = 0; f < g.filters; ++f) *y++ = Output(args, n, p, q, f);
      }
    }
  }
}

template <class T>
void ReferenceConv2dBackwardData(const ReferenceConv2dBackwardDataArgs<T>& args) {
  const Conv2dGeometry& g = args.geometry;
  T* d_x = args.d_x;
  for (int64_t n = 0; n < args.samples; ++n) {
    for (int64_t h = 0; h < g.height; ++h) {
      for (int64_t w = 0; w < g.width; ++w) {
        for (int64_t c = 0; c < g.channels; ++c, ++d_x) {
          const T gradient = InputGradient(args, n, h, w, c);
          *d_x = args.accumulate ? *d_x + gradient : gradient;
        }
      }
    }
  }
}

template <class T>
void ReferenceConv2dBackwardWeights(const ReferenceConv2dBackwardWeightsArgs<T>& args) {
  const Conv2dGeometry& g = args.geometry;
  const int64_t taps = g.kernel_h * g.kernel_w * (g.channels / g.groups);
  for (int64_t f = 0; f < g.filters; ++f) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      args.d_w[tap * g.filters + f] = ReferenceShardSum<T>(
          args.shards, [&](int64_t n) { return SampleGradient(args, n, tap, f); });
    }
    if (args.d_b == nullptr) continue;
    args.d_b[f] = ReferenceShardSum<T>(args.shards,
                                       [&](int64_t n) { return SampleBiasGradient(args, n, f); });
  }
}

template void ReferenceConv2dForward(const ReferenceConv2dForwardArgs<float>&);
template void ReferenceConv2dForward(const ReferenceConv2dForwardArgs<double>&);
template void ReferenceConv2dBackwardData(const ReferenceConv2dBackwardDataArgs<float>&);
template void ReferenceConv2dBackwardData(const ReferenceConv2dBackwardDataArgs<double>&);
template void ReferenceConv2dBackwardWeights(const ReferenceConv2dBackwardWeightsArgs<float>&);
template void ReferenceConv2dBackwardWeights(const ReferenceConv2dBackwardWeightsArgs<double>&);

}  // namespace lockstep::kernels
