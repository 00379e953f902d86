// Initializers: how a variable starts, Keras' names and defaults. A value is a function of (seed,
// index of the variable in the job, element); docs/NUMERICS.md#4-random-numbers.
// Thread: pure. Errors: INVALID_ARGUMENT at the node.
#ifndef LOCKSTEP_COMMON_NN_INITIALIZERS_H_
#define LOCKSTEP_COMMON_NN_INITIALIZERS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/spec/options.h"
#include "common/tensor/shape.h"

namespace lockstep {

// What random values of one variable are keyed by.
struct VariableKey {
  uint64_t seed = 0;      // of the job
  uint32_t variable = 0;  // index among all variables of the job (ParameterSet::variables)
};

struct InitializerDef {
  absl::string_view name;
  absl::string_view summary;
  absl::Span<const OptionDoc> options;
  // INVALID_ARGUMENT where it cannot fill this shape; the caller adds where.
  absl::Status (*check)(const Options& options, const Shape& shape);
  // `out`: shape.elements() floats, row-major.
  void (*fill)(const Options& options, const Shape& shape, const VariableKey& key,
               absl::Span<float> out);
};

// Sorted by name.
absl::Span<const InitializerDef* const> Initializers();

// Whether `node` is an initializer that can fill `shape`.
absl::Status CheckInitializer(const Node& node, const Shape& shape);
// Fills `out`; the node must have passed CheckInitializer.
void Initialize(const Node& node, const Shape& shape, const VariableKey& key,
                absl::Span<float> out);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_INITIALIZERS_H_
