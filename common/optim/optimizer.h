// Optimizer: updates an owned range of parameters in place from its gradient; the state lives with
// the owner. OptimizerDef: one file of the room common/optim/optimizers each. Elementwise only, so
// ownership ranges cannot change a bit. Thread: BeginStep on the trainer; Update on the compute
// threads with disjoint units.
#ifndef LOCKSTEP_COMMON_OPTIM_OPTIMIZER_H_
#define LOCKSTEP_COMMON_OPTIM_OPTIMIZER_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/kernels/block.h"
#include "common/spec/options.h"

namespace lockstep {

// One contiguous range of parameters with its gradient and state; `state` has one pointer per slot.
struct OptimizerRange {
  int64_t count = 0;
  const float* gradient = nullptr;
  float* value = nullptr;
  std::vector<float*> state;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // Names of the state arrays, each as long as the range and starting at +0: {"m", "v"}.
  virtual absl::Span<const absl::string_view> state_slots() const = 0;
  // Computes the scalars of update `t`, counted from 1, in double, rounded once.
  virtual void BeginStep(int64_t t) = 0;
  // Units: blocks of 4,096 elements (kernels::FlatUnits).
  virtual void Update(const OptimizerRange& range, kernels::UnitRange units) const = 0;
};

struct OptimizerDef {
  absl::string_view name;
  absl::string_view summary;
  absl::Span<const OptionDoc> options;
  absl::StatusOr<std::unique_ptr<Optimizer>> (*make)(const Options& options);
  absl::Span<const absl::string_view>
      examples;  // options in job-file form, for the conformance suite
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_OPTIM_OPTIMIZER_H_
