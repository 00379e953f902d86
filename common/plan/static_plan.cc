#include "common/plan/static_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/philox.h"
#include "common/kernels/decode.h"
#include "common/plan/shard_plan.h"

namespace lockstep {

std::unique_ptr<StaticPlan> StaticPlan::Create(const PlanRequest& request) {
  std::unique_ptr<StaticPlan> plan(new StaticPlan(request));
  const JobGraph& graph = *request.graph;
  const JobSpec& spec = *request.spec;
  plan->context_ = std::make_unique<ProgramContext>(graph, *request.train, spec.data());
  ProgramContext& context = *plan->context_;
  context.geometry = request.geometry;
  const auto subtrees = static_cast<int64_t>(context.geometry.subtrees.size());
  const int64_t slots = int64_t{kernels::kBlockLanes} * context.geometry.blocks;

  context.values = plan->AddPersistent("values", graph.parameters->elements() * 4, true);
  const int64_t stride = graph.parameters->trainable_elements();
  const Slice gradients = plan->AddPersistent("gradients", subtrees * stride * 4, true);
  for (int64_t t = 0; t < subtrees; ++t) {
    context.gradients.push_back(gradients.Elements(t * stride));
  }
  plan->AddOwned();
  context.run_inputs = {
      .shard_count = plan->AddPersistent("shard counts", std::max(1, context.geometry.shards) * 4),
      .batch_position = plan->AddPersistent("batch positions", slots * 4),
      .step = plan->AddPersistent("step", 8),
      .dropout_key = RandomKey(spec.train().seed, RandomPurpose::kDropout),
      .noise_key = RandomKey(spec.train().seed, RandomPurpose::kNoise),
      .fixed_noise_key = RandomKey(spec.train().seed, RandomPurpose::kFixedNoise)};
  context.sums = plan->AddPersistent(
      "sums", std::max<int64_t>(1, subtrees * static_cast<int64_t>(graph.sum_count)) * 8);
  context.feed = plan->AddFeed(*request.train);
  plan->train_ = plan->LayOut(request.program->record_train(context));
  plan->PlanEvaluations();
  plan->PlanPictures();
  return plan;
}

Slice StaticPlan::AddPersistent(std::string name, int64_t bytes, bool shared) {
  persistent_.push_back({std::move(name), bytes, shared});
  return {static_cast<int32_t>(persistent_.size()) - 1, 0};
}

FeedSlices StaticPlan::AddFeed(const DataSignature& data) {
  FeedSlices feed;
  const JobGraph& graph = *request_.graph;
  const int64_t slots = int64_t{kernels::kBlockLanes} * request_.geometry.blocks;
  const auto rows = [&](const DataField& field, absl::string_view what) {
    return AddPersistent(absl::StrCat(what, " '", field.name, "'"),
                         slots * field.shape.elements() * kernels::SampleTypeBytes(field.type));
  };
  for (const DataField& field : data.inputs) feed.input_rows.push_back(rows(field, "input"));
  for (size_t o = 0; o < graph.outputs.size(); ++o) {
    const JobOutput& output = graph.outputs[o];
    const bool labels = output.loss->target_kind() == TargetKind::kLabels;
    const std::string name =
        absl::StrCat("'", output.has_target ? data.targets[o].name : output.key, "'");
    feed.labels.push_back(labels ? AddPersistent(absl::StrCat("labels ", name), slots * 4)
                                 : Slice{});
    feed.target_rows.push_back(labels || !output.has_target ? Slice{}
                                                            : rows(data.targets[o], "target"));
    feed.seeds.push_back(AddPersistent(absl::StrCat("seeds ", name), slots * 4));
    feed.weights.push_back(AddPersistent(absl::StrCat("weights ", name), slots * 4));
  }
  return feed;
}

void StaticPlan::AddOwned() {
  const ParameterSet& parameters = *request_.graph->parameters;
  int64_t snapshot = 0;
  for (size_t m = 0; m < request_.graph->models.size(); ++m) {
    const Range trainable = parameters.TrainableRange(m);
    OwnedModel owned;
    for (int32_t r = 0; r < request_.workers; ++r) {
      const Range blocks =
          OwnedBlocks(trainable.size() / kParameterBlockElements, request_.workers, r);
      owned.ranges.push_back({trainable.begin + blocks.begin * kParameterBlockElements,
                              trainable.begin + blocks.end * kParameterBlockElements});
    }
    owned.own = owned.ranges[static_cast<size_t>(request_.rank)];
    const std::string& model = request_.graph->models[m].model->name();
    for (const absl::string_view slot : request_.graph->models[m].optimizer->state_slots()) {
      owned.state.push_back(
          AddPersistent(absl::StrCat("optimizer '", model, "' ", slot), owned.own.size() * 4));
    }
    snapshot += owned.own.size() * (1 + static_cast<int64_t>(owned.state.size()));
    owned_.push_back(std::move(owned));
  }
  if (request_.rank == 0) snapshot += parameters.elements() - parameters.trainable_elements();
  snapshot_ = AddPersistent("checkpoint snapshot", snapshot * 4);
}

// Data sets of one signature share a feed and a plan.
void StaticPlan::PlanEvaluations() {
  std::vector<std::pair<const DataSignature*, FeedSlices>> feeds = {
      {request_.train, context_->feed}};
  for (const DataSignature* data : request_.evaluations) {
    auto known = std::find_if(feeds.begin(), feeds.end(),
                              [data](const auto& feed) { return *feed.first == *data; });
    if (known == feeds.end()) {
      feeds.emplace_back(data, AddFeed(*data));
      known = std::prev(feeds.end());
    }
    auto context = std::make_unique<ProgramContext>(*request_.graph, *data, request_.spec->data());
    context->geometry = context_->geometry;
    context->run_inputs = context_->run_inputs;
    context->feed = known->second;
    context->values = context_->values;
    context->sums = context_->sums;
    std::vector<ProgramPhase> phases;
    phases.push_back(request_.program->record_evaluate(*context));
    evaluations_.push_back({std::move(LayOut(std::move(phases))[0]), known->second});
    evaluation_contexts_.push_back(std::move(context));
  }
}

void StaticPlan::PlanPictures() {
  if (request_.program->picture_sheet == nullptr) return;
  const std::optional<PictureSheet> sheet =
      request_.program->picture_sheet(*request_.graph, *request_.train, request_.spec->data());
  if (!sheet.has_value()) return;
  const int64_t slots = int64_t{kernels::kBlockLanes} * request_.geometry.blocks;
  auto context =
      std::make_unique<ProgramContext>(*request_.graph, *request_.train, request_.spec->data());
  context->geometry = context_->geometry;
  context->run_inputs = context_->run_inputs;
  context->values = context_->values;
  const Slice bytes = AddPersistent("pictures", slots * sheet->picture.elements());
  std::vector<ProgramPhase> phases;
  phases.push_back(request_.program->record_pictures(*context, *sheet, bytes));
  pictures_ = PlannedPictures{*sheet, std::move(LayOut(std::move(phases))[0]), bytes};
  evaluation_contexts_.push_back(std::move(context));
}

// Lists that share temporaries share one layout.
std::vector<PlannedPhase> StaticPlan::LayOut(std::vector<ProgramPhase> phases) {
  std::vector<const StepBuilder*> lists;
  for (const ProgramPhase& phase : phases) lists.push_back(phase.builder.get());
  const std::vector<LiveRange> ranges = LiveRangesOf(lists, persistent_.size());
  const ArenaLayout arena = LayOutArena(ranges);
  const int64_t lower_bound = ArenaLowerBound(ranges);
  arena_bytes_ = std::max(arena_bytes_, arena.bytes);
  std::vector<PlannedPhase> planned;
  for (ProgramPhase& phase : phases) planned.push_back({std::move(phase), arena, lower_bound});
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
