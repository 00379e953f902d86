// Loss: one output's loss and its gradient. LossDef: schema, factory and test examples, one file of
// the room common/nn/losses each. Orders and the seed (weight / divisor):
// docs/NUMERICS.md#6-losses-metrics-optimizers. Thread: the one that plans.
#ifndef LOCKSTEP_COMMON_NN_LOSS_H_
#define LOCKSTEP_COMMON_NN_LOSS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/kernels/losses.h"
#include "common/nn/step_builder.h"
#include "common/spec/options.h"
#include "common/tensor/shape.h"

namespace lockstep {

// What the targets of an output hold.
enum class TargetKind {
  kLabels,  // int32 class index per slot
  kValues,  // the output's shape, [blocks][elements][16]
};

// One output's part of a step. Slices: seed, loss f32 [blocks * 16]; d_output and output
// [blocks][elements][16].
struct LossCall {
  std::string label;  // the output's name
  Slice output;       // logits where the loss takes them
  bool logits = false;
  Shape shape;   // of one sample's output
  Slice labels;  // for kLabels
  Slice target;  // for kValues
  Slice seed;
  Slice d_output;  // invalid: evaluation only
  Slice loss;
};

class Loss {
 public:
  virtual ~Loss() = default;
  virtual TargetKind target_kind() const = 0;
  // Whether the loss takes the logits of an output that ends in this activation ("softmax",
  // "sigmoid", or "").
  virtual bool TakesLogitsOf(absl::string_view /*activation*/) const { return false; }
  // INVALID_ARGUMENT where the output's shape does not fit; the caller adds where.
  virtual absl::Status CheckOutput(const Shape& /*output*/) const { return absl::OkStatus(); }
  virtual void Record(StepBuilder& builder, const LossCall& call) const = 0;
};

using LossKernel = void (*)(const kernels::LossArgs&, kernels::UnitRange);

// Records one loss kernel over call.output.
void RecordLoss(StepBuilder& builder, const LossCall& call, LossKernel kernel);

// The losses over classes take one probability or logit per class from each sample.
absl::Status CheckClassOutput(const Shape& output, int64_t classes_min);

struct LossDef {
  absl::string_view name;
  absl::string_view summary;
  absl::Span<const OptionDoc> options;
  absl::StatusOr<std::unique_ptr<Loss>> (*make)(const Options& options);
  // The metric that `accuracy` means with this loss.
  absl::string_view accuracy;  // "categorical", "binary" or "" (none)
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_LOSS_H_
