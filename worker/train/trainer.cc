#include "worker/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/numerics_version.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/job_output.h"
#include "common/spec/job_identity.h"
#include "worker/train/pictures.h"

namespace lockstep {
namespace {

constexpr char kEpochsClosedKey[] = "epochs_closed";
constexpr char kLastEpochPrefix[] = "last_epoch.";

// Where a rank has first seen a value that is not finite; plain bytes on the wire.
struct Finding {
  int64_t call = 0;      // index in the phase's list
  int64_t position = 0;  // in the batch
  int64_t sample = 0;    // of the data set
  int32_t found = 0;
  char label[100] = {};
};

bool AllFinite(const std::vector<double>& sums) {
  return std::all_of(sums.begin(), sums.end(), [](double sum) { return std::isfinite(sum); });
}

bool IsEarlier(const Finding& a, const Finding& b) {
  if (a.found != b.found) return a.found > b.found;
  return a.call != b.call ? a.call < b.call : a.position < b.position;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(const TrainerParts& parts) {
  std::unique_ptr<Trainer> trainer(new Trainer(parts));
  LOCKSTEP_RETURN_IF_ERROR(trainer->CreateParts());
  return trainer;
}

Trainer::Trainer(const TrainerParts& parts)
    : parts_(parts),
      shards_(parts.train.samples, parts.spec->train().batch_size, parts.spec->train().shuffle,
              parts.spec->train().seed),
      total_steps_(parts.spec->train().total_steps(shards_.steps_per_epoch())),
      sums_(*parts.graph),
      running_(sums_.names().size()) {}

absl::Status Trainer::CreateParts() {
  LOCKSTEP_ASSIGN_OR_RETURN(executor_,
                            StepExecutor::Create(*parts_.plan, *parts_.communicator, *parts_.pool));
  parameters_ = std::make_unique<OwnedParameters>(OwnedParameters::Parts{
      parts_.graph, parts_.plan, executor_.get(), parts_.communicator, parts_.pool});
  exchange_ = std::make_unique<StepExchange>(*parts_.communicator, parts_.graph->sum_count);
  LOCKSTEP_ASSIGN_OR_RETURN(CheckpointLayout layout, LayoutOfJob(*parts_.graph));
  layout_ = std::make_unique<CheckpointLayout>(std::move(layout));
  TrainingObserver* const observer = parts_.observer;
  checkpointer_ = std::make_unique<Checkpointer>(
      Checkpointer::Parts{.fs = parts_.fs,
                          .communicator = parts_.communicator,
                          .parameters = parameters_.get(),
                          .layout = layout_.get(),
                          .root = parts_.checkpoint_root,
                          .keep = static_cast<int>(parts_.spec->checkpoint().keep),
                          .before_publish = [observer] {
                            return observer == nullptr ? absl::OkStatus() : observer->MakeDurable();
                          }});
  loader_ = std::make_unique<BatchLoader>(
      LoaderOf(parts_.train, parts_.plan->slices().feed, parts_.spec->train().class_weight));
  return absl::OkStatus();
}

Feed Trainer::FeedOf(const FeedSlices& slices) const {
  const StepExecutor& at = *executor_;
  Feed feed;
  for (const Slice rows : slices.input_rows) feed.input_rows.push_back(at.At<std::byte>(rows));
  for (const Slice rows : slices.target_rows) feed.target_rows.push_back(at.At<std::byte>(rows));
  for (const Slice labels : slices.labels) feed.labels.push_back(at.At<int32_t>(labels));
  for (const Slice seeds : slices.seeds) feed.seeds.push_back(at.At(seeds));
  for (const Slice weights : slices.weights) feed.weights.push_back(at.At(weights));
  const StepBuilder::RunInputs& run = parts_.plan->slices().run_inputs;
  feed.shard_count = at.At<int32_t>(run.shard_count);
  feed.batch_position = at.At<int32_t>(run.batch_position);
  return feed;
}

BatchLoader Trainer::LoaderOf(const TrainingData& data, const FeedSlices& slices,
                              const std::map<int64_t, double>& class_weight) const {
  return {*data.dataset, *parts_.graph, class_weight, parts_.plan->slices().geometry,
          FeedOf(slices)};
}

void Trainer::Initialize() { parameters_->Initialize(parts_.spec->train().seed); }

absl::Status Trainer::Restore(const Checkpoint& checkpoint) {
  const CheckpointInfo& info = checkpoint.manifest.info;
  LOCKSTEP_RETURN_IF_ERROR(parameters_->Restore(checkpoint));
  step_ = kept_step_ = info.step;
  const auto closed = info.program.integers.find(kEpochsClosedKey);
  epochs_closed_ = closed == info.program.integers.end() ? 0 : closed->second;
  sums_.Restore(info.program);
  last_epoch_.clear();
  for (const absl::string_view prefix : {"", "val_"}) {
    for (const std::string& name : sums_.names()) {
      const std::string metric = absl::StrCat(prefix, name);
      const auto value = info.program.reals.find(absl::StrCat(kLastEpochPrefix, metric));
      if (value != info.program.reals.end()) last_epoch_.emplace_back(metric, value->second);
    }
  }
  return absl::OkStatus();
}

CheckpointInfo Trainer::Info() const {
  CheckpointInfo info{.numerics_version = kNumericsVersion,
                      .step = step_,
                      .epoch = epochs_closed_,
                      .job_identity = CanonicalJobIdentity(*parts_.spec),
                      .workers = parts_.communicator->size()};
  info.program.texts[kDataHashKey] = parts_.data_hash;
  info.program.integers[kEpochsClosedKey] = epochs_closed_;
  sums_.Save(info.program);
  for (const auto& [name, value] : last_epoch_) {
    info.program.reals[absl::StrCat(kLastEpochPrefix, name)] = value;
  }
  return info;
}

absl::StatusOr<TrainingResult> Trainer::Run() {
  const int64_t steps_per_epoch = shards_.steps_per_epoch();
  if (parts_.observer != nullptr) {
    parts_.observer->OnStart({.metric_names = sums_.names(),
                              .first_step = step_,
                              .total_steps = total_steps_,
                              .steps_per_epoch = steps_per_epoch,
                              .samples = shards_.samples(),
                              .epochs_closed = epochs_closed_});
  }
  TellPhase("train");
  const absl::Duration start = parts_.clock->Monotonic();
  last_checkpoint_ = start;
  for (;;) {
    if (step_ == (epochs_closed_ + 1) * steps_per_epoch) LOCKSTEP_RETURN_IF_ERROR(CloseEpoch());
    if (stop_ || step_ >= total_steps_) break;
    LOCKSTEP_RETURN_IF_ERROR(RunStep());
  }
  TrainingResult result{.duration = parts_.clock->Monotonic() - start};
  // Before the last epoch is closed early: a longer job goes on from here in the middle of it.
  checkpoint_due_ = true;
  LOCKSTEP_RETURN_IF_ERROR(DrainCheckpoint());
  if (!stop_ && sums_.samples() > 0) LOCKSTEP_RETURN_IF_ERROR(CloseEpoch());
  MetricValues test;
  if (!stop_ && parts_.test.has_value()) {
    LOCKSTEP_ASSIGN_OR_RETURN(test, Evaluate(*parts_.test, "test_"));
  }
  result.stopped = stop_;
  result.steps = step_;
  result.epochs = (step_ + steps_per_epoch - 1) / steps_per_epoch;
  result.metrics = last_epoch_;
  result.metrics.insert(result.metrics.end(), test.begin(), test.end());
  result.samples_trained = samples_trained_;
  return result;
}

absl::Status Trainer::RunStep(StepTimes* times) {
  times_ = times;
  if (times != nullptr) times->Start(*parts_.plan, *parts_.clock);
  const BatchSpan batch = shards_.Batch(step_);
  LOCKSTEP_RETURN_IF_ERROR(loader_->Load(shards_, batch));
  *executor_->At<int64_t>(parts_.plan->slices().run_inputs.step) = step_;
  Lap(StepPart::kLoad);
  for (size_t phase = 0; phase < parts_.plan->train().size(); ++phase) {
    LOCKSTEP_RETURN_IF_ERROR(RunPhase(phase));
  }
  ++step_;
  const absl::Status status = AfterStep(batch);
  Lap(StepPart::kReport);
  return status;
}

absl::Status Trainer::RunPhase(size_t phase) {
  const std::vector<size_t>& models = parts_.plan->train()[phase].phase.updates;
  const bool last = phase + 1 == parts_.plan->train().size();
  LOCKSTEP_RETURN_IF_ERROR(
      times_ == nullptr
          ? executor_->RunTrain(phase)
          : executor_->RunTimed(phase, *parts_.clock, absl::MakeSpan(times_->calls[phase])));
  Lap(StepPart::kCalls);
  LOCKSTEP_RETURN_IF_ERROR(parameters_->ReduceGradients(models));
  Lap(StepPart::kReduce);
  ControlWord word;
  if (!parameters_->GradientsFinite(models)) word.flags |= ControlWord::kNonFinite;
  Lap(StepPart::kCheck);
  if (last) {
    word.flags |= RequestFlags() | checkpointer_->Flags();
    if (step_ % parts_.fingerprint_every == 0) {
      word.has_fingerprint = 1;
      word.fingerprint = parameters_->Fingerprint();
    }
  }
  LOCKSTEP_RETURN_IF_ERROR(Exchange(word));
  const StepOutcome& outcome = exchange_->outcome();
  const bool sums_finite = !last || AllFinite(outcome.sums);
  if (outcome.non_finite || !sums_finite) {
    // The phase again, looking at every activation on the way.
    LOCKSTEP_ASSIGN_OR_RETURN(const std::optional<NonFinite> seen,
                              executor_->RunTrainChecked(phase));
    return NameNonFinite(absl::StrCat("step ", step_ + 1), *loader_, seen);
  }
  if (outcome.odd_rank >= 0) {
    return absl::InternalError(absl::StrCat("step ", step_ + 1, ": the parameters of rank ",
                                            outcome.odd_rank,
                                            " differ from the others'; its memory is not sound"));
  }
  Lap(StepPart::kExchange);
  const absl::Status updated = parameters_->Update(phase, step_);
  Lap(StepPart::kUpdate);
  return updated;
}

absl::Status Trainer::Exchange(const ControlWord& word) {
  return exchange_->Exchange(word, executor_->At<double>(parts_.plan->slices().sums));
}

absl::Status Trainer::AfterStep(const BatchSpan& batch) {
  const StepOutcome& outcome = exchange_->outcome();
  sums_.Add(outcome.sums, batch.count);
  samples_trained_ += batch.count;
  Report(batch, sums_.LossOf(outcome.sums, batch.count));
  LOCKSTEP_RETURN_IF_ERROR(TakeOutcome());
  const std::optional<int64_t> every = parts_.spec->checkpoint().every_steps;
  if (every.has_value() && step_ % *every == 0) checkpoint_due_ = true;
  // The end of an epoch is kept with its validation (CloseEpoch).
  if (step_ % shards_.steps_per_epoch() != 0) StartCheckpointIfDue();
  return absl::OkStatus();
}

// What every exchange of control words may bring, in a step or in an evaluation.
absl::Status Trainer::TakeOutcome() {
  const StepOutcome& outcome = exchange_->outcome();
  stop_ = stop_ || outcome.stop;
  checkpoint_due_ = checkpoint_due_ || outcome.checkpoint;
  const int64_t published = checkpointer_->published_step();
  const int failed = checkpointer_->failed_count();
  LOCKSTEP_RETURN_IF_ERROR(checkpointer_->Advance(outcome));
  if (parts_.observer == nullptr) return absl::OkStatus();
  if (checkpointer_->published_step() != published) {
    parts_.observer->OnCheckpoint(checkpointer_->published_step());
  }
  if (checkpointer_->failed_count() != failed) {
    parts_.observer->OnCheckpointFailed(checkpointer_->last_failure());
  }
  return absl::OkStatus();
}

uint32_t Trainer::RequestFlags() {
  uint32_t flags = 0;
  if (parts_.requests->stop.load(std::memory_order_relaxed)) flags |= ControlWord::kStop;
  if (parts_.requests->checkpoint.exchange(false)) flags |= ControlWord::kCheckpoint;
  const std::optional<absl::Duration> every = parts_.spec->checkpoint().every;
  if (parts_.communicator->rank() == 0 && every.has_value()) {
    const absl::Duration now = parts_.clock->Monotonic();
    if (now - last_checkpoint_ >= *every) {
      last_checkpoint_ = now;
      flags |= ControlWord::kCheckpoint;
    }
  }
  return flags;
}

// A second one waits for the first; one step has one checkpoint.
void Trainer::StartCheckpointIfDue() {
  if (parts_.checkpoint_root.empty() || step_ == kept_step_) checkpoint_due_ = false;
  if (!checkpoint_due_ || !checkpointer_->idle()) return;
  checkpoint_due_ = false;
  kept_step_ = step_;
  last_checkpoint_ = parts_.clock->Monotonic();
  checkpointer_->Start(Info());
}

absl::Status Trainer::DrainCheckpoint() {
  StartCheckpointIfDue();
  if (!checkpointer_->idle()) TellPhase("checkpoint");
  while (!checkpointer_->idle()) {
    checkpointer_->WaitForStage();
    LOCKSTEP_RETURN_IF_ERROR(Exchange({.flags = RequestFlags() | checkpointer_->Flags()}));
    LOCKSTEP_RETURN_IF_ERROR(TakeOutcome());
    StartCheckpointIfDue();
  }
  return absl::OkStatus();
}

absl::Status Trainer::CloseEpoch() {
  EpochReport report{.step = step_, .metrics = sums_.Means()};
  if (parts_.validation.has_value()) {
    LOCKSTEP_ASSIGN_OR_RETURN(const MetricValues validation, Evaluate(*parts_.validation, "val_"));
    if (stop_) return absl::OkStatus();  // the epoch stays open and is closed by who resumes
    report.metrics.insert(report.metrics.end(), validation.begin(), validation.end());
    TellPhase("train");
  }
  const int64_t steps_per_epoch = shards_.steps_per_epoch();
  report.epoch = epochs_closed_ = (step_ + steps_per_epoch - 1) / steps_per_epoch;
  last_epoch_ = report.metrics;
  if (parts_.observer != nullptr) {
    parts_.observer->OnEpoch(report);
    if (parts_.plan->pictures().has_value()) {
      // On this rank alone, while the others wait for its next exchange.
      parts_.observer->OnPictures(MakePictures(*parts_.plan, *executor_, epochs_closed_));
    }
  }
  sums_.Reset();
  // An epoch that the job's steps end early was kept before it was closed (Run).
  if (step_ % steps_per_epoch == 0) {
    checkpoint_due_ = true;
    StartCheckpointIfDue();
  }
  return absl::OkStatus();
}

absl::StatusOr<MetricValues> Trainer::Evaluate(const TrainingData& data, absl::string_view prefix) {
  TellPhase("evaluate");
  const PlannedEvaluation& evaluation = parts_.plan->evaluations()[data.evaluation];
  BatchLoader loader = LoaderOf(data, evaluation.feed, {});
  const ShardPlan shards(data.samples, parts_.spec->train().batch_size, /*shuffle=*/false,
                         /*seed=*/0);
  MetricSums sums(*parts_.graph);
  for (int64_t step = 0; step < shards.steps_per_epoch() && !stop_; ++step) {
    const BatchSpan batch = shards.Batch(step);
    LOCKSTEP_RETURN_IF_ERROR(loader.Load(shards, batch));
    LOCKSTEP_RETURN_IF_ERROR(executor_->RunEvaluate(data.evaluation));
    LOCKSTEP_RETURN_IF_ERROR(Exchange({.flags = RequestFlags() | checkpointer_->Flags()}));
    LOCKSTEP_RETURN_IF_ERROR(TakeOutcome());
    const std::vector<double>& batch_sums = exchange_->outcome().sums;
    if (!AllFinite(batch_sums)) {
      LOCKSTEP_ASSIGN_OR_RETURN(const std::optional<NonFinite> seen,
                                executor_->RunEvaluateChecked(data.evaluation));
      return NameNonFinite(absl::StrCat(prefix, "loss"), loader, seen);
    }
    sums.Add(batch_sums, batch.count);
  }
  return sums.Means(prefix);
}

absl::StatusOr<MetricValues> Trainer::EvaluateOne() {
  if (parts_.test.has_value()) return Evaluate(*parts_.test, "test_");
  if (parts_.validation.has_value()) return Evaluate(*parts_.validation, "val_");
  return absl::FailedPreconditionError(
      "data: has neither 'test' nor 'validation' to evaluate on; add one");
}

// What this rank has seen, first; all agree on the earliest.
absl::Status Trainer::NameNonFinite(absl::string_view where, const BatchLoader& loader,
                                    const std::optional<NonFinite>& seen) {
  const auto rank = static_cast<size_t>(parts_.communicator->rank());
  std::vector<Finding> findings(static_cast<size_t>(parts_.communicator->size()));
  std::vector<Range> places;
  for (size_t r = 0; r < findings.size(); ++r) {
    places.push_back({static_cast<int64_t>(r * sizeof(Finding)),
                      static_cast<int64_t>((r + 1) * sizeof(Finding))});
  }
  if (seen.has_value()) {
    Finding& own = findings[rank];
    own.found = 1;
    own.call = seen->index;
    own.position =
        executor_->At<int32_t>(parts_.plan->slices().run_inputs.batch_position)[seen->slot];
    own.sample = loader.SampleInSlot(seen->slot);
    std::strncpy(own.label, seen->call.c_str(), sizeof(own.label) - 1);
  }
  LOCKSTEP_RETURN_IF_ERROR(
      parts_.communicator->Exchange(places, reinterpret_cast<std::byte*>(findings.data())));
  const Finding& first = *std::min_element(findings.begin(), findings.end(), IsEarlier);
  if (first.found == 0) {
    return absl::OutOfRangeError(absl::StrCat(
        where,
        ": a gradient or loss is not finite though all activations are; lower the learning "
        "rate"));
  }
  return absl::OutOfRangeError(
      absl::StrCat(where, ": '", first.label, "' gives a value that is not finite for sample ",
                   first.sample, "; look at that sample, or lower the learning rate"));
}

void Trainer::Report(const BatchSpan& batch, double loss) {
  if (parts_.observer == nullptr) return;
  sums_.MeansTo(absl::MakeSpan(running_));
  parts_.observer->OnStep({.step = step_,
                           .epoch = batch.epoch + 1,
                           .loss = loss,
                           .samples = batch.count,
                           .running = running_});
}

void Trainer::TellPhase(absl::string_view phase) {
  if (parts_.observer != nullptr) parts_.observer->OnPhase(phase);
}

}  // namespace lockstep
