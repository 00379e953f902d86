#include "common/checkpoint/exporter_registry.h"

#include "common/spec/registry.h"

namespace lockstep {

#define LOCKSTEP_ROOM_ENTRY(entry) \
  namespace exporters::entry {     \
  extern const ExporterDef kDef;   \
  }
#include "common/checkpoint/exporters.room.inc"
#undef LOCKSTEP_ROOM_ENTRY

absl::Span<const ExporterDef* const> Exporters() {
  static constexpr const ExporterDef* kRoom[] = {
#define LOCKSTEP_ROOM_ENTRY(entry) &exporters::entry::kDef,
#include "common/checkpoint/exporters.room.inc"
#undef LOCKSTEP_ROOM_ENTRY
  };
  return kRoom;
}

absl::StatusOr<const ExporterDef*> FindExporter(absl::string_view name) {
  Node node;
  node.type = std::string(name);
  node.where = "output.formats";
  return FindInRoom(Exporters(), "format", node);
}

}  // namespace lockstep
