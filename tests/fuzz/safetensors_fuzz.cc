// Any bytes are a safetensors file or an error; of an accepted one, every tensor lies inside the
// bytes.
#include "common/base/check.h"
#include "common/checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<lockstep::SafetensorsFile> file =
      lockstep::SafetensorsFile::Parse(bytes, "fuzz");
  if (!file.ok()) return 0;
  size_t covered = 0;
  for (const auto& tensor : file->tensors()) {
    LOCKSTEP_CHECK(tensor.bytes.data() >= bytes.data());
    LOCKSTEP_CHECK(tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size());
    covered += tensor.bytes.size();
  }
  LOCKSTEP_CHECK(covered + 8 <= size);
  const auto views = file->FloatViews();
  if (!views.ok()) return 0;
  for (const auto& view : *views) {
    LOCKSTEP_CHECK(static_cast<int64_t>(view.values.size()) == view.shape.elements());
  }
  return 0;
}
