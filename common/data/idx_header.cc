#include "common/data/idx_header.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

constexpr size_t kMagicBytes = 4;
constexpr size_t kDimBytes = 4;

struct IdxType {
  uint8_t code;
  kernels::SampleType type;
};
constexpr IdxType kTypes[] = {{0x08, kernels::SampleType::kU8},  {0x09, kernels::SampleType::kI8},
                              {0x0B, kernels::SampleType::kI16}, {0x0C, kernels::SampleType::kI32},
                              {0x0D, kernels::SampleType::kF32}, {0x0E, kernels::SampleType::kF64}};

int64_t BigEndian32(absl::string_view bytes) {
  int64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

absl::StatusOr<ArrayHeader> ParseIdxHeader(absl::string_view start) {
  const absl::string_view magic = start.substr(0, kMagicBytes);
  if (magic.size() < kMagicBytes) {
    return absl::DataLossError(
        absl::StrCat("it ends after ", start.size(), " bytes, inside the header; copy it again"));
  }
  if (magic[0] != 0 || magic[1] != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("it starts with the bytes ", absl::BytesToHexString(magic),
                     ", an IDX file with 0000; give the format that it has"));
  }
  const uint8_t code = static_cast<uint8_t>(magic[2]);
  const IdxType* const type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                           [code](const IdxType& t) { return t.code == code; });
  if (type == std::end(kTypes)) {
    return absl::FailedPreconditionError(
        absl::StrCat("its type byte is ", absl::BytesToHexString(magic.substr(2, 1)),
                     "; known are 08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32) and 0e (f64)"));
  }
  const size_t ndim = static_cast<uint8_t>(magic[3]);
  if (ndim < 1 || ndim > kIdxDimsMax) {
    return absl::FailedPreconditionError(absl::StrCat("its header has ", ndim,
                                                      " dimensions; from 1 to ", kIdxDimsMax,
                                                      " are read, the first counts the samples"));
  }
  const size_t header_bytes = kMagicBytes + kDimBytes * ndim;
  if (start.size() < header_bytes) {
    return absl::DataLossError(absl::StrCat("it ends after ", start.size(),
                                            " bytes, inside the header of ", header_bytes,
                                            "; copy it again"));
  }
  std::vector<int64_t> dims;
  for (size_t at = kMagicBytes; at < header_bytes; at += kDimBytes) {
    dims.push_back(BigEndian32(start.substr(at, kDimBytes)));
  }
  const bool is_wide = kernels::SampleTypeBytes(type->type) > 1;
  return MakeArrayHeader({type->type, is_wide ? ElementForm::kSwapped : ElementForm::kNative},
                         std::move(dims), static_cast<int64_t>(header_bytes));
}

}  // namespace lockstep
