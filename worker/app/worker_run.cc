#include "worker/app/worker_run.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/base/log.h"
#include "common/base/numerics_version.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/checkpoint/job_output.h"
#include "common/checkpoint/model_hash.h"
#include "common/checkpoint/safetensors.h"
#include "common/env/clock.h"
#include "common/env/fifo.h"
#include "common/env/host.h"
#include "common/kernels/simd_target.h"
#include "common/plan/model_summary.h"
#include "common/spec/job_identity.h"
#include "common/spec/job_yaml.h"
#include "worker/comm/agreement.h"
#include "worker/report/result_file.h"

namespace lockstep {
namespace {

// A rank that is silent this long in the middle of training is gone.
constexpr absl::Duration kPatience = absl::Minutes(10);
constexpr absl::Duration kLeavePatience = absl::Seconds(5);

// Types, shapes and counts of all data sets, in words: equal on ranks that see equal data.
std::string Describe(const JobDataset& data) {
  const auto field = [](std::string* out, const DataField& f) {
    absl::StrAppend(out, f.name, " ", SampleTypeName(f.type), " ", f.shape.ToString());
  };
  return absl::StrCat(data.dataset->count, " samples of ",
                      absl::StrJoin(data.signature.inputs, ", ", field), " with ",
                      absl::StrJoin(data.signature.targets, ", ", field));
}

std::string Describe(const PreparedJob& job) {
  std::string text = Describe(job.train);
  if (job.validation.has_value()) absl::StrAppend(&text, "; ", Describe(*job.validation));
  if (job.test.has_value()) absl::StrAppend(&text, "; ", Describe(*job.test));
  return text;
}

}  // namespace

WorkerRun::WorkerRun(const WorkerOptions& options, const Parts& parts)
    : options_(options),
      parts_(parts),
      cache_(DataCache::FromEnvironment(*parts.fs)),
      environment_{parts.fs, &cache_} {}

absl::Status WorkerRun::Run() {
  absl::Duration last = RealClock().Monotonic();
  const auto lap = [&last] {
    const absl::Duration before = std::exchange(last, RealClock().Monotonic());
    return last - before;
  };
  LOCKSTEP_RETURN_IF_ERROR(ReceiveJob());
  const absl::Duration receive = lap();
  LOCKSTEP_RETURN_IF_ERROR(Agree(OpenData()));
  const absl::Duration open = lap();
  LOCKSTEP_RETURN_IF_ERROR(CheckData());
  const absl::Duration check = lap();
  LOCKSTEP_RETURN_IF_ERROR(Agree(PlanMemory()));
  const absl::Duration plan = lap();
  const bool evaluating = !options_.evaluate.empty();
  if (!evaluating) LOCKSTEP_RETURN_IF_ERROR(Agree(leads() ? TakeOutput() : absl::OkStatus()));
  const absl::Duration output = lap();
  LOCKSTEP_RETURN_IF_ERROR(Agree(MakeTrainer()));
  if (!evaluating) LOCKSTEP_RETURN_IF_ERROR(RestoreOrInitialize());
  Log("ready", {{"receive_job", receive},
                {"open_data", open},
                {"check_data", check},
                {"plan", plan},
                {"take_output", output},
                {"make_trainer", lap()}});
  return evaluating ? Evaluate() : Train();
}

absl::Status WorkerRun::Agree(const absl::Status& mine) {
  absl::Status all = AgreeOn(*communicator_, mine);
  agreed_ = !all.ok() && !absl::IsUnavailable(all) && !absl::IsDeadlineExceeded(all);
  return all;
}

void WorkerRun::LeaveTogether() {
  communicator_->set_patience(kLeavePatience);
  communicator_->Barrier().IgnoreError();  // a rank that does not come ends the others all the same
}

void WorkerRun::Say(absl::string_view text) const {
  if (leads() && !parts_.supervised) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
  }
}

