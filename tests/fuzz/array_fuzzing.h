// What the fuzz targets of data formats share: a file that counts, the invariant of array headers.
#ifndef LOCKSTEP_TESTS_FUZZ_ARRAY_FUZZING_H_
#define LOCKSTEP_TESTS_FUZZ_ARRAY_FUZZING_H_

#include <cstdint>

#include "common/base/check.h"
#include "common/data/array_header.h"
#include "common/env/file_system.h"

namespace lockstep {

// Counts what is written, in pieces one after another.
class CountingFile final : public File {
 public:
  int64_t bytes() const { return bytes_; }

  absl::StatusOr<size_t> Read(int64_t, absl::Span<char>) override { return 0; }
  absl::Status Write(int64_t offset, absl::string_view bytes) override {
    LOCKSTEP_CHECK(offset == bytes_);
    bytes_ += static_cast<int64_t>(bytes.size());
    return absl::OkStatus();
  }
  absl::Status Truncate(int64_t) override { return absl::OkStatus(); }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Close() override { return absl::OkStatus(); }

 private:
  int64_t bytes_ = 0;
};

inline void CheckArrayHeader(const ArrayHeader& header) {
  int64_t bytes = kernels::SampleTypeBytes(header.element.type);
  for (const int64_t dim : header.dims) {
    LOCKSTEP_CHECK(dim >= 1 && !__builtin_mul_overflow(bytes, dim, &bytes));
  }
  LOCKSTEP_CHECK(header.data_bytes == bytes && header.total_bytes() > bytes);
  LOCKSTEP_CHECK(header.data_bytes % header.count() == 0);
}

}  // namespace lockstep

#endif  // LOCKSTEP_TESTS_FUZZ_ARRAY_FUZZING_H_
