// bench_step: the time of whole training steps of the Fashion-MNIST CNN beside what the FMA peak
// allows, and what the lockstep contract costs (S = auto against S = 1). Usage: bench_step JOB_FILE
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "bench/harness.h"
#include "bench/roofs.h"
#include "common/base/status_macros.h"
#include "common/data/data_cache.h"
#include "common/env/clock.h"
#include "common/env/file_system.h"
#include "common/kernels/simd_target.h"
#include "common/plan/prepared_job.h"
#include "common/spec/job_yaml.h"
#include "worker/comm/local_group.h"
#include "worker/train/trainer.h"

namespace lockstep::bench {
namespace {

// One rank in this process, ready to step.
class Stepper {
 public:
  Stepper(const std::string& job_file, int64_t batch_size, int64_t shards, int threads,
          Communicator& communicator)
      : cache_(DataCache::FromEnvironment(PosixFileSystem())),
        environment_{&PosixFileSystem(), &cache_},
        pool_(threads, Spin::kBrief) {
    Require(Prepare(job_file, batch_size, shards, communicator));
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) Require(trainer_->RunStep());
  }
  // Seconds of each call of a step's first phase, over `steps` steps.
  void PrintCalls(int steps, const Roofs& roofs) {
    const auto& entries = plan_->train()[0].phase.builder->entries();
    std::vector<double> seconds(entries.size(), 0.0);
    for (int i = 0; i < steps; ++i) {
      Require(trainer_->executor().RunTimed(0, RealClock(), absl::MakeSpan(seconds)));
    }
    absl::PrintF("\n| call | us | GFLOP/s | of the FMA roof | GB/s |\n|---|---|---|---|---|\n");
    for (size_t e = 0; e < entries.size(); ++e) {
      const double each = seconds[e] / steps;
      const CallInfo& info = entries[e].info;
      absl::PrintF("| %s | %.1f | %.1f | %.0f %% | %.1f |\n", info.label, each * 1e6,
                   info.flops / each / 1e9, info.flops / each / roofs.flops * 100,
                   info.bytes / each / 1e9);
    }
  }
  // Of one step, forward and backward, as the model needs them: no padding, nothing twice.
  double flops(int64_t batch_size) const {
    double flops = 0;
    for (const JobModel& model : job_->graph.models) flops += StepFlops(*model.model);
    return flops * static_cast<double>(batch_size);
  }

 private:
  // Backward costs as much again for the variables, and again for the inputs where they need any.
  static double StepFlops(const Model& model) {
    double flops = 0;
    for (const Model::Call& call : model.calls()) {
      const Model::LayerInfo& info = model.layers()[call.layer];
      if (info.layer->variables().empty()) continue;
      const bool first = !model.tensors()[call.inputs[0]].needs_gradient;
      flops += info.layer->flops() * (first ? 2 : 3);
    }
    return flops;
  }

  absl::Status Prepare(const std::string& job_file, int64_t batch_size, int64_t shards,
                       Communicator& communicator) {
    LOCKSTEP_ASSIGN_OR_RETURN(const std::string text,
                              ReadFile(PosixFileSystem(), job_file, kYamlBytesMax));
    LOCKSTEP_ASSIGN_OR_RETURN(Value value, ParseYaml(text, job_file));
    Value train = Value::MakeMap();
    train.Set("batch_size", Value::Int(batch_size));
    train.Set("epochs", Value::Int(1'000'000));
    train.Set("shards", Value::Int(shards));
    value.Set("train", std::move(train));
    LOCKSTEP_ASSIGN_OR_RETURN(JobSpec spec,
                              ParseJobSpec(value, ParentPath(AbsolutePath(job_file))));
    LOCKSTEP_ASSIGN_OR_RETURN(job_, PrepareJob(std::move(spec), environment_));
    plan_ = job_->PlanFor(communicator.size(), communicator.rank());
    LOCKSTEP_ASSIGN_OR_RETURN(
        trainer_, Trainer::Create({.spec = &job_->spec,
                                   .graph = &job_->graph,
                                   .plan = plan_.get(),
                                   .communicator = &communicator,
                                   .pool = &pool_,
                                   .train = {job_->train.dataset.get(), job_->train.samples},
                                   .fs = &PosixFileSystem(),
                                   .clock = &RealClock(),
                                   .requests = &requests_}));
    trainer_->Initialize();
    return absl::OkStatus();
  }

  DataCache cache_;
  DataEnvironment environment_;
  ComputePool pool_;
  TrainingRequests requests_;
  std::unique_ptr<PreparedJob> job_;
  std::unique_ptr<StaticPlan> plan_;
  std::unique_ptr<Trainer> trainer_;
};

// Runs `body` as the only rank of a group of S shards.
void AsOnlyRank(int32_t shards, absl::FunctionRef<void(Communicator&)> body) {
  Require(FirstFailure(RunLocalGroup({.ranks = 1, .shards = shards, .spin = Spin::kBrief},
                                     [&](Communicator& communicator) {
                                       body(communicator);
                                       return absl::OkStatus();
                                     })));
}

void BenchBatch(const std::string& job_file, int64_t batch_size, const Roofs& roofs) {
  const int64_t shards = ShardsFor(batch_size);
  const int steps = batch_size <= 32 ? 20 : 5;
  AsOnlyRank(static_cast<int32_t>(shards), [&](Communicator& with_contract) {
    AsOnlyRank(1, [&](Communicator& without) {
      Stepper sharded(job_file, batch_size, shards, 1, with_contract);
      Stepper whole(job_file, batch_size, 1, 1, without);
      const std::vector<Times> times =
          TakeTurns({{absl::StrCat("S = ", shards), [&] { sharded.Run(steps); }},
                     {"S = 1", [&] { whole.Run(steps); }}},
                    {.seconds = 4});
      const double step = times[0].median() / steps;
      const double limit = sharded.flops(batch_size) / roofs.flops;
      const Ratio cost = RatioOf(times[0], times[1]);
      absl::PrintF("| %d | %d | %.2f | %.2f | %.0f %% | %.0f | %+.1f %% (%+.1f to %+.1f) |\n",
                   batch_size, shards, step * 1e3, limit * 1e3, limit / step * 100,
                   static_cast<double>(batch_size) / step, (cost.median - 1) * 100,
                   (cost.low - 1) * 100, (cost.high - 1) * 100);
    });
  });
}

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench_step JOB_FILE\n");
    return 2;
  }
  Require(kernels::InitSimd());
  const Roofs roofs = MeasureRoofs();
  absl::PrintF("%s\n", MachineLine());
  absl::PrintF("roofs, one thread: %.0f GFLOP/s, %.1f GB/s (%.0f GB/s in cache)\n\n",
               roofs.flops / 1e9, roofs.bytes / 1e9, roofs.cache_bytes / 1e9);
  absl::PrintF("CNN step, one worker, one thread, Adam\n\n");
  absl::PrintF(
      "| batch | shards | ms a step | FMA limit, ms | efficiency | samples/s | cost of "
      "S = auto against S = 1 |\n|---|---|---|---|---|---|---|\n");
  for (const int64_t batch_size : {32, 64, 128, 256}) BenchBatch(argv[1], batch_size, roofs);
  for (const int64_t batch_size : {32, 128}) {
    absl::PrintF("\nThe calls of a step of batch %d\n", batch_size);
    const int64_t shards = ShardsFor(batch_size);
    AsOnlyRank(static_cast<int32_t>(shards), [&](Communicator& communicator) {
      Stepper stepper(argv[1], batch_size, shards, 1, communicator);
      stepper.Run(20);
      stepper.PrintCalls(200, roofs);
    });
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
