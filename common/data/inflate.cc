#include "common/data/inflate.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <zlib.h>

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

constexpr absl::string_view kGzipMagic = "\x1f\x8b";
constexpr int kGzipWindowBits =
    15 + 16;  // the largest window; 16 asks for gzip's header and checksum
constexpr size_t kZlibBytesMax = std::numeric_limits<uInt>::max();
// Deflate's best: 258 bytes from two bits.
constexpr int64_t kDeflateRatioMax = 1032;
// Stays in the second-level cache between inflating and writing.
constexpr int64_t kPieceBytes = int64_t{256} << 10;

void EndStream(z_stream* stream) {
  inflateEnd(stream);  // of a stream that never began it changes nothing
  delete stream;
}

}  // namespace

bool IsGzip(absl::string_view bytes) { return absl::StartsWith(bytes, kGzipMagic); }

GzipReader::GzipReader(absl::string_view bytes)
    : bytes_(bytes), rest_(bytes), stream_(new z_stream(), &EndStream) {}

size_t GzipReader::position() const { return bytes_.size() - rest_.size() - stream_->avail_in; }

absl::StatusOr<size_t> GzipReader::Read(absl::Span<char> out) {
  z_stream& stream = *stream_;
  if (stream.state == nullptr && inflateInit2(&stream, kGzipWindowBits) != Z_OK) {
    return absl::ResourceExhaustedError("zlib finds no memory to inflate it");
  }
  size_t done = 0;
  while (done < out.size() && !finished_) {
    if (stream.avail_in == 0) {
      const absl::string_view input = rest_.substr(0, kZlibBytesMax);
      // zlib does not write to its input, but only newer headers say so.
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
      stream.avail_in = static_cast<uInt>(input.size());
      rest_.remove_prefix(input.size());
    }
    const size_t room = std::min(out.size() - done, kZlibBytesMax);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    stream.avail_out = static_cast<uInt>(room);
    const int result = inflate(&stream, Z_NO_FLUSH);
    done += room - stream.avail_out;
    if (result == Z_OK) continue;
    if (result == Z_STREAM_END) {
      LOCKSTEP_RETURN_IF_ERROR(EndMember());
    } else if (result == Z_BUF_ERROR) {  // no progress: the input is used up
      return absl::DataLossError(absl::StrCat("its gzip stream is cut off after ", bytes_.size(),
                                              " bytes; copy the file again"));
    } else if (result == Z_MEM_ERROR) {
      return absl::ResourceExhaustedError("zlib finds no memory to inflate it");
    } else {
      return absl::DataLossError(absl::StrCat("its gzip stream is damaged before byte ", position(),
                                              " (", stream.msg == nullptr ? "zlib" : stream.msg,
                                              "); copy the file again"));
    }
  }
  return done;
}

absl::Status GzipReader::EndMember() {
  const absl::string_view rest = bytes_.substr(position());
  finished_ = rest.empty();
  if (finished_) return absl::OkStatus();
  if (!IsGzip(rest)) {
    return absl::DataLossError(absl::StrCat(rest.size(),
                                            " bytes follow the end of its gzip stream, at byte ",
                                            position(), "; copy the file again"));
  }
  inflateReset(stream_.get());  // fails for no stream that is open
  return absl::OkStatus();
}

absl::Status CheckPromise(int64_t compressed_bytes, int64_t bytes) {
  if (bytes / kDeflateRatioMax <= compressed_bytes) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("its header promises ", bytes, " bytes, more than ",
                                          compressed_bytes,
                                          " compressed ones can hold; copy the file again"));
}

absl::Status CopyExactly(int64_t bytes,
                         absl::FunctionRef<absl::StatusOr<size_t>(absl::Span<char>)> read,
                         File& out) {
  std::vector<char> piece(static_cast<size_t>(std::min(bytes, kPieceBytes)));
  for (int64_t done = 0; done < bytes;) {
    const size_t wanted = static_cast<size_t>(std::min(bytes - done, kPieceBytes));
    LOCKSTEP_ASSIGN_OR_RETURN(const size_t count, read(absl::MakeSpan(piece).first(wanted)));
    if (count < wanted) {
      return absl::DataLossError(absl::StrCat("it holds ", done + static_cast<int64_t>(count),
                                              " bytes where its header promises ", bytes,
                                              "; copy the file again"));
    }
    LOCKSTEP_RETURN_IF_ERROR(out.Write(done, absl::string_view(piece.data(), count)));
    done += static_cast<int64_t>(count);
  }
  char more = 0;
  LOCKSTEP_ASSIGN_OR_RETURN(const size_t excess, read(absl::MakeSpan(&more, 1)));
  if (excess == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("it holds more than the ", bytes,
                                          " bytes that its header promises; copy the file again"));
}

}  // namespace lockstep
