// The optimizers of the room common/optim/optimizers, by name.
#ifndef LOCKSTEP_COMMON_OPTIM_OPTIMIZER_REGISTRY_H_
#define LOCKSTEP_COMMON_OPTIM_OPTIMIZER_REGISTRY_H_

#include "common/optim/optimizer.h"

namespace lockstep {

// Sorted by name.
absl::Span<const OptimizerDef* const> Optimizers();
// The optimizer that a node describes, options checked. INVALID_ARGUMENT at the node.
absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const Node& node);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_OPTIM_OPTIMIZER_REGISTRY_H_
