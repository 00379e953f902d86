// Any bytes are an .npz file, an .npy header or an error; every array that is found lies inside the
// file or is inflated to as many bytes as its header says.
#include "common/base/check.h"
#include "common/data/npy_header.h"
#include "common/data/npz_archive.h"
#include "tests/fuzz/array_fuzzing.h"

namespace {

void TryHeader(absl::string_view bytes) {
  const absl::StatusOr<lockstep::ArrayHeader> header = lockstep::ParseNpyHeader(bytes);
  if (header.ok()) lockstep::CheckArrayHeader(*header);
}

void TryArchive(absl::string_view bytes) {
  const absl::StatusOr<lockstep::NpzArchive> archive = lockstep::NpzArchive::Open(bytes);
  if (!archive.ok()) return;
  for (const absl::string_view name : archive->names()) {
    const absl::StatusOr<lockstep::NpzArchive::Array> array = archive->Find(name);
    if (!array.ok()) continue;
    lockstep::CheckArrayHeader(array->header);
    const absl::string_view place = array->bytes;
    if (!place.empty()) {
      LOCKSTEP_CHECK(place.data() >= bytes.data());
      LOCKSTEP_CHECK(place.data() + place.size() <= bytes.data() + bytes.size());
      LOCKSTEP_CHECK(static_cast<int64_t>(place.size()) == array->header.total_bytes());
    }
    lockstep::CountingFile copy;
    const bool copied = archive->Copy(*array, copy).ok();
    LOCKSTEP_CHECK(copied ? copy.bytes() == array->header.total_bytes()
                          : copy.bytes() <= array->header.total_bytes());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  TryHeader(bytes);
  TryArchive(bytes);
  return 0;
}
