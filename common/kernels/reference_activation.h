// The slow twins of activation.h, T = float (same bits) or double (gradient checks), for one value
// or the features of one sample.
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_ACTIVATION_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_ACTIVATION_H_

#include <cmath>
#include <cstddef>
#include <vector>

#include "common/kernels/activation.h"
#include "common/kernels/reference_math.h"
#include "common/kernels/reference_tree.h"

namespace lockstep::kernels {

template <class T>
T ReferenceActivation(Activation activation, T x) {
  switch (activation) {
    case Activation::kLinear:
      break;
    case Activation::kRelu:
      return x > 0 || std::isnan(x) ? x : T{0};
    case Activation::kSigmoid:
      return ReferenceSigmoid(x);
    case Activation::kTanh:
      return ReferenceTanh(x);
  }
  return x;
}

template <class T>
T ReferenceActivationDerivative(Activation activation, T y, T d_y) {
  switch (activation) {
    case Activation::kLinear:
      break;
    case Activation::kRelu:
      return y > 0 || std::isnan(y) ? d_y : T{0};
    case Activation::kSigmoid:
      return d_y * (y * (1 - y));
    case Activation::kTanh:
      return d_y * std::fma(-y, y, T{1});
  }
  return d_y;
}

// Lane chains over the index, then the adjacent-pair tree.
template <class T>
T ReferenceLaneChains(const std::vector<T>& values) {
  std::vector<T> chains(16, T{0});
  for (size_t k = 0; k < values.size(); ++k) chains[k % 16] = chains[k % 16] + values[k];
  return ReferenceTree(chains, 16, T{0}, [](T a, T b) { return a + b; });
}

template <class T>
T ReferenceMax(const std::vector<T>& values) {
  T max = values[0];
  for (const T value : values) {
    if (value > max || std::isnan(value)) max = value;
  }
  return max;
}

template <class T>
std::vector<T> ReferenceSoftmax(std::vector<T> x) {
  const T max = ReferenceMax(x);
  for (T& value : x) value = ReferenceExp(value - max);
  const T total = ReferenceLaneChains(x);
  for (T& value : x) value = value / total;
  return x;
}

template <class T>
std::vector<T> ReferenceSoftmaxBackward(const std::vector<T>& y, const std::vector<T>& d_y) {
  T sum = 0;
  for (size_t k = 0; k < y.size(); ++k) sum = std::fma(d_y[k], y[k], sum);
  std::vector<T> d_x;
  for (size_t k = 0; k < y.size(); ++k) d_x.push_back(y[k] * (d_y[k] - sum));
  return d_x;
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_ACTIVATION_H_
