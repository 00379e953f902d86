#include "common/data/data_signature.h"

namespace lockstep {

absl::string_view SampleTypeName(kernels::SampleType type) {
  switch (type) {
    case kernels::SampleType::kU8:
      return "u8";
    case kernels::SampleType::kI8:
      return "i8";
    case kernels::SampleType::kU16:
      return "u16";
    case kernels::SampleType::kI16:
      return "i16";
    case kernels::SampleType::kI32:
      return "i32";
    case kernels::SampleType::kI64:
      return "i64";
    case kernels::SampleType::kF32:
      return "f32";
    case kernels::SampleType::kF64:
      return "f64";
  }
  return "";
}

}  // namespace lockstep
