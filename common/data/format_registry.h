// The data formats of the room common/data/formats, by name.
#ifndef LOCKSTEP_COMMON_DATA_FORMAT_REGISTRY_H_
#define LOCKSTEP_COMMON_DATA_FORMAT_REGISTRY_H_

#include "common/data/dataset_format.h"

namespace lockstep {

// Sorted by name.
absl::Span<const DatasetFormatDef* const> DatasetFormats();
// INVALID_ARGUMENT at the node, with near names.
absl::StatusOr<const DatasetFormatDef*> FindDatasetFormat(const Node& node);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_FORMAT_REGISTRY_H_
