#include "common/data/format_registry.h"

#include "common/spec/registry.h"

namespace lockstep {

#define LOCKSTEP_ROOM_ENTRY(entry)    \
  namespace formats::entry {          \
  extern const DatasetFormatDef kDef; \
  }
#include "common/data/formats.room.inc"
#undef LOCKSTEP_ROOM_ENTRY

absl::Span<const DatasetFormatDef* const> DatasetFormats() {
  static constexpr const DatasetFormatDef* kRoom[] = {
#define LOCKSTEP_ROOM_ENTRY(entry) &formats::entry::kDef,
#include "common/data/formats.room.inc"
#undef LOCKSTEP_ROOM_ENTRY
  };
  return kRoom;
}

absl::StatusOr<const DatasetFormatDef*> FindDatasetFormat(const Node& node) {
  return FindInRoom(DatasetFormats(), "format", node);
}

}  // namespace lockstep
