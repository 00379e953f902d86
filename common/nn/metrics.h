// Metrics: per-sample values beside the loss. `accuracy` resolves as in Keras: an output of one
// value is right on the target's side of one half, of several values (or classes) where the
// greatest one is; docs/NUMERICS.md#6-losses-metrics-optimizers.
#ifndef LOCKSTEP_COMMON_NN_METRICS_H_
#define LOCKSTEP_COMMON_NN_METRICS_H_

#include <string>

#include "absl/status/statusor.h"

#include "common/nn/loss.h"
#include "common/nn/step_builder.h"

namespace lockstep {

enum class MetricKind { kCategoricalAccuracy, kBinaryAccuracy };

// `output`: the shape of one sample's. INVALID_ARGUMENT at the node where the metric is unknown or
// says nothing about this loss or output.
absl::StatusOr<MetricKind> MetricOf(const Node& metric, const LossDef& loss, const Shape& output);

// Records value[slot] (f32 [blocks * 16]) of each sample: 1 or 0, for binary the share of right
// values. Where the loss takes the logits behind a sigmoid, they stand for it.
void RecordMetric(StepBuilder& builder, MetricKind kind, const LossCall& call, Slice value);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_METRICS_H_
