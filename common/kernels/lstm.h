// LSTM kernels (Hochreiter & Schmidhuber 1997; gates as Keras has them). Legend: N samples in
// blocks of 16 lanes, T positions, F features, H units, gates i, f, c, o in this order.
// x: [blocks][T][F][16]  w: [F][4H]  u: [H][4H]  b: [4H] or null. No aliasing. Orders:
// docs/NUMERICS.md section 5. Units are blocks; two that meet in one range share their weights.
#ifndef LOCKSTEP_COMMON_KERNELS_LSTM_H_
#define LOCKSTEP_COMMON_KERNELS_LSTM_H_

#include "common/kernels/activation.h"
#include "common/kernels/block.h"

namespace lockstep::kernels {

struct LstmShape {
  int64_t blocks, positions, inputs, units;
  Activation activation;  // of the candidate c and of the cell
  Activation recurrent_activation;
  bool backwards;  // step s is position T - 1 - s, else s
  bool sequences;  // y has every step, else the last one
};

// What a training pass keeps, by position; without it (null) a pass keeps nothing.
struct LstmKept {
  float* gates;   // [blocks][T][4H][16], activated
  float* cells;   // [blocks][T][2H][16]: the cell, then its activation
  float* before;  // [blocks][T][H][16]: h of the step before, +0 at the first
};

// y: [blocks][T][H][16] by step, or [blocks][H][16].
struct LstmForwardArgs {
  LstmShape shape;
  const float* x;
  const float* w;
  const float* u;
  const float* b;  // may be null
  float* y;
  LstmKept kept;
  float* state;  // scratch where nothing is kept: [blocks][3H][16]
};
int64_t LstmForwardUnits(const LstmForwardArgs& args);
void LstmForward(const LstmForwardArgs& args, UnitRange units);

// The gradients of the gates before their activations; those of x, w, u and b follow from them as a
// dense layer's over positions (dense.h).
struct LstmBackwardArgs {
  LstmShape shape;
  const float* u;
  LstmKept kept;     // only read
  const float* d_y;  // as y
  float* d_gates;    // [blocks][T][4H][16] by position
  float* d_cell;     // scratch: [blocks][H][16]
};
int64_t LstmBackwardUnits(const LstmBackwardArgs& args);
void LstmBackward(const LstmBackwardArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_LSTM_H_
