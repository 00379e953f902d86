// The launchers of the room coordinator/launch/launchers, by file name.
// Thread: any. Errors: NOT_FOUND with the names there are.
#ifndef LOCKSTEP_COORDINATOR_LAUNCH_LAUNCHER_REGISTRY_H_
#define LOCKSTEP_COORDINATOR_LAUNCH_LAUNCHER_REGISTRY_H_

#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "coordinator/launch/launcher.h"

namespace lockstep {

std::span<const LauncherDef* const> AllLaunchers();  // in the order of their names
absl::StatusOr<const LauncherDef*> FindLauncher(absl::string_view name);

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_LAUNCH_LAUNCHER_REGISTRY_H_
