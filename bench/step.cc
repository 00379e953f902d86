// bench_step: the time of whole training steps of job files beside what the FMA peak of the same
// minutes allows, and what the lockstep contract costs (S = auto against S = 1). Markdown, or one
// JSON object. bench_step --help.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/harness.h"
#include "bench/roofs.h"
#include "bench/stepper.h"
#include "common/env/clock.h"
#include "common/kernels/simd_target.h"
#include "common/spec/job_spec.h"

namespace lockstep::bench {
namespace {

struct Request {
  std::vector<std::string> jobs;
  std::vector<int64_t> batches = {32, 64, 128, 256};
  int workers = 1;
  int threads = 1;
  double seconds = 4;
  bool contract = true;
  bool calls = false;
  bool json = false;
};

struct StepResult {
  std::string job;
  int64_t batch_size = 0;
  int64_t shards = 0;
  double flops = 0;
  int64_t plan_bytes = 0;
  double best = 0, median = 0;  // seconds of a step
  Ratio contract;               // S = auto / S = 1; 0: not measured
  std::vector<Stepper::CallTime> calls;
};

// Steps that take about 50 ms.
int StepsOfTurn(Stepper& stepper, Communicator& communicator) {
  stepper.Run(2);
  const absl::Duration begin = RealClock().Monotonic();
  stepper.Run(2);
  const double step = absl::ToDoubleSeconds(RealClock().Monotonic() - begin) / 2;
  int steps = std::clamp(static_cast<int>(0.05 / step), 1, 1000);
  Require(communicator.Broadcast(
      absl::MakeSpan(reinterpret_cast<std::byte*>(&steps), sizeof(steps)), 0));
  return steps;
}

void Take(const Times& times, int steps, StepResult& result) {
  result.best = times.min() / steps;
  result.median = times.median() / steps;
}

// One rank, in turns with the same job in one shard.
void AgainstOneShard(const Request& request, const StepSetup& setup, StepResult& result) {
  StepSetup one_shard = setup;
  one_shard.shards = 1;
  AsRanks(setup, [&](Communicator& communicator) {
    AsRanks(one_shard, [&](Communicator& alone) {
      Stepper sharded(setup, communicator), whole(one_shard, alone);
      const int steps = StepsOfTurn(sharded, communicator);
      const std::vector<Times> times =
          TakeTurns({{"auto", [&] { sharded.Run(steps); }}, {"1", [&] { whole.Run(steps); }}},
                    {.seconds = request.seconds, .turns_min = 5, .warm_up = 1});
      Take(times[0], steps, result);
      result.contract = RatioOf(times[0], times[1]);
      result.flops = sharded.flops();
      result.plan_bytes = sharded.plan_bytes();
      if (request.calls) result.calls = sharded.TimeCalls(std::max(10, 2 * steps));
    });
  });
}

// Any number of ranks; they must agree on the number of turns.
void Alone(const Request& request, const StepSetup& setup, StepResult& result) {
  AsRanks(setup, [&](Communicator& communicator) {
    Stepper stepper(setup, communicator);
    const int steps = StepsOfTurn(stepper, communicator);
    Times times;
    const int turns = std::max(5, static_cast<int>(request.seconds / 0.05));
    for (int turn = 0; turn < turns; ++turn) {
      const absl::Duration begin = RealClock().Monotonic();
      stepper.Run(steps);
      times.seconds.push_back(absl::ToDoubleSeconds(RealClock().Monotonic() - begin));
    }
    std::vector<Stepper::CallTime> calls;
    if (request.calls) calls = stepper.TimeCalls(std::max(10, 2 * steps));
    if (communicator.rank() != 0) return;
    Take(times, steps, result);
    result.flops = stepper.flops();
    result.plan_bytes = stepper.plan_bytes();
    result.calls = std::move(calls);
  });
}

StepResult Measure(const Request& request, const std::string& job, int64_t batch_size) {
  const StepSetup setup{.job_file = job,
                        .batch_size = batch_size,
                        .shards = ShardsFor(batch_size),
                        .workers = request.workers,
                        .threads = request.threads};
  if (request.workers > setup.shards) {
    Require(absl::InvalidArgumentError(absl::StrCat(request.workers, " workers for ", setup.shards,
                                                    " shards of batch size ", batch_size,
                                                    "; use fewer")));
  }
  StepResult result{.job = job, .batch_size = batch_size, .shards = setup.shards};
  if (request.contract && request.workers == 1) {
    AgainstOneShard(request, setup, result);
  } else {
    Alone(request, setup, result);
  }
  return result;
}

double Limit(const Request& request, const Roofs& roofs, const StepResult& result) {
  return result.flops / (roofs.flops * request.workers * request.threads);
}

void PrintRow(const Request& request, const Roofs& roofs, const StepResult& result) {
  const double limit = Limit(request, roofs, result);
  absl::PrintF("| %d | %d | %.2f | %.2f | %.2f | %.0f %% | %.0f | %.0f |", result.batch_size,
               result.shards, result.median * 1e3, result.best * 1e3, limit * 1e3,
               limit / result.best * 100, static_cast<double>(result.batch_size) / result.median,
               static_cast<double>(result.plan_bytes) / (1 << 20));
  if (result.contract.median > 0) {
    absl::PrintF(" %+.1f %% (%+.1f to %+.1f) |\n", (result.contract.median - 1) * 100,
                 (result.contract.low - 1) * 100, (result.contract.high - 1) * 100);
  } else {
    absl::PrintF(" |\n");
  }
}

// Slowest first.
void PrintCalls(const Roofs& roofs, StepResult result) {
  double total = 0;
  for (const Stepper::CallTime& call : result.calls) total += call.seconds;
  std::stable_sort(result.calls.begin(), result.calls.end(),
                   [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  absl::PrintF("\nThe calls of a step of batch %d, %.2f ms in all, each call at its best\n\n",
               result.batch_size, total * 1e3);
  absl::PrintF("| call | us | share | GFLOP/s | of the FMA roof | GB/s |\n");
  absl::PrintF("|---|---|---|---|---|---|\n");
  for (const Stepper::CallTime& call : result.calls) {
    absl::PrintF("| %s | %.1f | %.1f %% | %.1f | %.0f %% | %.1f |\n", call.label,
                 call.seconds * 1e6, call.seconds / total * 100, call.flops / call.seconds / 1e9,
                 call.flops / call.seconds / roofs.flops * 100, call.bytes / call.seconds / 1e9);
  }
}

void PrintMarkdown(const Request& request, const Roofs& roofs) {
  absl::PrintF("%s\n", MachineLine());
  absl::PrintF("roofs, one thread: %.0f GFLOP/s, %.1f GB/s (%.0f GB/s in cache)\n",
               roofs.flops / 1e9, roofs.bytes / 1e9, roofs.cache_bytes / 1e9);
  absl::PrintF("workers %d, threads %d; efficiency is the FMA limit against the best step\n",
               request.workers, request.threads);
  for (const std::string& job : request.jobs) {
    absl::PrintF("\n### %s\n\n", job);
    absl::PrintF(
        "| batch | shards | ms a step | best | FMA limit, ms | efficiency | samples/s | plan, MiB "
        "| S = auto against S = 1 |\n|---|---|---|---|---|---|---|---|---|\n");
    std::vector<StepResult> results;
    for (const int64_t batch_size : request.batches) {
      results.push_back(Measure(request, job, batch_size));
      PrintRow(request, roofs, results.back());
      std::fflush(stdout);
    }
    if (!request.calls) continue;
    for (const StepResult& result : results) PrintCalls(roofs, result);
  }
}

void PrintJson(const Request& request, const Roofs& roofs) {
  nlohmann::ordered_json all = {
      {"machine", MachineLine()},   {"roof_flops", roofs.flops},
      {"roof_bytes", roofs.bytes},  {"workers", request.workers},
      {"threads", request.threads}, {"steps", nlohmann::ordered_json::array()}};
  for (const std::string& job : request.jobs) {
    for (const int64_t batch_size : request.batches) {
      const StepResult result = Measure(request, job, batch_size);
      nlohmann::ordered_json step = {{"job", job},
                                     {"batch", batch_size},
                                     {"shards", result.shards},
                                     {"flops", result.flops},
                                     {"plan_bytes", result.plan_bytes},
                                     {"seconds", result.median},
                                     {"best_seconds", result.best},
                                     {"efficiency", Limit(request, roofs, result) / result.best}};
      if (result.contract.median > 0) step["against_one_shard"] = result.contract.median;
      for (const Stepper::CallTime& call : result.calls) {
        step["calls"].push_back({{"label", call.label},
                                 {"seconds", call.seconds},
                                 {"flops", call.flops},
                                 {"bytes", call.bytes}});
      }
      all["steps"].push_back(std::move(step));
    }
  }
  absl::PrintF("%s\n", all.dump(1));
}

int Main(int argc, char** argv) {
  Request request;
  CLI::App app{"The time of training steps beside the FMA limit of the same run"};
  app.add_option("jobs", request.jobs, "job files")->required();
  app.add_option("--batch", request.batches, "batch sizes")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--workers", request.workers, "ranks in this process");
  app.add_option("--threads", request.threads, "threads of each rank");
  app.add_option("--seconds", request.seconds, "to measure for, for each job and batch size");
  app.add_flag("!--no-contract", request.contract, "leave out the comparison with one shard");
  app.add_flag("--calls", request.calls, "the time of every call too");
  app.add_flag("--json", request.json, "JSON instead of Markdown");
  CLI11_PARSE(app, argc, argv);
  Require(kernels::InitSimd());
  const Roofs roofs = MeasureRoofs();
  if (request.json) {
    PrintJson(request, roofs);
  } else {
    PrintMarkdown(request, roofs);
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
