// Batch normalization. x, y: [blocks][positions][C][16]. Orders and Chan's merge: docs/NUMERICS.md
// section 5.
#ifndef LOCKSTEP_COMMON_KERNELS_BATCH_NORM_H_
#define LOCKSTEP_COMMON_KERNELS_BATCH_NORM_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

// Moments of one channel over a set of values.
struct Moments {
  double count;
  double mean;
  double m2;  // sum of squared deviations
};
// Chan's merge, each operation rounded on its own.
Moments MergeMoments(const Moments& a, const Moments& b);

// Per channel: the moments of one subtree of shards. Units: channels.
struct BatchNormMomentsArgs {
  int64_t positions, channels;
  SlotMap slots;
  SubtreeRange subtree;
  const float* x;
  Moments* moments;  // [C]
};
int64_t BatchNormMomentsUnits(const BatchNormMomentsArgs& args);
void BatchNormMoments(const BatchNormMomentsArgs& args, UnitRange units);

// y = (x - mean) r gamma + beta with r = 1 / sqrt(variance + epsilon). gamma, beta may be null.
// With `relu`: relu(y). Units: block x position.
struct BatchNormApplyArgs {
  int64_t blocks, positions, channels;
  const float* x;
  const float* mean;      // [C]
  const float* variance;  // [C]
  const float* gamma;
  const float* beta;
  float epsilon;
  float* y;
  bool relu = false;
};
int64_t BatchNormApplyUnits(const BatchNormApplyArgs& args);
void BatchNormApply(const BatchNormApplyArgs& args, UnitRange units);

// sums[c] = S1 = sum d_y, sums[C + c] = S2 = sum d_y x_hat of one subtree; per sample a chain over
// positions, sample tree, shard tree. With `relu` behind it d_y is that of the ReLU's output, and
// counts as +0 where y, made again from x, is not positive. Units: channels.
struct BatchNormSumsArgs {
  int64_t positions, channels;
  SlotMap slots;
  SubtreeRange subtree;
  const float* x;
  const float* d_y;
  const float* mean;
  const float* variance;
  float epsilon;
  float* sums;  // [2][C]
  bool relu = false;
  const float* gamma = nullptr;  // these two with `relu` only, may be null
  const float* beta = nullptr;
};
int64_t BatchNormSumsUnits(const BatchNormSumsArgs& args);
void BatchNormSums(const BatchNormSumsArgs& args, UnitRange units);

// d_x from the global sums; `count` values per channel over the global batch, read at run time.
// Units: block x position.
struct BatchNormBackwardArgs {
  int64_t blocks, positions, channels;
  const float* x;
  const float* d_y;
  const float* mean;
  const float* variance;
  const float* gamma;  // may be null
  const float* sums;   // [2][C], global
  const double* count;
  float epsilon;
  float* d_x;
  bool accumulate;
  bool relu = false;  // as in BatchNormSums
  const float* beta = nullptr;
};
int64_t BatchNormBackwardUnits(const BatchNormBackwardArgs& args);
void BatchNormBackward(const BatchNormBackwardArgs& args, UnitRange units);

// From global moments to mean and variance (floats) and the moving averages; one unit in all.
struct BatchNormFinishArgs {
  int64_t channels;
  const Moments* moments;  // [C], global
  float momentum;
  float* mean;
  float* variance;
  float* moving_mean;
  float* moving_variance;
  double* count;  // receives moments[0].count
};
void BatchNormFinish(const BatchNormFinishArgs& args);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_BATCH_NORM_H_
