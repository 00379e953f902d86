#include "common/optim/optimizer_registry.h"

#include "common/base/status_macros.h"
#include "common/spec/registry.h"

namespace lockstep {

#define LOCKSTEP_ROOM_ENTRY(entry) \
  namespace optimizers::entry {    \
  extern const OptimizerDef kDef;  \
  }
#include "common/optim/optimizers.room.inc"
#undef LOCKSTEP_ROOM_ENTRY

absl::Span<const OptimizerDef* const> Optimizers() {
  static constexpr const OptimizerDef* kRoom[] = {
#define LOCKSTEP_ROOM_ENTRY(entry) &optimizers::entry::kDef,
#include "common/optim/optimizers.room.inc"
#undef LOCKSTEP_ROOM_ENTRY
  };
  return kRoom;
}

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const Node& node) {
  LOCKSTEP_ASSIGN_OR_RETURN(const OptimizerDef* const def,
                            FindInRoom(Optimizers(), "optimizer", node));
  LOCKSTEP_ASSIGN_OR_RETURN(const Options options,
                            CheckOptions(def->options, node.options, node.OptionsWhere()));
  return def->make(options);
}

}  // namespace lockstep
