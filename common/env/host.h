// Facts about this machine and what this process may do on it. Thread: any. Errors: NOT_FOUND from
// FindProgram.
#ifndef LOCKSTEP_COMMON_ENV_HOST_H_
#define LOCKSTEP_COMMON_ENV_HOST_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lockstep {

// Hardware threads in this process's affinity mask; at least 1.
int UsableCores();

// Whether processes of one user may read each other's memory: no Yama restriction, and no filter on
// process_vm_readv.
bool CanReadMemoryOfPeers();

// The executable that PATH leads to, absolute.
absl::StatusOr<std::string> FindProgram(absl::string_view name);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_HOST_H_
