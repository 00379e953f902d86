// FindInRoom: the entry of a room that a node names. A room is a sorted list of pointers to
// definitions with a `name`.
#ifndef LOCKSTEP_COMMON_SPEC_REGISTRY_H_
#define LOCKSTEP_COMMON_SPEC_REGISTRY_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/spec/options.h"

namespace lockstep {

// INVALID_ARGUMENT at the node, naming `what` ("layer") and the near names.
template <typename Def>
absl::StatusOr<const Def*> FindInRoom(absl::Span<const Def* const> room, absl::string_view what,
                                      const Node& node) {
  std::vector<absl::string_view> names;
  for (const Def* def : room) {
    if (def->name == node.type) return def;
    names.push_back(def->name);
  }
  return node.UnknownType(what, names);
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_REGISTRY_H_
