// Dropout. The mask is a function of (seed, node call, step, batch position, element), never
// stored: backward makes it again.
#ifndef LOCKSTEP_COMMON_KERNELS_DROPOUT_H_
#define LOCKSTEP_COMMON_KERNELS_DROPOUT_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

// y = keep ? x * scale : +0. Forward and backward are the same call on x and d_y. x may equal y.
// Units: block x group of features.
struct DropoutArgs {
  int64_t blocks, features;
  uint64_t key;  // RandomKey(seed, Purpose::kDropout)
  uint32_t node_call;
  const int64_t* step;            // read at run time
  const int32_t* batch_position;  // [blocks * 16], read at run time
  float rate;
  float scale;
  const float* x;
  float* y;
  bool accumulate;
};
int64_t DropoutUnits(const DropoutArgs& args);
void Dropout(const DropoutArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_DROPOUT_H_
