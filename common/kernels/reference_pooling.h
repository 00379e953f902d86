// The slow twins of pooling.h, T = float (same bits) or double (gradient checks). Samples one after
// another in Keras' layout: x, d_x: [N][H][W][C]  y, d_y: [N][P][Q][C]. Backward finds each winner
// again from x.
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_POOLING_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_POOLING_H_

#include "common/kernels/pooling.h"

namespace lockstep::kernels {

template <class T>
struct ReferencePoolArgs {
  PoolGeometry geometry;
  int64_t samples;
  const T* x;
  T* y;
};
template <class T>
void ReferenceMaxPoolForward(const ReferencePoolArgs<T>& args);
template <class T>
void ReferenceAveragePoolForward(const ReferencePoolArgs<T>& args);

template <class T>
struct ReferencePoolBackwardArgs {
  PoolGeometry geometry;
  int64_t samples;
  const T* x;  // max pooling only
  const T* d_y;
  T* d_x;
  bool accumulate;
};
template <class T>
void ReferenceMaxPoolBackward(const ReferencePoolBackwardArgs<T>& args);
template <class T>
void ReferenceAveragePoolBackward(const ReferencePoolBackwardArgs<T>& args);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_POOLING_H_
