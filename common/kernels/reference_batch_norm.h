// The slow twins of batch_norm.h, T = float (same bits) or double (gradient checks). x, y:
// [N][positions][C].
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_BATCH_NORM_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_BATCH_NORM_H_

#include "common/kernels/batch_norm.h"
#include "common/kernels/reference_tree.h"

namespace lockstep::kernels {

// What all passes share; gamma and beta may be null.
template <class T>
struct ReferenceBatchNormArgs {
  int64_t positions, channels;
  ReferenceShards shards;
  const T* x;
  const T* mean;
  const T* variance;
  const T* gamma;
  const T* beta;
  T epsilon;
};

// Reads positions, channels, shards and x only.
template <class T>
void ReferenceBatchNormMoments(const ReferenceBatchNormArgs<T>& args, Moments* moments);
template <class T>
void ReferenceBatchNormApply(const ReferenceBatchNormArgs<T>& args, T* y);
template <class T>
void ReferenceBatchNormSums(const ReferenceBatchNormArgs<T>& args, const T* d_y, T* sums);
// d_x from sums over `count` values a channel; no accumulation.
template <class T>
void ReferenceBatchNormBackward(const ReferenceBatchNormArgs<T>& args, const T* d_y, const T* sums,
                                double count, T* d_x);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_BATCH_NORM_H_
