// CpuQuota: how many cores' worth of time the cgroups of a process allow it, versions 2 and 1.
// Thread: any. Errors: none; a file that is not there limits nothing.
#ifndef LOCKSTEP_COMMON_ENV_CPU_QUOTA_H_
#define LOCKSTEP_COMMON_ENV_CPU_QUOTA_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace lockstep {

// The least quota of the process's cgroup and those above it, in cores (1.5: three halves); empty:
// none. `own`: the text of /proc/self/cgroup; `root`: "/sys/fs/cgroup".
std::optional<double> CpuQuota(absl::string_view own, absl::string_view root);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_CPU_QUOTA_H_
