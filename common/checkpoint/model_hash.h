// ModelSha256: the hash that the lockstep contract is about; docs/NUMERICS.md#8-the-hash. Thread:
// pure. Errors: none.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_MODEL_HASH_H_
#define LOCKSTEP_COMMON_CHECKPOINT_MODEL_HASH_H_

#include <string>

#include "absl/types/span.h"

#include "common/checkpoint/tensor_view.h"

namespace lockstep {

// `variables`: all of them, trainable or not, models by name, each model in Keras' weight order. 64
// lower-case digits.
std::string ModelSha256(absl::Span<const TensorView> variables);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_MODEL_HASH_H_
