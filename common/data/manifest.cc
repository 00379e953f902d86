#include "common/data/manifest.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

// Samples are read into pieces of this size, which stay in the second-level cache while they are
// hashed and searched.
constexpr int64_t kPieceBytes = int64_t{128} << 10;

// Widens the range by the samples of `piece`, one element each; `first` is the index of the first.
template <typename T>
void UpdateRange(absl::string_view piece, int64_t first, ColumnManifest& column) {
  for (size_t at = 0; at < piece.size(); at += sizeof(T)) {
    T element;
    std::memcpy(&element, piece.data() + at, sizeof(T));
    const int64_t value = static_cast<int64_t>(element);
    const int64_t sample = first + static_cast<int64_t>(at / sizeof(T));
    if (!column.min.has_value() || value < *column.min) {
      column.min = value;
      column.min_sample = sample;
    }
    if (!column.max.has_value() || value > *column.max) {
      column.max = value;
      column.max_sample = sample;
    }
  }
}

void UpdateRangeOf(kernels::SampleType type, absl::string_view piece, int64_t first,
                   ColumnManifest& column) {
  switch (type) {
    case kernels::SampleType::kU8:
      return UpdateRange<uint8_t>(piece, first, column);
    case kernels::SampleType::kI8:
      return UpdateRange<int8_t>(piece, first, column);
    case kernels::SampleType::kU16:
      return UpdateRange<uint16_t>(piece, first, column);
    case kernels::SampleType::kI16:
      return UpdateRange<int16_t>(piece, first, column);
    case kernels::SampleType::kI32:
      return UpdateRange<int32_t>(piece, first, column);
    case kernels::SampleType::kI64:
      return UpdateRange<int64_t>(piece, first, column);
    case kernels::SampleType::kF32:
    case kernels::SampleType::kF64:
      return;
  }
}

absl::StatusOr<ColumnManifest> ReadColumn(const Column& column, std::vector<std::byte>& buffer) {
  ColumnManifest manifest = {.field = column.field()};
  const int64_t sample_bytes = column.sample_bytes();
  const int64_t samples_max = std::max<int64_t>(1, kPieceBytes / sample_bytes);
  buffer.resize(static_cast<size_t>(std::min(samples_max, column.count()) * sample_bytes));
  const bool has_range = manifest.field.shape.elements() == 1;
  FingerprintStream hash;
  for (int64_t first = 0; first < column.count(); first += samples_max) {
    const int64_t samples = std::min(samples_max, column.count() - first);
    for (int64_t i = 0; i < samples; ++i) {
      LOCKSTEP_RETURN_IF_ERROR(column.Read(first + i, buffer.data() + i * sample_bytes));
    }
    const absl::string_view piece(reinterpret_cast<const char*>(buffer.data()),
                                  static_cast<size_t>(samples * sample_bytes));
    hash.Update(piece);
    if (has_range) UpdateRangeOf(manifest.field.type, piece, first, manifest);
  }
  manifest.hash = hash.Finish();
  return manifest;
}

// All of a column but its name. The range follows from the values, hence from their hash.
std::string ContentOf(absl::string_view role, const ColumnManifest& column) {
  return absl::StrCat(role, " ", SampleTypeName(column.field.type), " ",
                      column.field.shape.ToJson(), " ", ToHex(column.hash), "\n");
}

}  // namespace

std::string Manifest::ContentHash() const {
  std::string content = absl::StrCat("count ", count, "\n");
  for (const ColumnManifest& column : inputs) content += ContentOf("input", column);
  for (const ColumnManifest& column : targets) content += ContentOf("target", column);
  if (weights.has_value()) content += ContentOf("weights", *weights);
  return ToHex(FingerprintOf128(content));
}

absl::StatusOr<Manifest> MakeManifest(const Dataset& dataset) {
  Manifest manifest = {.count = dataset.count};
  std::vector<std::byte> buffer;
  for (const std::unique_ptr<Column>& column : dataset.inputs) {
    LOCKSTEP_ASSIGN_OR_RETURN(manifest.inputs.emplace_back(), ReadColumn(*column, buffer));
  }
  for (const std::unique_ptr<Column>& column : dataset.targets) {
    LOCKSTEP_ASSIGN_OR_RETURN(manifest.targets.emplace_back(), ReadColumn(*column, buffer));
  }
  if (dataset.weights != nullptr) {
    LOCKSTEP_ASSIGN_OR_RETURN(manifest.weights, ReadColumn(*dataset.weights, buffer));
  }
  return manifest;
}

}  // namespace lockstep
