#include "common/nn/metrics.h"

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/kernels/losses.h"

namespace lockstep {
namespace {

using kernels::kBlockLanes;

void RecordArgMax(StepBuilder& builder, const std::string& label, int64_t features, Slice x,
                  Slice index) {
  const int64_t blocks = builder.geometry().blocks;
  builder.Call({.label = label}, [=](const Binder& at) {
    const kernels::ArgMaxArgs args{blocks, features, at.At(x), at.At<int32_t>(index)};
    return BindKernel(&kernels::ArgMax, args, blocks);
  });
}

void RecordCategorical(StepBuilder& builder, const LossCall& call, Slice value) {
  const int64_t slots = int64_t{kBlockLanes} * builder.geometry().blocks;
  const int64_t features = call.shape.elements();
  const Slice predicted = builder.Allocate(slots * 4);
  RecordArgMax(builder, call.label + "/argmax", features, call.output, predicted);
  Slice expected = call.labels;
  if (!expected.valid()) {
    expected = builder.Allocate(slots * 4);
    RecordArgMax(builder, call.label + "/argmax", features, call.target, expected);
  }
  builder.Call({.label = call.label + "/accuracy"}, [=](const Binder& at) {
    const int32_t* const a = at.At<int32_t>(predicted);
    const int32_t* const b = at.At<int32_t>(expected);
    float* const out = at.At(value);
    return BoundCall{1, [=](kernels::UnitRange) {
                       for (int64_t s = 0; s < slots; ++s) out[s] = a[s] == b[s] ? 1.0f : 0.0f;
                     }};
  });
}

void RecordBinary(StepBuilder& builder, const LossCall& call, float threshold, Slice value) {
  const int64_t blocks = builder.geometry().blocks;
  const int64_t features = call.shape.elements();
  builder.Call({.label = call.label + "/accuracy"}, [=](const Binder& at) {
    const float* const y = at.At(call.output);
    const float* const t = at.At(call.target);
    float* const out = at.At(value);
    return BoundCall{
        blocks, [=](kernels::UnitRange units) {
          for (int64_t slot = units.begin * kBlockLanes; slot < units.end * kBlockLanes; ++slot) {
            const int64_t base = slot / kBlockLanes * features * kBlockLanes + slot % kBlockLanes;
            int64_t right = 0;
            for (int64_t k = 0; k < features; ++k) {
              const int64_t at_k = base + k * kBlockLanes;
              right += (y[at_k] > threshold) == (t[at_k] > 0.5f) ? 1 : 0;
            }
            out[slot] = static_cast<float>(right) / static_cast<float>(features);
          }
        }};
  });
}

}  // namespace

absl::StatusOr<MetricKind> MetricOf(const Node& metric, const LossDef& loss, const Shape& output) {
  static constexpr absl::string_view kKnown[] = {"accuracy"};
  if (metric.type != "accuracy") return metric.UnknownType("metric", kKnown);
  LOCKSTEP_RETURN_IF_ERROR(CheckOptions({}, metric.options, metric.OptionsWhere()).status());
  if (loss.accuracy == "categorical") return MetricKind::kCategoricalAccuracy;
  if (loss.accuracy == "binary" && output.back() == 1) return MetricKind::kBinaryAccuracy;
  if (loss.accuracy == "binary" && output.ndim() == 1) return MetricKind::kCategoricalAccuracy;
  if (loss.accuracy == "binary") {
    return metric.Error(absl::StrCat("takes one value or one row of values a sample, not ",
                                     output.ToString(), "; remove it"));
  }
  return metric.Error(
      absl::StrCat("says nothing about loss '", loss.name, "'; remove it or use a cross-entropy"));
}

void RecordMetric(StepBuilder& builder, MetricKind kind, const LossCall& call, Slice value) {
  switch (kind) {
    case MetricKind::kCategoricalAccuracy:
      return RecordCategorical(builder, call, value);
    case MetricKind::kBinaryAccuracy:
      return RecordBinary(builder, call, call.logits ? 0.0f : 0.5f, value);
  }
}

}  // namespace lockstep
