// Any bytes are an IDX file, plain or gzipped, or an error; what is inflated is never more than the
// header promises.
#include <vector>

#include "common/base/check.h"
#include "common/data/array_column.h"
#include "common/data/idx_header.h"
#include "common/data/inflate.h"
#include "tests/fuzz/array_fuzzing.h"

namespace {

void TryPlain(absl::string_view bytes) {
  const absl::StatusOr<lockstep::ArrayHeader> header =
      lockstep::ParseIdxHeader(bytes.substr(0, lockstep::kIdxHeaderBytesMax));
  if (!header.ok()) return;
  lockstep::CheckArrayHeader(*header);
  if (header->total_bytes() != static_cast<int64_t>(bytes.size())) return;
  const lockstep::ArrayColumn column("x", *header, bytes, nullptr);
  std::vector<std::byte> sample(static_cast<size_t>(column.sample_bytes()));
  for (const int64_t index : {int64_t{0}, column.count() - 1}) {
    LOCKSTEP_CHECK(column.Read(index, sample.data()).ok());
  }
}

void TryGzip(absl::string_view bytes) {
  char start[lockstep::kIdxHeaderBytesMax];
  const absl::StatusOr<size_t> count = lockstep::GzipReader(bytes).Read(absl::MakeSpan(start));
  if (!count.ok()) return;
  const absl::StatusOr<lockstep::ArrayHeader> header =
      lockstep::ParseIdxHeader(absl::string_view(start, *count));
  if (!header.ok()) return;
  lockstep::CheckArrayHeader(*header);
  const int64_t promised = header->total_bytes();
  if (!lockstep::CheckPromise(static_cast<int64_t>(bytes.size()), promised).ok()) return;
  lockstep::GzipReader reader(bytes);
  lockstep::CountingFile copy;
  const absl::Status copied = lockstep::CopyExactly(
      promised, [&reader](absl::Span<char> piece) { return reader.Read(piece); }, copy);
  LOCKSTEP_CHECK(copied.ok() ? copy.bytes() == promised : copy.bytes() <= promised);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  TryPlain(bytes);
  TryGzip(bytes);
  return 0;
}
