// The slow twins of lstm.h, T = float (same bits) or double (gradient checks). Samples one after
// another in Keras' layout, [N][T][...]; `shape.blocks` is not used.
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_LSTM_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_LSTM_H_

#include <vector>

#include "common/kernels/lstm.h"

namespace lockstep::kernels {

// By position.
template <class T>
struct ReferenceLstmKept {
  std::vector<T> gates;   // [N][T][4H]
  std::vector<T> cells;   // [N][T][2H]
  std::vector<T> before;  // [N][T][H]
};

template <class T>
struct ReferenceLstmForwardArgs {
  LstmShape shape;
  int64_t samples;
  const T* x;  // [N][T][F]
  const T* w;
  const T* u;
  const T* b;  // or null
  T* y;        // [N][T][H], or [N][H]
};
template <class T>
ReferenceLstmKept<T> ReferenceLstmForward(const ReferenceLstmForwardArgs<T>& args);

template <class T>
struct ReferenceLstmBackwardArgs {
  LstmShape shape;
  int64_t samples;
  const T* u;
  const ReferenceLstmKept<T>& kept;
  const T* d_y;  // as y
};
// The gradients of the gates before their activations, [N][T][4H].
template <class T>
std::vector<T> ReferenceLstmBackward(const ReferenceLstmBackwardArgs<T>& args);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_LSTM_H_
