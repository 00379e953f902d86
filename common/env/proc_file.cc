#include "common/env/proc_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

#include "common/env/unique_fd.h"

namespace lockstep {

absl::StatusOr<std::string> ReadProcFile(const std::string& path) {
  constexpr size_t kBytesMax = size_t{1} << 20;
  const auto failed = [&path] {
    return absl::ErrnoToStatus(errno, absl::StrCat("reading '", path, "'"));
  };
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return failed();
  std::string bytes;
  char buffer[4096];
  while (bytes.size() < kBytesMax) {
    const ssize_t count = read(fd.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed();
    if (count == 0) break;
    bytes.append(buffer, static_cast<size_t>(count));
  }
  return bytes;
}

}  // namespace lockstep
