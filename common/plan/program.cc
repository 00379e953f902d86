#include "common/plan/program.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/spec/registry.h"

namespace lockstep {

#define LOCKSTEP_ROOM_ENTRY(entry) \
  namespace programs::entry {      \
  extern const ProgramDef kDef;    \
  }
#include "common/plan/programs.room.inc"
#undef LOCKSTEP_ROOM_ENTRY

absl::Span<const ProgramDef* const> Programs() {
  static constexpr const ProgramDef* kRoom[] = {
#define LOCKSTEP_ROOM_ENTRY(entry) &programs::entry::kDef,
#include "common/plan/programs.room.inc"
#undef LOCKSTEP_ROOM_ENTRY
  };
  return kRoom;
}

absl::StatusOr<const ProgramDef*> FindProgram(const Node& node) {
  return FindInRoom(Programs(), "program", node);
}

absl::StatusOr<const ProgramDef*> FindProgram(absl::string_view name) {
  return FindProgram(Node{.type = std::string(name), .where = "program"});
}

std::unique_ptr<StepBuilder> ProgramContext::NewBuilder() const {
  return std::make_unique<StepBuilder>(geometry, run_inputs, temporaries_);
}

Slice ProgramContext::RecordInput(StepBuilder& builder, size_t input) const {
  const DataField& field = data_.inputs[input];
  const int64_t elements = field.shape.elements();
  const Slice rows = feed.input_rows[input];
  const Slice x = builder.AllocateActivation(elements);
  const auto scale = static_cast<float>(preprocess_.scale);
  const auto offset = static_cast<float>(preprocess_.offset);
  const double slots = static_cast<double>(builder.geometry().blocks) * kernels::kBlockLanes;
  const double sample_bytes = 4.0 + static_cast<double>(kernels::SampleTypeBytes(field.type));
  builder.Call({.label = absl::StrCat(field.name, "/decode"),
                .shapes = field.shape.ToWords(),
                .bytes = slots * static_cast<double>(elements) * sample_bytes,
                .checked = x,
                .features = elements},
               [=, &builder, type = field.type](const Binder& at) {
                 const kernels::DecodeArgs args{builder.geometry().blocks,
                                                elements,
                                                builder.Slots(at),
                                                type,
                                                at.At<std::byte>(rows),
                                                scale,
                                                offset,
                                                at.At(x)};
                 return BindKernel(&kernels::Decode, args, kernels::DecodeUnits(args));
               });
  return x;
}

std::vector<Slice> ProgramContext::RecordInputsOf(StepBuilder& builder, size_t model) const {
  const Model& m = *graph_.models[model].model;
  std::vector<Slice> inputs;
  for (size_t i = 0; i < m.input_count(); ++i) {
    const auto field = std::find_if(
        data_.inputs.begin(), data_.inputs.end(),
        [&](const DataField& candidate) { return candidate.name == m.tensors()[i].name; });
    LOCKSTEP_CHECK(field != data_.inputs.end());  // the planner has matched the names
    inputs.push_back(RecordInput(builder, static_cast<size_t>(field - data_.inputs.begin())));
  }
  return inputs;
}

Model::Pass ProgramContext::RecordForward(StepBuilder& builder, size_t model,
                                          std::vector<Slice> inputs, bool training) {
  const JobModel& job_model = graph_.models[model];
  std::vector<bool> logits(job_model.model->outputs().size(), false);
  for (const JobOutput& output : graph_.outputs) {
    if (output.model == model) logits[output.output] = output.logits;
  }
  const uint32_t first_node_call = next_node_call_;
  next_node_call_ += static_cast<uint32_t>(job_model.model->calls().size());
  return job_model.model->Forward(builder, {.inputs = std::move(inputs),
                                            .values = values,
                                            .offsets = job_model.offsets,
                                            .logits = std::move(logits),
                                            .training = training,
                                            .first_node_call = first_node_call,
                                            .label_prefix = LabelPrefix(model)});
}

std::string ProgramContext::LabelPrefix(size_t model) const {
  return graph_.models.size() > 1 ? graph_.models[model].model->name() + "/" : "";
}

std::vector<Slice> ProgramContext::RecordNoise(StepBuilder& builder, size_t model, NoiseKind kind,
                                               bool fixed) {
  const Model& m = *graph_.models[model].model;
  std::vector<Slice> inputs;
  for (size_t i = 0; i < m.input_count(); ++i) {
    const Model::Tensor& input = m.tensors()[i];
    inputs.push_back(lockstep::RecordNoise(
        builder, {.label = absl::StrCat(LabelPrefix(model), input.name, "/noise"),
                  .kind = kind,
                  .elements = input.shape.elements(),
                  .source = fixed ? static_cast<uint32_t>(i) : next_node_call_++,
                  .fixed = fixed}));
  }
  return inputs;
}

std::vector<Slice> ProgramContext::RecordLosses(StepBuilder& builder, size_t model,
                                                const Model::Pass& pass,
                                                bool with_gradients) const {
  const Model& m = *graph_.models[model].model;
  const int64_t slot_bytes = int64_t{4} * kernels::kBlockLanes * builder.geometry().blocks;
  std::vector<Slice> d_outputs(m.outputs().size());
  for (size_t o = 0; o < graph_.outputs.size(); ++o) {
    const JobOutput& output = graph_.outputs[o];
    if (output.model != model) continue;
    const Shape& shape = m.tensors()[m.outputs()[output.output]].shape;
    LossCall call{.label = m.tensors()[m.outputs()[output.output]].name,
                  .output = pass.output(m, output.output),
                  .logits = output.logits,
                  .shape = shape,
                  .labels = feed.labels[o],
                  .seed = feed.seeds[o]};
    if (feed.target_rows[o].valid()) call.target = RecordTarget(builder, o, shape);
    if (with_gradients) call.d_output = builder.AllocateActivation(shape.elements());
    call.loss = builder.Allocate(slot_bytes);
    const size_t first = builder.entries().size();
    output.loss->Record(builder, call);
    RecordSum(builder, call.loss, feed.weights[o], output.first_sum);
    for (size_t metric = 0; metric < output.metrics.size(); ++metric) {
      const Slice value = builder.Allocate(slot_bytes);
      RecordMetric(builder, output.metrics[metric], call, value);
      RecordSum(builder, value, {}, output.first_sum + 1 + metric);
    }
    builder.SetShapes(first, shape.ToWords());
    d_outputs[output.output] = call.d_output;
  }
  return d_outputs;
}

Slice ProgramContext::RecordTarget(StepBuilder& builder, size_t output, const Shape& shape) const {
  const int64_t elements = shape.elements();
  const Slice rows = feed.target_rows[output];
  const Slice target = builder.AllocateActivation(elements);
  const DataField& field = data_.targets[output];
  builder.Call({.label = absl::StrCat(field.name, "/decode_target")},
               [=, &builder, type = field.type](const Binder& at) {
                 const kernels::DecodeArgs args{builder.geometry().blocks,
                                                elements,
                                                builder.Slots(at),
                                                type,
                                                at.At<std::byte>(rows),
                                                1.0f,
                                                0.0f,
                                                at.At(target)};
                 return BindKernel(&kernels::Decode, args, kernels::DecodeUnits(args));
               });
  return target;
}

// sums[subtree][sum] = the shard tree over the chains, over a shard's samples, of double(value) *
// weight.
void ProgramContext::RecordSum(StepBuilder& builder, Slice per_slot, Slice weight,
                               size_t sum) const {
  builder.Call({.label = "sums"}, [=, this, &builder](const Binder& at) {
    const float* const value = at.At(per_slot);
    const float* const w = at.At(weight);
    double* const out = at.At<double>(sums);
    const kernels::SlotMap slots = builder.Slots(at);
    const std::vector<kernels::SubtreeRange>& subtrees = builder.geometry().subtrees;
    const size_t stride = graph_.sum_count;
    return BoundCall{1, [=, &subtrees](kernels::UnitRange) {
                       for (size_t t = 0; t < subtrees.size(); ++t) {
                         out[t * stride + sum] = SumOfSubtree(slots, subtrees[t], value, w);
                       }
                     }};
  });
}

void ProgramContext::RecordBackward(StepBuilder& builder, size_t model,
                                    absl::Span<const Model::PassGradients> passes) const {
  const JobModel& job_model = graph_.models[model];
  job_model.model->Backward(builder, passes,
                            {.gradients = gradients, .offsets = job_model.offsets});
}

double SumOfSubtree(const kernels::SlotMap& slots, kernels::SubtreeRange subtree,
                    const float* value, const float* weight) {
  if (subtree.shards > 1) {
    const int32_t half = subtree.shards / 2;
    return SumOfSubtree(slots, {subtree.first_shard, half}, value, weight) +
           SumOfSubtree(slots, {subtree.first_shard + half, half}, value, weight);
  }
  const int64_t begin = int64_t{subtree.first_shard} * slots.shard_slots;
  double chain = 0.0;
  for (int64_t slot = begin; slot < begin + slots.shard_count[subtree.first_shard]; ++slot) {
    const double w = weight == nullptr ? 1.0 : static_cast<double>(weight[slot]);
    chain += static_cast<double>(value[slot]) * w;
  }
  return chain;
}

}  // namespace lockstep
