// The losses of the room common/nn/losses, by name.
#ifndef LOCKSTEP_COMMON_NN_LOSS_REGISTRY_H_
#define LOCKSTEP_COMMON_NN_LOSS_REGISTRY_H_

#include "common/nn/loss.h"

namespace lockstep {

// Sorted by name.
absl::Span<const LossDef* const> Losses();
// INVALID_ARGUMENT at the node, with near names.
absl::StatusOr<const LossDef*> FindLoss(const Node& node);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_LOSS_REGISTRY_H_
