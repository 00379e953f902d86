// The slow twins of dense.h, T = float (same bits) or double (gradient checks). Samples one after
// another in Keras' layout: x, d_x: [N][positions][I]  w, d_w: [I][O]  b, d_b: [O] or null  y, d_y:
// [N][positions][O]. No activation is fused.
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_DENSE_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_DENSE_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "common/kernels/reference_conv2d.h"
#include "common/kernels/reference_tree.h"

namespace lockstep::kernels {

struct ReferenceDenseShape {
  int64_t rows;  // samples x positions
  int64_t inputs, outputs;
};

template <class T>
void ReferenceDenseForward(const ReferenceDenseShape& shape, const T* x, const T* w, const T* b,
                           T* y) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t o = 0; o < shape.outputs; ++o) {
      T sum = b == nullptr ? T{0} : b[o];
      for (int64_t i = 0; i < shape.inputs; ++i) {
        sum = std::fma(x[row * shape.inputs + i], w[i * shape.outputs + o], sum);
      }
      y[row * shape.outputs + o] = sum;
    }
  }
}

template <class T>
void ReferenceDenseBackwardData(const ReferenceDenseShape& shape, const T* d_y, const T* w,
                                T* d_x) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t i = 0; i < shape.inputs; ++i) {
      T sum = 0;
      for (int64_t o = 0; o < shape.outputs; ++o) {
        sum = std::fma(d_y[row * shape.outputs + o], w[i * shape.outputs + o], sum);
      }
      d_x[row * shape.inputs + i] = sum;
    }
  }
}

// A sum over shards, each a chain over calls, samples, positions of next(call, row, sum) from +0.
template <class T, class Next>
T ReferenceDenseSum(const ReferenceShards& shards, size_t calls, int64_t positions, Next next) {
  std::vector<T> sums;
  int64_t first = 0;
  for (const int32_t count : shards.count) {
    T sum = 0;
    for (size_t call = 0; call < calls; ++call) {
      for (int64_t row = first * positions; row < (first + count) * positions; ++row)
        sum = next(call, row, sum);
    }
    sums.push_back(sum);
    first += count;
  }
  return ReferenceTree(std::move(sums), 1, T{0}, [](T a, T b) { return a + b; });
}

template <class T>
struct ReferenceDenseWeightsArgs {
  int64_t positions, inputs, outputs;
  ReferenceShards shards;
  std::vector<ReferenceGradientCall<T>> calls;
  T* d_w;
  T* d_b;  // or null
};

template <class T>
void ReferenceDenseBackwardWeights(const ReferenceDenseWeightsArgs<T>& args) {
  for (int64_t o = 0; o < args.outputs; ++o) {
    for (int64_t i = 0; i < args.inputs; ++i) {
      args.d_w[i * args.outputs + o] = ReferenceDenseSum<T>(
          args.shards, args.calls.size(), args.positions, [&](size_t call, int64_t row, T sum) {
            const ReferenceGradientCall<T>& c = args.calls[call];
            return std::fma(c.x[row * args.inputs + i], c.d_y[row * args.outputs + o], sum);
          });
    }
    if (args.d_b == nullptr) continue;
    args.d_b[o] = ReferenceDenseSum<T>(args.shards, args.calls.size(), args.positions,
                                       [&](size_t call, int64_t row, T sum) {
                                         return sum + args.calls[call].d_y[row * args.outputs + o];
                                       });
  }
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_DENSE_H_
