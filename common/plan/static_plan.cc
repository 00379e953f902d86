#include "common/plan/static_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/philox.h"
#include "common/kernels/decode.h"

namespace lockstep {

std::unique_ptr<StaticPlan> StaticPlan::Create(const JobGraph& graph, const DataSignature& data,
                                               const JobSpec& spec, const ProgramDef& program,
                                               BatchGeometry geometry) {
  std::unique_ptr<StaticPlan> plan(new StaticPlan());
  plan->context_ = std::make_unique<ProgramContext>(graph, data, spec.data());
  ProgramContext& context = *plan->context_;
  context.geometry = std::move(geometry);
  const auto subtrees = static_cast<int64_t>(context.geometry.subtrees.size());
  const int64_t slots = int64_t{kernels::kBlockLanes} * context.geometry.blocks;

  context.values = plan->AddPersistent("values", graph.parameters->elements() * 4, true);
  for (int64_t t = 0; t < subtrees; ++t) {
    context.gradients.push_back(plan->AddPersistent(
        absl::StrCat("gradients[", t, "]"), graph.parameters->trainable_elements() * 4, true));
  }
  context.run_inputs = {
      .shard_count = plan->AddPersistent("shard counts", std::max(1, context.geometry.shards) * 4),
      .batch_position = plan->AddPersistent("batch positions", slots * 4),
      .step = plan->AddPersistent("step", 8),
      .dropout_key = RandomKey(spec.train().seed, RandomPurpose::kDropout)};
  context.sums = plan->AddPersistent(
      "sums", std::max<int64_t>(1, subtrees * static_cast<int64_t>(graph.sum_count)) * 8);
  plan->AddFeed(graph, data);

  for (ProgramPhase& phase : program.record_train(context)) {
    plan->train_.push_back(plan->LayOut(std::move(phase)));
  }
  plan->evaluate_ = plan->LayOut(program.record_evaluate(context));
  return plan;
}

Slice StaticPlan::AddPersistent(std::string name, int64_t bytes, bool shared) {
  persistent_.push_back({std::move(name), bytes, shared});
  return {static_cast<int32_t>(persistent_.size()) - 1, 0};
}

void StaticPlan::AddFeed(const JobGraph& graph, const DataSignature& data) {
  ProgramContext& context = *context_;
  const int64_t slots = int64_t{kernels::kBlockLanes} * context.geometry.blocks;
  const auto rows = [&](const DataField& field, absl::string_view what) {
    return AddPersistent(absl::StrCat(what, " '", field.name, "'"),
                         slots * field.shape.elements() * kernels::SampleTypeBytes(field.type));
  };
  for (const DataField& field : data.inputs) {
    context.feed.input_rows.push_back(rows(field, "input"));
  }
  for (size_t o = 0; o < graph.outputs.size(); ++o) {
    const bool labels = graph.outputs[o].loss->target_kind() == TargetKind::kLabels;
    const std::string name = absl::StrCat("'", data.targets[o].name, "'");
    context.feed.labels.push_back(labels ? AddPersistent(absl::StrCat("labels ", name), slots * 4)
                                         : Slice{});
    context.feed.target_rows.push_back(labels ? Slice{} : rows(data.targets[o], "target"));
    context.feed.seeds.push_back(AddPersistent(absl::StrCat("seeds ", name), slots * 4));
    context.feed.weights.push_back(AddPersistent(absl::StrCat("weights ", name), slots * 4));
  }
}

PlannedPhase StaticPlan::LayOut(ProgramPhase phase) {
  const std::vector<LiveRange> ranges = LiveRangesOf(*phase.builder, persistent_.size());
  PlannedPhase planned{.phase = std::move(phase),
                       .arena = LayOutArena(ranges),
                       .arena_lower_bound = ArenaLowerBound(ranges)};
  arena_bytes_ = std::max(arena_bytes_, planned.arena.bytes);
  return planned;
}

int64_t StaticPlan::persistent_bytes() const {
  int64_t bytes = 0;
  for (const PersistentBuffer& buffer : persistent_) bytes += buffer.bytes;
  return bytes;
}

double StaticPlan::flops() const {
  double flops = 0;
  for (const PlannedPhase& phase : train_) {
    for (const StepBuilder::Entry& entry : phase.phase.builder->entries()) {
      flops += entry.info.flops;
    }
  }
  return flops;
}

}  // namespace lockstep
