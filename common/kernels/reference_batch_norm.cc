#include "common/kernels/reference_batch_norm.h"

#include <cmath>

namespace lockstep::kernels {
namespace {

template <class T>
T ReciprocalDeviation(const ReferenceBatchNormArgs<T>& args, int64_t c) {
  return T{1} / std::sqrt(args.variance[c] + args.epsilon);
}

template <class T>
T Normalized(const ReferenceBatchNormArgs<T>& args, int64_t element) {
  const int64_t c = element % args.channels;
  return (args.x[element] - args.mean[c]) * ReciprocalDeviation(args, c);
}

template <class T>
int64_t Element(const ReferenceBatchNormArgs<T>& args, int64_t n, int64_t position, int64_t c) {
  return (n * args.positions + position) * args.channels + c;
}

template <class T>
Moments SampleMoments(const ReferenceBatchNormArgs<T>& args, int64_t n, int64_t c) {
  T sum = 0, m2 = 0;
  for (int64_t position = 0; position < args.positions; ++position)
    sum = sum + args.x[Element(args, n, position, c)];
  const T mean = sum / static_cast<T>(args.positions);
  for (int64_t position = 0; position < args.positions; ++position) {
    const T difference = args.x[Element(args, n, position, c)] - mean;
    m2 = std::fma(difference, difference, m2);
  }
  return {static_cast<double>(args.positions), static_cast<double>(mean), static_cast<double>(m2)};
}

}  // namespace

template <class T>
void ReferenceBatchNormMoments(const ReferenceBatchNormArgs<T>& args, Moments* moments) {
  for (int64_t c = 0; c < args.channels; ++c) {
    moments[c] = ReferenceShardTree(
        args.shards, Moments{0, 0, 0}, [&](int64_t n) { return SampleMoments(args, n, c); },
        MergeMoments);
  }
}

template <class T>
void ReferenceBatchNormApply(const ReferenceBatchNormArgs<T>& args, T* y) {
  const int64_t elements = args.shards.samples() * args.positions * args.channels;
  for (int64_t element = 0; element < elements; ++element) {
    const int64_t c = element % args.channels;
    const T x_hat = Normalized(args, element);
    if (args.gamma != nullptr && args.beta != nullptr) {
      y[element] = std::fma(x_hat, args.gamma[c], args.beta[c]);
    } else if (args.gamma != nullptr) {
      y[element] = x_hat * args.gamma[c];
    } else {
      y[element] = args.beta == nullptr ? x_hat : x_hat + args.beta[c];
    }
  }
}

template <class T>
void ReferenceBatchNormSums(const ReferenceBatchNormArgs<T>& args, const T* d_y, T* sums) {
  for (int64_t c = 0; c < args.channels; ++c) {
    sums[c] = ReferenceShardSum<T>(args.shards, [&](int64_t n) {
      T sum = 0;
      for (int64_t position = 0; position < args.positions; ++position)
        sum = sum + d_y[Element(args, n, position, c)];
      return sum;
    });
    sums[args.channels + c] = ReferenceShardSum<T>(args.shards, [&](int64_t n) {
      T sum = 0;
      for (int64_t position = 0; position < args.positions; ++position) {
        const int64_t element = Element(args, n, position, c);
        sum = std::fma(d_y[element], Normalized(args, element), sum);
      }
      return sum;
    });
  }
}

template <class T>
void ReferenceBatchNormBackward(const ReferenceBatchNormArgs<T>& args, const T* d_y, const T* sums,
                                double count, T* d_x) {
  const int64_t elements = args.shards.samples() * args.positions * args.channels;
  const T inverse_count = static_cast<T>(1.0 / count);
  for (int64_t element = 0; element < elements; ++element) {
    const int64_t c = element % args.channels;
    const T r = ReciprocalDeviation(args, c);
    const T factor = args.gamma == nullptr ? r : args.gamma[c] * r;
    const T mean =
        std::fma(Normalized(args, element), sums[args.channels + c], sums[c]) * inverse_count;
    d_x[element] = factor * (d_y[element] - mean);
  }
}

template void ReferenceBatchNormMoments(const ReferenceBatchNormArgs<float>&, Moments*);
template void ReferenceBatchNormMoments(const ReferenceBatchNormArgs<double>&, Moments*);
template void ReferenceBatchNormApply(const ReferenceBatchNormArgs<float>&, float*);
template void ReferenceBatchNormApply(const ReferenceBatchNormArgs<double>&, double*);
template void ReferenceBatchNormSums(const ReferenceBatchNormArgs<float>&, const float*, float*);
template void ReferenceBatchNormSums(const ReferenceBatchNormArgs<double>&, const double*, double*);
template void ReferenceBatchNormBackward(const ReferenceBatchNormArgs<float>&, const float*,
                                         const float*, double, float*);
template void ReferenceBatchNormBackward(const ReferenceBatchNormArgs<double>&, const double*,
                                         const double*, double, double*);

}  // namespace lockstep::kernels
