#include "worker/train/owned_parameters.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/fingerprint.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/job_output.h"
#include "common/kernels/tree_sum.h"
#include "common/nn/initializers.h"

namespace lockstep {
namespace {

// The part of a variable that lies in a range of the flat buffer, as elements of the variable.
Range PartOf(const ParameterSet::Variable& variable, const Range& range) {
  const Range whole{variable.offset, variable.offset + variable.shape.elements()};
  const Range part = Intersection(whole, range);
  return {part.begin - variable.offset, part.end - variable.offset};
}

absl::StatusOr<const TensorView*> FindTensor(absl::Span<const TensorView> tensors,
                                             const std::string& name, const Shape& shape) {
  for (const TensorView& tensor : tensors) {
    if (tensor.name == name && tensor.shape == shape) return &tensor;
  }
  return absl::FailedPreconditionError(absl::StrCat("no '", name, "' of shape ", shape.ToString()));
}

}  // namespace

OwnedParameters::OwnedParameters(const Parts& parts)
    : parts_(parts), values_(parts.executor->At(parts.plan->slices().values)) {
  const float* const gradients = parts.executor->At(parts.plan->slices().gradients[0]);
  for (const OwnedModel& owned : parts.plan->owned()) {
    OptimizerRange update{.count = owned.own.size(),
                          .gradient = gradients + owned.own.begin,
                          .value = ValuesAt(owned.own.begin)};
    for (const Slice slot : owned.state) update.state.push_back(parts.executor->At(slot));
    updates_.push_back(std::move(update));
    std::vector<Range> bytes;
    for (const Range& range : owned.ranges) {
      bytes.push_back({range.begin * int64_t{sizeof(float)}, range.end * int64_t{sizeof(float)}});
    }
    value_bytes_.push_back(std::move(bytes));
  }
  PlanSnapshot();
}

void OwnedParameters::Initialize(uint64_t seed) {
  const std::vector<ParameterSet::Variable>& variables = parts_.graph->parameters->variables();
  Clear();
  for (size_t v = 0; v < variables.size(); ++v) {
    const ParameterSet::Variable& variable = variables[v];
    lockstep::Initialize(
        variable.initializer, variable.shape, {seed, static_cast<uint32_t>(v)},
        absl::MakeSpan(ValuesAt(variable.offset), static_cast<size_t>(variable.shape.elements())));
  }
}

// The gaps between variables are part of the fingerprint.
void OwnedParameters::Clear() {
  std::fill_n(values_, parts_.graph->parameters->elements(), 0.0f);
  for (OptimizerRange& update : updates_) {
    for (float* const slot : update.state) std::fill_n(slot, update.count, 0.0f);
  }
}

absl::Status OwnedParameters::Restore(const Checkpoint& checkpoint) {
  Clear();
  for (const ParameterSet::Variable& variable : parts_.graph->parameters->variables()) {
    LOCKSTEP_ASSIGN_OR_RETURN(const TensorView* const tensor,
                              FindTensor(checkpoint.values.tensors, variable.path, variable.shape));
    std::copy(tensor->values.begin(), tensor->values.end(), ValuesAt(variable.offset));
    if (!variable.trainable) continue;
    const OptimizerRange& update = updates_[variable.model];
    const Range own = parts_.plan->owned()[variable.model].own;
    const Range part = PartOf(variable, own);
    const absl::Span<const absl::string_view> slots =
        parts_.graph->models[variable.model].optimizer->state_slots();
    for (size_t k = 0; k < slots.size(); ++k) {
      LOCKSTEP_ASSIGN_OR_RETURN(const TensorView* const state,
                                FindTensor(checkpoint.optimizer.tensors,
                                           StateName(slots[k], variable.path), variable.shape));
      std::copy(state->values.begin() + part.begin, state->values.begin() + part.end,
                update.state[k] + (variable.offset + part.begin - own.begin));
    }
  }
  return absl::OkStatus();
}

absl::Status OwnedParameters::SetValues(absl::Span<const TensorView> tensors,
                                        absl::string_view name) {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<const TensorView*> matched,
                            MatchVariables(tensors, *parts_.graph, name));
  Clear();
  const std::vector<ParameterSet::Variable>& variables = parts_.graph->parameters->variables();
  for (size_t v = 0; v < variables.size(); ++v) {
    std::copy(matched[v]->values.begin(), matched[v]->values.end(), ValuesAt(variables[v].offset));
  }
  return absl::OkStatus();
}

absl::Status OwnedParameters::ReduceGradients(absl::Span<const size_t> models) {
  const TreeReduction whole{.buffer = &parts_.executor->shared(parts_.plan->slices().gradients[0]),
                            .stride = parts_.graph->parameters->trainable_elements()};
  for (const size_t model : models) {
    TreeReduction reduction = whole;
    reduction.owned = parts_.plan->owned()[model].ranges;
    LOCKSTEP_RETURN_IF_ERROR(parts_.communicator->ReduceScatterTree(reduction, *parts_.pool));
  }
  return absl::OkStatus();
}

