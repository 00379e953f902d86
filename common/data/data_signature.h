// DataSignature: what the samples of a data set hold, by name: types and shapes, not values.
#ifndef LOCKSTEP_COMMON_DATA_DATA_SIGNATURE_H_
#define LOCKSTEP_COMMON_DATA_DATA_SIGNATURE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "common/kernels/decode.h"
#include "common/tensor/shape.h"

namespace lockstep {

// "u8", "f32", ...
absl::string_view SampleTypeName(kernels::SampleType type);

struct DataField {
  std::string name;  // of the model's input, or of the output it is a target of
  kernels::SampleType type = kernels::SampleType::kF32;
  Shape shape;  // of one sample
  friend bool operator==(const DataField&, const DataField&) = default;
};

struct DataSignature {
  std::vector<DataField> inputs;
  std::vector<DataField> targets;
  friend bool operator==(const DataSignature&, const DataSignature&) = default;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_DATA_SIGNATURE_H_