// Rank 0 reads the file; the others need not see it. Its canonical text is a job file itself.
absl::Status WorkerRun::ReceiveJob() {
  const int size = parts_.session->size();
  const int64_t cores = UsableCores();
  const auto spin = [&](int64_t threads) {
    return size * threads <= cores ? Spin::kBrief : Spin::kNone;
  };
  const auto read = [&]() -> absl::StatusOr<JobSpec> {
    LOCKSTEP_ASSIGN_OR_RETURN(const Overrides overrides, ParseOverrides(options_.overrides));
    LOCKSTEP_ASSIGN_OR_RETURN(const std::string text,
                              ReadFile(*parts_.fs, options_.job_file, kYamlBytesMax));
    LOCKSTEP_ASSIGN_OR_RETURN(
        JobSpec spec,
        LoadJobSpec(text, options_.job_file, ParentPath(AbsolutePath(options_.job_file))));
    return ApplyOverrides(std::move(spec), overrides);
  };
  // Nobody knows S yet: any tree will do.
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<Transport> transport, parts_.session->MakeTransport());
  LOCKSTEP_ASSIGN_OR_RETURN(
      communicator_,
      Communicator::Create(std::move(transport),
                           static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(size))),
                           spin(1)));
  absl::StatusOr<JobSpec> spec = absl::UnknownError("of rank 0");
  if (leads()) spec = read();
  if (leads() && spec.ok()) {
    const absl::Status enough = CheckWorkers(*spec, size);
    if (!enough.ok()) spec = enough;
  }
  LOCKSTEP_RETURN_IF_ERROR(Agree(leads() ? spec.status() : absl::OkStatus()));
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string text,
                            BroadcastText(*communicator_, leads() ? ToCanonicalJson(*spec) : ""));
  if (!leads()) spec = LoadJobSpec(text, "job of rank 0", "");
  LOCKSTEP_RETURN_IF_ERROR(Agree(spec.status()));
  spec_ = *std::move(spec);
  LOCKSTEP_ASSIGN_OR_RETURN(transport, parts_.session->MakeTransport());
  LOCKSTEP_ASSIGN_OR_RETURN(
      communicator_,
      Communicator::Create(std::move(transport), static_cast<int32_t>(spec_->shards()),
                           spin(spec_->resources().threads)));
  pool_ = std::make_unique<ComputePool>(static_cast<int>(spec_->resources().threads),
                                        spin(spec_->resources().threads));
  return absl::OkStatus();
}

absl::Status WorkerRun::OpenData() {
  LOCKSTEP_RETURN_IF_ERROR(ExportersOf(*spec_).status());
  LOCKSTEP_ASSIGN_OR_RETURN(job_, PrepareJob(*spec_, environment_));
  return absl::OkStatus();
}

// Rank 0 reads all samples once; the others must see data of the same form.
absl::Status WorkerRun::CheckData() {
  absl::StatusOr<DataFacts> facts = absl::UnknownError("of rank 0");
  if (leads()) facts = InspectData(*job_);
  LOCKSTEP_RETURN_IF_ERROR(Agree(leads() ? facts.status() : absl::OkStatus()));
  LOCKSTEP_ASSIGN_OR_RETURN(data_hash_, BroadcastText(*communicator_, leads() ? facts->hash : ""));
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string theirs,
                            BroadcastText(*communicator_, leads() ? Describe(*job_) : ""));
  const std::string mine = Describe(*job_);
  if (mine == theirs) return Agree(absl::OkStatus());
  return Agree(absl::FailedPreconditionError(absl::StrCat("host ", HostName(), " sees ", mine,
                                                          " where rank 0 sees ", theirs,
                                                          "; give all hosts the same data")));
}

absl::Status WorkerRun::PlanMemory() {
  plan_ = job_->PlanFor(communicator_->size(), communicator_->rank());
  const int64_t wanted = plan_->bytes();
  const std::optional<int64_t> limit = spec_->resources().memory_bytes;
  if (limit.has_value() && wanted > *limit) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "a worker needs ", HumanBytes(wanted), ", resources.memory allows ", HumanBytes(*limit),
        "; use more workers, a smaller train.batch_size, or allow more"));
  }
  const int64_t available = AvailableMemoryBytes();
  if (wanted <= available / communicator_->host_size()) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("each of ", communicator_->host_size(), " workers on host ", HostName(),
                   " needs ", HumanBytes(wanted), ", ", HumanBytes(available),
                   " are available; use fewer workers there or a smaller train.batch_size"));
}

