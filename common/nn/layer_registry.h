// The layers of the room common/nn/layers, by name. One file there is one entry; nothing else lists
// them.
#ifndef LOCKSTEP_COMMON_NN_LAYER_REGISTRY_H_
#define LOCKSTEP_COMMON_NN_LAYER_REGISTRY_H_

#include "common/nn/layer.h"

namespace lockstep {

// Sorted by name.
absl::Span<const LayerDef* const> Layers();
// INVALID_ARGUMENT at the node, with near names.
absl::StatusOr<const LayerDef*> FindLayer(const Node& node);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_LAYER_REGISTRY_H_