bool OwnedParameters::GradientsFinite(absl::Span<const size_t> models) const {
  std::atomic<bool> finite = true;
  for (const size_t model : models) {
    const OptimizerRange& update = updates_[model];
    parts_.pool->Run(kernels::FlatUnits(update.count), [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kernels::kFlatBlock;
      const int64_t last = std::min(end * kernels::kFlatBlock, update.count);
      if (!kernels::AllFinite(update.gradient + first, last - first)) finite = false;
    });
  }
  return finite;
}

absl::Status OwnedParameters::Update(size_t phase, int64_t step) {
  for (const size_t model : parts_.plan->train()[phase].phase.updates) {
    const OptimizerRange& update = updates_[model];
    Optimizer& optimizer = *parts_.graph->models[model].optimizer;
    optimizer.BeginStep(UpdateNumber(model, phase, step));
    parts_.pool->Run(kernels::FlatUnits(update.count), [&](int64_t begin, int64_t end) {
      optimizer.Update(update, {begin, end});
    });
    LOCKSTEP_RETURN_IF_ERROR(parts_.communicator->AllGather(
        parts_.executor->shared(parts_.plan->slices().values), value_bytes_[model], *parts_.pool));
  }
  return absl::OkStatus();
}

// From 1, over all steps: a program may update a model in several phases of a step.
int64_t OwnedParameters::UpdateNumber(size_t model, size_t phase, int64_t step) const {
  int64_t each_step = 0, number = 0;
  for (size_t p = 0; p < parts_.plan->train().size(); ++p) {
    const std::vector<size_t>& updates = parts_.plan->train()[p].phase.updates;
    each_step += std::count(updates.begin(), updates.end(), model);
    if (p == phase) number = each_step;
  }
  return step * each_step + number;
}

uint64_t OwnedParameters::Fingerprint() const {
  return FingerprintOf64(
      BytesOf({values_, static_cast<size_t>(parts_.graph->parameters->elements())}));
}

std::vector<TensorView> OwnedParameters::Variables() const {
  std::vector<TensorView> views;
  for (const ParameterSet::Variable& variable : parts_.graph->parameters->variables()) {
    views.push_back({variable.path, variable.shape,
                     absl::MakeConstSpan(ValuesAt(variable.offset),
                                         static_cast<size_t>(variable.shape.elements()))});
  }
  return views;
}

// The order of StaticPlan::snapshot.
void OwnedParameters::PlanSnapshot() {
  float* copied = parts_.executor->At(parts_.plan->snapshot());
  snapshot_.owner = parts_.communicator->rank();
  const auto add = [&](const float* live, int64_t count) {
    copies_.push_back({live, copied, count});
    copied += count;
  };
  for (size_t m = 0; m < updates_.size(); ++m) {
    const OptimizerRange& update = updates_[m];
    AddPieces(m, "", copied);
    add(update.value, update.count);
    const absl::Span<const absl::string_view> slots =
        parts_.graph->models[m].optimizer->state_slots();
    for (size_t k = 0; k < slots.size(); ++k) {
      AddPieces(m, slots[k], copied);
      add(update.state[k], update.count);
    }
  }
  if (parts_.communicator->rank() != 0) return;
  const ParameterSet& parameters = *parts_.graph->parameters;
  const int64_t first = parameters.trainable_elements();
  for (const ParameterSet::Variable& variable : parameters.variables()) {
    if (variable.trainable) continue;
    snapshot_.pieces.push_back({.file = CheckpointFile::kValues,
                                .tensor = variable.path,
                                .first_element = 0,
                                .elements = {copied + (variable.offset - first),
                                             static_cast<size_t>(variable.shape.elements())}});
  }
  add(ValuesAt(first), parameters.elements() - first);
}

// `copied`: where the owned range of the model's values (empty slot) or state will be copied.
void OwnedParameters::AddPieces(size_t model, absl::string_view slot, const float* copied) {
  const Range own = parts_.plan->owned()[model].own;
  for (const ParameterSet::Variable& variable : parts_.graph->parameters->variables()) {
    if (variable.model != model || !variable.trainable) continue;
    const Range part = PartOf(variable, own);
    if (part.empty()) continue;
    snapshot_.pieces.push_back(
        {.file = slot.empty() ? CheckpointFile::kValues : CheckpointFile::kOptimizer,
         .tensor = slot.empty() ? variable.path : StateName(slot, variable.path),
         .first_element = part.begin,
         .elements = {copied + (variable.offset + part.begin - own.begin),
                      static_cast<size_t>(part.size())}});
  }
}

void OwnedParameters::TakeSnapshot() {
  for (const Copy& copy : copies_) {
    if (copy.count > 0) {
      std::memcpy(copy.snapshot, copy.live, static_cast<size_t>(copy.count) * sizeof(float));
    }
  }
}

}  // namespace lockstep
