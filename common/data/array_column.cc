#include "common/data/array_column.h"

#include <cstring>
#include <utility>

#include "common/base/check.h"

namespace lockstep {
namespace {

uint16_t Swapped(uint16_t value) { return __builtin_bswap16(value); }
uint32_t Swapped(uint32_t value) { return __builtin_bswap32(value); }
uint64_t Swapped(uint64_t value) { return __builtin_bswap64(value); }

template <typename T>
void SwapElements(std::byte* out, size_t bytes) {
  for (size_t at = 0; at < bytes; at += sizeof(T)) {
    T value;
    std::memcpy(&value, out + at, sizeof(T));
    value = Swapped(value);
    std::memcpy(out + at, &value, sizeof(T));
  }
}

}  // namespace

ArrayColumn::ArrayColumn(std::string name, const ArrayHeader& header, absl::string_view array,
                         std::shared_ptr<const MappedFile> owner)
    : Column({.name = std::move(name), .type = header.element.type, .shape = header.sample_shape()},
             header.count()),
      form_(header.element.form),
      element_bytes_(static_cast<size_t>(kernels::SampleTypeBytes(header.element.type))),
      sample_bytes_(static_cast<size_t>(header.data_bytes / header.count())),
      data_(array.data() + header.header_bytes),
      owner_(std::move(owner)) {
  LOCKSTEP_CHECK(static_cast<int64_t>(array.size()) == header.total_bytes());
}

absl::Status ArrayColumn::Read(int64_t index, std::byte* out) const {
  LOCKSTEP_DCHECK(index >= 0 && index < count());
  std::memcpy(out, data_ + static_cast<size_t>(index) * sample_bytes_, sample_bytes_);
  switch (form_) {
    case ElementForm::kNative:
      break;
    case ElementForm::kTruth:
      for (size_t i = 0; i < sample_bytes_; ++i) out[i] = std::byte{out[i] != std::byte{0}};
      break;
    case ElementForm::kSwapped:
      if (element_bytes_ == 2) SwapElements<uint16_t>(out, sample_bytes_);
      if (element_bytes_ == 4) SwapElements<uint32_t>(out, sample_bytes_);
      if (element_bytes_ == 8) SwapElements<uint64_t>(out, sample_bytes_);
      break;
  }
  return absl::OkStatus();
}

}  // namespace lockstep
