// Facts about this machine and what this process may do on it. Thread: any. Errors: NOT_FOUND from
// FindProgram.
#ifndef LOCKSTEP_COMMON_ENV_HOST_H_
#define LOCKSTEP_COMMON_ENV_HOST_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lockstep {

// Hardware threads that this process may keep busy: those of its affinity mask (mpirun's binding),
// no more than the quota of its cgroups, rounded up; at least 1.
int UsableCores();

// Whether processes of one user may read each other's memory: no Yama restriction, and no filter on
// process_vm_readv.
bool CanReadMemoryOfPeers();

// Memory that this process and its children could still get: what the kernel calls available,
// within the limits of their cgroup (version 2).
int64_t AvailableMemoryBytes();

// This host's name, for messages.
std::string HostName();

// The executable that PATH leads to, absolute.
absl::StatusOr<std::string> FindExecutable(absl::string_view name);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_HOST_H_
