// Metrics: per-sample values beside the loss. `accuracy` resolves by loss and output as in Keras:
// categorical compares the greatest class, binary the values above one half. On an output whose
// loss takes the logits the logits are compared.
#ifndef LOCKSTEP_COMMON_NN_METRICS_H_
#define LOCKSTEP_COMMON_NN_METRICS_H_

#include <string>

#include "absl/status/statusor.h"

#include "common/nn/loss.h"
#include "common/nn/step_builder.h"

namespace lockstep {

enum class MetricKind { kCategoricalAccuracy, kBinaryAccuracy };

// INVALID_ARGUMENT at the node where the metric is unknown or says nothing about this loss.
absl::StatusOr<MetricKind> MetricOf(const Node& metric, const LossDef& loss);

// Records value[slot] (f32 [blocks * 16]) of each sample: 1 or 0, for binary the share of right
// values.
void RecordMetric(StepBuilder& builder, MetricKind kind, const LossCall& call, bool from_logits,
                  Slice value);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_METRICS_H_
