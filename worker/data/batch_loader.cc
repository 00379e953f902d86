#include "worker/data/batch_loader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace lockstep {
namespace {

template <typename T>
T Load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

int64_t IntegerAt(kernels::SampleType type, const std::byte* bytes) {
  switch (type) {
    case kernels::SampleType::kU8:
      return Load<uint8_t>(bytes);
    case kernels::SampleType::kI8:
      return Load<int8_t>(bytes);
    case kernels::SampleType::kU16:
      return Load<uint16_t>(bytes);
    case kernels::SampleType::kI16:
      return Load<int16_t>(bytes);
    case kernels::SampleType::kI32:
      return Load<int32_t>(bytes);
    case kernels::SampleType::kI64:
      return Load<int64_t>(bytes);
    case kernels::SampleType::kF32:
    case kernels::SampleType::kF64:
      break;  // MatchData has refused labels of these
  }
  LOCKSTEP_CHECK(false);
  return 0;
}

double RealAt(kernels::SampleType type, const std::byte* bytes) {
  if (type == kernels::SampleType::kF32) return static_cast<double>(Load<float>(bytes));
  LOCKSTEP_CHECK(type == kernels::SampleType::kF64);
  return Load<double>(bytes);
}

}  // namespace

BatchLoader::BatchLoader(const Dataset& dataset, const JobGraph& graph,
                         const std::map<int64_t, double>& class_weight,
                         const BatchGeometry& geometry, Feed feed)
    : dataset_(dataset),
      graph_(graph),
      geometry_(geometry),
      feed_(std::move(feed)),
      samples_(static_cast<size_t>(geometry.blocks) * kernels::kBlockLanes, -1) {
  for (const JobOutput& output : graph.outputs) {
    const Model& model = *graph.models[output.model].model;
    const Shape& shape = model.tensors()[model.outputs()[output.output]].shape;
    const bool labels = output.loss->target_kind() == TargetKind::kLabels;
    classes_.push_back(labels ? shape.back() : 0);
  }
  if (!class_weight.empty()) {
    const int64_t classes = *std::max_element(classes_.begin(), classes_.end());
    class_weight_.assign(static_cast<size_t>(classes), 1.0);
    for (const auto& [label, weight] : class_weight) {
      if (label < classes) class_weight_[static_cast<size_t>(label)] = weight;
    }
  }
  sample_.resize(sizeof(double));
}

absl::Status BatchLoader::Load(const ShardPlan& plan, const BatchSpan& batch) {
  const auto divisor = static_cast<double>(batch.count);
  std::fill(samples_.begin(), samples_.end(), -1);
  for (size_t o = 0; o < graph_.outputs.size(); ++o) {
    std::fill_n(feed_.seeds[o], samples_.size(), 0.0f);
    std::fill_n(feed_.weights[o], samples_.size(), 0.0f);
    if (feed_.labels[o] != nullptr) std::fill_n(feed_.labels[o], samples_.size(), 0);
  }
  for (int64_t shard = 0; shard < geometry_.shards; ++shard) {
    const int64_t positions = geometry_.shard_positions;
    const int32_t count = ShardCount(batch.count, positions, geometry_.first_shard + shard);
    feed_.shard_count[shard] = count;
    const int64_t first = (geometry_.first_shard + shard) * positions;
    for (int64_t k = 0; k < geometry_.shard_slots; ++k) {
      const int64_t slot = shard * geometry_.shard_slots + k;
      feed_.batch_position[slot] = static_cast<int32_t>(k < count ? first + k : 0);
      if (k >= count) continue;
      const int64_t sample = plan.SampleAt(batch, first + k);
      samples_[static_cast<size_t>(slot)] = sample;
      LOCKSTEP_RETURN_IF_ERROR(LoadSlot(slot, sample, divisor));
    }
  }
  return absl::OkStatus();
}

absl::Status BatchLoader::LoadSlot(int64_t slot, int64_t sample, double divisor) {
  for (size_t i = 0; i < dataset_.inputs.size(); ++i) {
    const Column& column = *dataset_.inputs[i];
    LOCKSTEP_RETURN_IF_ERROR(
        column.Read(sample, feed_.input_rows[i] + slot * column.sample_bytes()));
  }
  double sample_weight = 1.0;
  if (dataset_.weights != nullptr) {
    LOCKSTEP_RETURN_IF_ERROR(dataset_.weights->Read(sample, sample_.data()));
    sample_weight = RealAt(dataset_.weights->field().type, sample_.data());
  }
  for (size_t o = 0; o < graph_.outputs.size(); ++o) {
    if (graph_.outputs[o].has_target) LOCKSTEP_RETURN_IF_ERROR(LoadTarget(o, slot, sample));
    double weight = sample_weight;
    if (feed_.labels[o] != nullptr && !class_weight_.empty()) {
      const auto label = static_cast<size_t>(feed_.labels[o][slot]);
      if (label < class_weight_.size()) weight *= class_weight_[label];
    }
    feed_.weights[o][slot] = static_cast<float>(weight);
    // The seed of docs/NUMERICS.md section 6.
    feed_.seeds[o][slot] = static_cast<float>(static_cast<double>(feed_.weights[o][slot]) *
                                              graph_.outputs[o].loss_weight / divisor);
  }
  return absl::OkStatus();
}

absl::Status BatchLoader::LoadTarget(size_t output, int64_t slot, int64_t sample) {
  const Column& column = *dataset_.targets[output];
  if (feed_.labels[output] == nullptr) {
    return column.Read(sample, feed_.target_rows[output] + slot * column.sample_bytes());
  }
  LOCKSTEP_RETURN_IF_ERROR(column.Read(sample, sample_.data()));
  const int64_t label = IntegerAt(column.field().type, sample_.data());
  if (label < 0 || label >= classes_[output]) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sample ", sample, " has label ", label, " of '", column.field().name, "', outside 0 to ",
        classes_[output] - 1, "; correct the data or the model's last layer"));
  }
  feed_.labels[output][slot] = static_cast<int32_t>(label);
  return absl::OkStatus();
}

}  // namespace lockstep
