#include "common/nn/loss_registry.h"

#include "common/spec/registry.h"

namespace lockstep {

#define LOCKSTEP_ROOM_ENTRY(entry) \
  namespace losses::entry {        \
  extern const LossDef kDef;       \
  }
#include "common/nn/losses.room.inc"
#undef LOCKSTEP_ROOM_ENTRY

absl::Span<const LossDef* const> Losses() {
  static constexpr const LossDef* kRoom[] = {
#define LOCKSTEP_ROOM_ENTRY(entry) &losses::entry::kDef,
#include "common/nn/losses.room.inc"
#undef LOCKSTEP_ROOM_ENTRY
  };
  return kRoom;
}

absl::StatusOr<const LossDef*> FindLoss(const Node& node) {
  return FindInRoom(Losses(), "loss", node);
}

}  // namespace lockstep
