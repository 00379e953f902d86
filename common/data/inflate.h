// GzipReader and CopyExactly: compressed bytes become as many as a header has promised, or an
// error; never more. Thread: one per object. Errors: DATA_LOSS without the file's name, which the
// caller adds; RESOURCE_EXHAUSTED where zlib finds no memory.
#ifndef LOCKSTEP_COMMON_DATA_INFLATE_H_
#define LOCKSTEP_COMMON_DATA_INFLATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/env/file_system.h"

struct z_stream_s;

namespace lockstep {

// Whether the bytes are gzip's, whatever the file is called.
bool IsGzip(absl::string_view bytes);

// One or several gzip members, one after another, with nothing behind them.
class GzipReader {
 public:
  // `bytes` outlive the reader.
  explicit GzipReader(absl::string_view bytes);

  // The next bytes; fewer than `out` holds only at the end of the last member, when every checksum
  // was right.
  absl::StatusOr<size_t> Read(absl::Span<char> out);

 private:
  absl::Status EndMember();
  size_t position() const;  // of the next compressed byte

  const absl::string_view bytes_;
  absl::string_view rest_;  // not yet given to zlib
  // On the heap: zlib keeps its address.
  std::unique_ptr<z_stream_s, void (*)(z_stream_s*)> stream_;
  bool finished_ = false;
};

// DATA_LOSS where deflate cannot have made `compressed_bytes` of `bytes`: a promise that no file
// can keep must not reserve memory or disk.
absl::Status CheckPromise(int64_t compressed_bytes, int64_t bytes);

// Writes what `read` gives to `out`. `read` returns less than it was asked for at its end only; it
// must end after `bytes`, which is seen by asking for one more.
absl::Status CopyExactly(int64_t bytes,
                         absl::FunctionRef<absl::StatusOr<size_t>(absl::Span<char>)> read,
                         File& out);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_INFLATE_H_