absl::Status WorkerRun::TakeOutput() {
  const std::string& directory = spec_->output().directory;
  LOCKSTEP_RETURN_IF_ERROR(MakeOutput(*parts_.fs, directory));
  if (!parts_.supervised) {
    const std::string run = JoinPath(directory, ".run");
    LOCKSTEP_RETURN_IF_ERROR(parts_.fs->MakeDirectories(run));
    absl::StatusOr<std::unique_ptr<FileLock>> lock =
        parts_.fs->LockFile(JoinPath(run, "lock"), LockWait::kTry);
    if (absl::IsUnavailable(lock.status())) {
      return absl::FailedPreconditionError(
          absl::StrCat("output.directory '", directory,
                       "' is in use by another run; choose another with --out"));
    }
    LOCKSTEP_RETURN_IF_ERROR(lock.status());
    output_lock_ = *std::move(lock);
  }
  if (!options_.resume) LOCKSTEP_RETURN_IF_ERROR(CheckOutputIsNew(*parts_.fs, directory));
  return RemoveUnfinishedCheckpoints(*parts_.fs, CheckpointRoot(directory));
}

absl::Status WorkerRun::MakeTrainer() {
  const bool training = options_.evaluate.empty();
  if (leads() && training) {
    reporter_ = std::make_unique<RunReporter>(
        RunReporter::Parts{.fs = parts_.fs,
                           .clock = &RealClock(),
                           .metrics_path = JoinPath(spec_->output().directory, kMetricsName),
                           .pictures_directory = JoinPath(spec_->output().directory, kSamplesName),
                           .progress_pipe = parts_.progress_pipe,
                           .say = [this](absl::string_view text) { Say(text); }});
  }
  TrainerParts parts{.spec = &*spec_,
                     .graph = &job_->graph,
                     .plan = plan_.get(),
                     .communicator = communicator_.get(),
                     .pool = pool_.get(),
                     .train = {job_->train.dataset.get(), job_->train.samples},
                     .fs = parts_.fs,
                     .clock = &RealClock(),
                     .observer = reporter_.get(),
                     .requests = parts_.requests,
                     .checkpoint_root = CheckpointRoot(spec_->output().directory),
                     .data_hash = data_hash_};
  if (job_->validation.has_value()) {
    parts.validation = {job_->validation->dataset.get(), job_->validation->samples,
                        PreparedJob::kValidation};
  }
  if (job_->test.has_value()) {
    parts.test = {job_->test->dataset.get(), job_->test->samples, job_->test_evaluation()};
  }
  LOCKSTEP_ASSIGN_OR_RETURN(trainer_, Trainer::Create(parts));
  return absl::OkStatus();
}

