#include "common/nn/layer_registry.h"

#include "common/spec/registry.h"

namespace lockstep {

#define LOCKSTEP_ROOM_ENTRY(entry) \
  namespace layers::entry {        \
  extern const LayerDef kDef;      \
  }
#include "common/nn/layers.room.inc"
#undef LOCKSTEP_ROOM_ENTRY

absl::Span<const LayerDef* const> Layers() {
  static constexpr const LayerDef* kRoom[] = {
#define LOCKSTEP_ROOM_ENTRY(entry) &layers::entry::kDef,
#include "common/nn/layers.room.inc"
#undef LOCKSTEP_ROOM_ENTRY
  };
  return kRoom;
}

absl::StatusOr<const LayerDef*> FindLayer(const Node& node) {
  return FindInRoom(Layers(), "layer", node);
}

}  // namespace lockstep
