// Samples as the data set has them, one row a slot, into the engine's layout: float(x) * scale +
// offset as one fma.
#ifndef LOCKSTEP_COMMON_KERNELS_DECODE_H_
#define LOCKSTEP_COMMON_KERNELS_DECODE_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

enum class SampleType : int32_t { kU8, kI8, kU16, kI16, kI32, kI64, kF32, kF64 };

// Bytes of one element.
int64_t SampleTypeBytes(SampleType type);

// y[block][f][lane] = fma(float(rows[slot][f]), scale, offset); kI32, kI64 and kF64 are rounded to
// float first. Slots without a sample are written as +0. Units: block x group of features.
struct DecodeArgs {
  int64_t blocks, features;
  SlotMap slots;
  SampleType type;
  const void* rows;  // [blocks * 16][features], packed
  float scale;
  float offset;
  float* y;  // [blocks][features][16]
};
int64_t DecodeUnits(const DecodeArgs& args);
void Decode(const DecodeArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_DECODE_H_
