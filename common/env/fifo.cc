#include "common/env/fifo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

constexpr int kPipeBytes = 1 << 20;

}  // namespace

absl::StatusOr<FifoReader> FifoReader::Create(const std::string& path) {
  if (mkfifo(path.c_str(), 0600) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("making the pipe '", path, "'"));
  // O_RDWR does not wait for a writer and never sees an end of file (fifo(7)).
  UniqueFd fd(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.is_open())
    return absl::ErrnoToStatus(errno, absl::StrCat("opening the pipe '", path, "'"));
  // More room lets a busy reader lose no line; the 64 KiB of the system will do where it is
  // refused.
  (void)fcntl(fd.get(), F_SETPIPE_SZ, kPipeBytes);
  return FifoReader(std::move(fd));
}

std::string FifoReader::ReadAvailable() {
  std::string bytes;
  char buffer[65536];
  while (bytes.size() < size_t{kPipeBytes}) {
    const ssize_t count = read(fd_.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    bytes.append(buffer, static_cast<size_t>(count));
  }
  return bytes;
}

FifoWriter::FifoWriter(const std::string& path)
    : fd_(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) {}

void FifoWriter::Write(absl::string_view line) {
  if (!fd_.is_open() || line.size() > PIPE_BUF) return;
  // Whole or not at all (pipe(7)); a full pipe means that nobody needs this line.
  (void)!write(fd_.get(), line.data(), line.size());
}

}  // namespace lockstep
