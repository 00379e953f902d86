#include "common/env/host.h"

#include <sched.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "common/env/cpu_quota.h"
#include "common/env/proc_file.h"

namespace lockstep {

namespace {

int AllowedCores() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace

int UsableCores() {
  const int cores = std::max(1, AllowedCores());
  const absl::StatusOr<std::string> own = ReadProcFile("/proc/self/cgroup");
  const std::optional<double> quota =
      own.ok() ? CpuQuota(*own, "/sys/fs/cgroup") : std::optional<double>();
  // A part of a core is worth a thread: two threads on one and a half cores do more than one.
  if (!quota.has_value() || *quota >= cores) return cores;
  return std::max(1, static_cast<int>(std::ceil(*quota)));
}

bool CanReadMemoryOfPeers() {
  // Yama 1 and above lets only parents and debuggers read; ranks are siblings.
  const absl::StatusOr<std::string> yama = ReadProcFile("/proc/sys/kernel/yama/ptrace_scope");
  if (yama.ok() && absl::StripAsciiWhitespace(*yama) != "0") return false;
  // A container's filter refuses the call whatever it reads, so reading ourselves tells.
  char from = 1, to = 0;
  const iovec remote = {&from, 1};
  const iovec local = {&to, 1};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

namespace {

// "MemAvailable:   1234 kB" -> bytes; -1 where it is not there.
int64_t MemInfoBytes(absl::string_view text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, key) || !absl::ConsumePrefix(&line, ":")) continue;
    line = absl::StripAsciiWhitespace(line);
    int64_t kilobytes = 0;
    if (absl::ConsumeSuffix(&line, " kB") && absl::SimpleAtoi(line, &kilobytes)) {
      return kilobytes * 1024;
    }
  }
  return -1;
}

// A number of a cgroup file; -1 for "max" and where there is none.
int64_t CgroupNumber(absl::string_view directory, absl::string_view file) {
  const absl::StatusOr<std::string> text = ReadProcFile(absl::StrCat(directory, "/", file));
  int64_t number = -1;
  if (!text.ok() || !absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &number)) return -1;
  return number;
}

// What the limits of this process's cgroup and those above it leave; `bytes` where there are none.
int64_t WithinCgroup(int64_t bytes) {
  const absl::StatusOr<std::string> own = ReadProcFile("/proc/self/cgroup");
  if (!own.ok()) return bytes;
  for (absl::string_view line : absl::StrSplit(*own, '\n')) {
    if (!absl::ConsumePrefix(&line, "0::")) continue;
    for (std::string path(line); !path.empty(); path.resize(path.rfind('/'))) {
      const std::string directory = absl::StrCat("/sys/fs/cgroup", path);
      const int64_t limit = CgroupNumber(directory, "memory.max");
      const int64_t used = CgroupNumber(directory, "memory.current");
      if (limit >= 0 && used >= 0) bytes = std::min(bytes, std::max<int64_t>(limit - used, 0));
      if (path.rfind('/') == std::string::npos) break;
    }
  }
  return bytes;
}

}  // namespace

int64_t AvailableMemoryBytes() {
  const absl::StatusOr<std::string> info = ReadProcFile("/proc/meminfo");
  const int64_t bytes = info.ok() ? MemInfoBytes(*info, "MemAvailable") : -1;
  return WithinCgroup(bytes < 0 ? std::numeric_limits<int64_t>::max() : bytes);
}

std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return "unknown";
  return name;
}

absl::StatusOr<std::string> FindExecutable(absl::string_view name) {
  const char* path = std::getenv("PATH");
  for (const absl::string_view directory :
       absl::StrSplit(path == nullptr ? "/usr/bin:/bin" : path, ':', absl::SkipEmpty())) {
    const std::string candidate = absl::StrCat(directory, "/", name);
    std::error_code error;
    if (std::filesystem::is_regular_file(candidate, error) &&
        access(candidate.c_str(), X_OK) == 0) {
      return std::filesystem::absolute(candidate, error).string();
    }
  }
  return absl::NotFoundError(absl::StrCat("'", name, "' is not in PATH"));
}

}  // namespace lockstep
