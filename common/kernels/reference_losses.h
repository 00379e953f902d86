// The slow twins of losses.h for one sample, T = float (same bits) or double (gradient checks).
// Sparse targets: one-hot `t`.
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_LOSSES_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_LOSSES_H_

#include <cmath>
#include <cstddef>
#include <vector>

#include "common/kernels/reference_activation.h"

namespace lockstep::kernels {

template <class T>
struct ReferenceLoss {
  T loss;
  std::vector<T> d_x;
};

template <class T>
T ReferenceQuotient(double numerator, size_t features) {
  return static_cast<T>(numerator / static_cast<double>(features));
}

template <class T>
ReferenceLoss<T> ReferenceMeanSquaredError(const std::vector<T>& x, const std::vector<T>& t,
                                           T seed) {
  ReferenceLoss<T> result{0, {}};
  const T factor = ReferenceQuotient<T>(2, x.size()) * seed;
  for (size_t k = 0; k < x.size(); ++k) {
    const T error = x[k] - t[k];
    result.loss = std::fma(error, error, result.loss);
    result.d_x.push_back(error * factor);
  }
  result.loss /= static_cast<T>(x.size());
  return result;
}

template <class T>
ReferenceLoss<T> ReferenceCrossEntropyLogits(const std::vector<T>& x, const std::vector<T>& t,
                                             T seed) {
  const T max = ReferenceMax(x);
  std::vector<T> e;
  T picked = 0, weight = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    e.push_back(ReferenceExp(x[k] - max));
    picked = std::fma(t[k], x[k] - max, picked);
    weight = weight + t[k];
  }
  const T total = ReferenceLaneChains(e);
  ReferenceLoss<T> result{ReferenceLog(total) * weight - picked, {}};
  for (size_t k = 0; k < x.size(); ++k) result.d_x.push_back((e[k] / total * weight - t[k]) * seed);
  return result;
}

// The same for a one-hot `t`: only the label's logit is read beside the sum, so that infinities in
// others do no harm.
template <class T>
ReferenceLoss<T> ReferenceSparseCrossEntropyLogits(const std::vector<T>& x, const std::vector<T>& t,
                                                   T seed) {
  const T max = ReferenceMax(x);
  std::vector<T> e;
  T picked = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    e.push_back(ReferenceExp(x[k] - max));
    if (t[k] != T{0}) picked = x[k] - max;
  }
  const T total = ReferenceLaneChains(e);
  ReferenceLoss<T> result{ReferenceLog(total) - picked, {}};
  for (size_t k = 0; k < x.size(); ++k) result.d_x.push_back((e[k] / total - t[k]) * seed);
  return result;
}

template <class T>
struct ReferenceClipped {
  T value;
  bool outside;
};

template <class T>
ReferenceClipped<T> ReferenceClip(T p) {
  const T low = static_cast<T>(1e-7f), high = static_cast<T>(1.0f - 1e-7f);
  return {p < low ? low : p > high ? high : p, p < low || p > high};
}

template <class T>
ReferenceLoss<T> ReferenceCrossEntropyProbabilities(const std::vector<T>& x,
                                                    const std::vector<T>& t, T seed) {
  const T total = ReferenceLaneChains(x);
  std::vector<T> slope;
  T log_sum = 0, through_sum = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    const T p = x[k] / total;
    const ReferenceClipped<T> clipped = ReferenceClip(p);
    log_sum = std::fma(t[k], ReferenceLog(clipped.value), log_sum);
    slope.push_back(clipped.outside ? T{0} : -(t[k] / clipped.value));
    through_sum = std::fma(slope[k], p, through_sum);
  }
  ReferenceLoss<T> result{T{0} - log_sum, {}};
  for (size_t k = 0; k < x.size(); ++k)
    result.d_x.push_back((slope[k] - through_sum) / total * seed);
  return result;
}

template <class T>
ReferenceLoss<T> ReferenceBinaryLogits(const std::vector<T>& x, const std::vector<T>& t, T seed) {
  ReferenceLoss<T> result{0, {}};
  const T factor = ReferenceQuotient<T>(1, x.size()) * seed;
  for (size_t k = 0; k < x.size(); ++k) {
    const T positive = ReferenceActivation(Activation::kRelu, x[k]);
    result.loss =
        result.loss + ((positive - x[k] * t[k]) + ReferenceLog1p(ReferenceExp(-std::fabs(x[k]))));
    result.d_x.push_back((ReferenceSigmoid(x[k]) - t[k]) * factor);
  }
  result.loss /= static_cast<T>(x.size());
  return result;
}

template <class T>
ReferenceLoss<T> ReferenceBinaryProbabilities(const std::vector<T>& x, const std::vector<T>& t,
                                              T seed) {
  ReferenceLoss<T> result{0, {}};
  const T factor = ReferenceQuotient<T>(1, x.size()) * seed;
  for (size_t k = 0; k < x.size(); ++k) {
    const ReferenceClipped<T> p = ReferenceClip(x[k]);
    const T not_t = 1 - t[k], not_p = 1 - p.value;
    result.loss = result.loss - (t[k] * ReferenceLog(p.value) + not_t * ReferenceLog(not_p));
    result.d_x.push_back(p.outside ? T{0} : (not_t / not_p - t[k] / p.value) * factor);
  }
  result.loss /= static_cast<T>(x.size());
  return result;
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_LOSSES_H_
