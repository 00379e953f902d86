#include "coordinator/launch/host_facts.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/env/host.h"
#include "common/env/process_runner.h"
#include "coordinator/launch/launch_helper.h"

namespace lockstep {
namespace {

absl::StatusOr<std::string> FindInstalled(const char* program, const char* package) {
  absl::StatusOr<std::string> path = FindExecutable(program);
  if (path.ok()) return path;
  return absl::NotFoundError(absl::StrCat("launcher local: '", program,
                                          "' is not in PATH; install the package ", package));
}

}  // namespace

absl::StatusOr<HostFacts> FindHostFacts() {
  HostFacts facts;
  facts.cores = UsableCores();
  facts.root = geteuid() == 0;
  facts.cma_allowed = CanReadMemoryOfPeers();
  LOCKSTEP_ASSIGN_OR_RETURN(facts.mpirun, FindInstalled("mpirun", "openmpi-bin"));
  LOCKSTEP_ASSIGN_OR_RETURN(facts.setpriv, FindInstalled("setpriv", "util-linux"));
  facts.base_environment = CurrentEnvironment();
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string self, CurrentProgram());
  facts.helper_command = {self, kLaunchHelperCommand};
  return facts;
}

}  // namespace lockstep