absl::Status WorkerRun::RestoreOrInitialize() {
  if (!options_.resume) {
    trainer_->Initialize();
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<Checkpoint>> found = std::optional<Checkpoint>();
  if (leads()) found = FindCheckpointOfJob(*parts_.fs, *job_, data_hash_);
  LOCKSTEP_RETURN_IF_ERROR(Agree(found.status()));
  LOCKSTEP_ASSIGN_OR_RETURN(
      const std::string path,
      BroadcastText(*communicator_, found->has_value() ? (*found)->path : ""));
  if (path.empty()) {
    Say("no checkpoint to resume from; starting at step 0");
    trainer_->Initialize();
    return absl::OkStatus();
  }
  const auto restore = [&]() -> absl::Status {
    if (!leads()) {
      LOCKSTEP_ASSIGN_OR_RETURN(*found, ReadCheckpoint(*parts_.fs, path));
    }
    return trainer_->Restore(**found);
  };
  LOCKSTEP_RETURN_IF_ERROR(Agree(restore()));
  Say(absl::StrCat("resuming from step ", trainer_->step()));
  return absl::OkStatus();
}

absl::Status WorkerRun::Train() {
  if (leads()) {
    // From here on the directory holds no finished run.
    const absl::Status removed =
        parts_.fs->RemoveFile(JoinPath(spec_->output().directory, kResultName));
    if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  }
  communicator_->set_patience(kPatience);
  training_ = true;
  const absl::StatusOr<TrainingResult> result = trainer_->Run();
  agreed_ = absl::IsOutOfRange(result.status());  // all see what is not finite
  LOCKSTEP_RETURN_IF_ERROR(result.status());
  training_ = false;
  stopped_ = result->stopped;
  return Finish(*result);
}

absl::Status WorkerRun::Finish(const TrainingResult& result) {
  exporting_ = true;
  absl::Status status;
  if (leads()) {
    reporter_->OnPhase("export");
    status = reporter_->Finish();
    if (status.ok() && !stopped_) status = Export(result);
  }
  return Agree(status);
}

absl::Status WorkerRun::Export(const TrainingResult& result) {
  const std::string& directory = spec_->output().directory;
  const std::vector<TensorView> variables = trainer_->parameters().Variables();
  RunResult summary{
      .job = spec_->name(),
      .model_sha256 = ModelSha256(variables),
      .steps = result.steps,
      .epochs = result.epochs,
      .metrics = result.metrics,
      .seconds = absl::ToDoubleSeconds(result.duration),
      .workers = communicator_->size(),
      .threads = pool_->threads(),
      .simd = std::string(kernels::SimdName()),
      .version = LOCKSTEP_VERSION,
      .data_hash = data_hash_,
      .checkpoints_failed = trainer_->checkpoints_failed(),
  };
  if (summary.seconds > 0) {
    summary.samples_per_second = static_cast<double>(result.samples_trained) / summary.seconds;
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<const ExporterDef*> exporters, ExportersOf(*spec_));
  for (const ExporterDef* exporter : exporters) {
    const std::string path = JoinPath(directory, exporter->file_name);
    LOCKSTEP_RETURN_IF_ERROR(exporter->write({.job_name = spec_->name(),
                                              .model_sha256 = summary.model_sha256,
                                              .numerics_version = kNumericsVersion,
                                              .variables = variables},
                                             *parts_.fs, path));
    summary.files.emplace_back(exporter->file_name);
  }
  LOCKSTEP_RETURN_IF_ERROR(WriteResult(*parts_.fs, directory, summary));
  for (const auto& [name, value] : summary.metrics) {
    if (absl::StartsWith(name, "test_")) Say(absl::StrCat(name, " ", value));
  }
  Say(absl::StrCat("model ", JoinPath(directory, summary.files.front())));
  Say(absl::StrCat("model sha256 ", summary.model_sha256));
  return absl::OkStatus();
}

absl::Status WorkerRun::Evaluate() {
  const auto load = [&]() -> absl::Status {
    LOCKSTEP_ASSIGN_OR_RETURN(const SafetensorsFile file,
                              SafetensorsFile::Open(*parts_.fs, options_.evaluate));
    LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<TensorView> tensors, file.FloatViews());
    return trainer_->parameters().SetValues(tensors, options_.evaluate);
  };
  LOCKSTEP_RETURN_IF_ERROR(Agree(load()));
  training_ = true;
  const absl::StatusOr<MetricValues> values = trainer_->EvaluateOne();
  agreed_ = absl::IsOutOfRange(values.status());
  LOCKSTEP_RETURN_IF_ERROR(values.status());
  training_ = false;
  if (!leads()) return absl::OkStatus();
  const std::string line = EvaluationLine(*values, ModelSha256(trainer_->parameters().Variables()));
  FifoWriter(parts_.progress_pipe).Write(line + "\n");
  if (!parts_.supervised) std::printf("%s\n", line.c_str());
  return absl::OkStatus();
}

ExitCode WorkerRun::ExitCodeOf(const absl::Status& status) const {
  if (status.ok()) return stopped_ ? ExitCode::kStopped : ExitCode::kOk;
  if (training_ && absl::IsOutOfRange(status)) return ExitCode::kNonFinite;
  if (exporting_ && absl::IsResourceExhausted(status)) return ExitCode::kDiskFull;
  return ExitCodeFor(status);
}

}  // namespace lockstep
