// HostFacts: what a launcher needs to know of this machine, found out once so that Launcher::Plan
// stays pure. Thread: any. Errors: NOT_FOUND naming the program that is missing and the package
// that has it.
#ifndef LOCKSTEP_COORDINATOR_LAUNCH_HOST_FACTS_H_
#define LOCKSTEP_COORDINATOR_LAUNCH_HOST_FACTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lockstep {

struct HostFacts {
  int cores = 1;  // that this process may use
  bool root = false;
  bool cma_allowed =
      true;  // processes of this user may read each other's memory (process_vm_readv)
  std::string mpirun = "mpirun";
  std::string setpriv = "setpriv";
  std::string shared_memory_directory = "/dev/shm";
  std::vector<std::string> base_environment = {};  // the caller's own
  std::vector<std::string> helper_command =
      {};  // runs LaunchHelperMain, e.g. {"/usr/bin/lockstep", "__launch-helper"}
};

// For a caller whose own program runs LaunchHelperMain on kLaunchHelperCommand.
absl::StatusOr<HostFacts> FindHostFacts();

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_LAUNCH_HOST_FACTS_H_
