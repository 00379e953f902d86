#include "coordinator/launch/launcher_registry.h"

#include <string>

#include "absl/strings/str_cat.h"

#define LOCKSTEP_ROOM_ENTRY(name)       \
  namespace lockstep::launchers::name { \
  extern const LauncherDef kDef;        \
  }
#include "coordinator/launch/launchers.room.inc"
#undef LOCKSTEP_ROOM_ENTRY

namespace lockstep {
namespace {

#define LOCKSTEP_ROOM_ENTRY(name) &launchers::name::kDef,
constexpr const LauncherDef* kLaunchers[] = {
#include "coordinator/launch/launchers.room.inc"
};
#undef LOCKSTEP_ROOM_ENTRY

}  // namespace

std::span<const LauncherDef* const> AllLaunchers() { return kLaunchers; }

absl::StatusOr<const LauncherDef*> FindLauncher(absl::string_view name) {
  std::string known;
  for (const LauncherDef* def : kLaunchers) {
    if (def->name == name) return def;
    absl::StrAppend(&known, known.empty() ? "" : ", ", def->name);
  }
  return absl::NotFoundError(
      absl::StrCat("launcher: '", name, "' is not known; use one of: ", known));
}

}  // namespace lockstep
