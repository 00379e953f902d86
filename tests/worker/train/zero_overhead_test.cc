// A step allocates nothing; with one rank and one thread it makes no system call, otherwise futexes
// only. Proved by counting allocations and by a kernel filter under which any other call is fatal.
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "gtest/gtest.h"

#include "common/base/status_macros.h"
#include "common/plan/job_graph.h"
#include "common/plan/shard_plan.h"
#include "tests/support/allocation_count.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/syscall_trap.h"
#include "tests/support/temp_dir.h"
#include "worker/comm/local_group.h"
#include "worker/report/run_reporter.h"
#include "worker/train/trainer.h"

namespace lockstep {
namespace {

using ::lockstep::testing::AllocationCount;
using ::lockstep::testing::MakeColumn;
using ::lockstep::testing::RandomFloats;
using ::lockstep::testing::RandomLabels;
using ::lockstep::testing::SyscallTrap;
using ::lockstep::testing::TempDir;

// Every kind of call: convolution, pooling, batch normalisation with its collectives, dropout, a
// branch, dense layers, a fingerprint each step.
constexpr char kJob[] = R"(
name: small
model:
  input_shape: [6, 6, 2]
  layers:
    - conv2d: {filters: 4, kernel_size: 3, padding: same, activation: relu, name: c1}
    - batch_normalization
    - conv2d: {filters: 4, kernel_size: 1, name: c2}
    - add: {inputs: [c1, c2]}
    - max_pooling2d
    - dropout: {rate: 0.25}
    - flatten
    - dense: {units: 7, activation: tanh}
    - dense: {units: 3, activation: softmax}
data:
  train: {format: idx, inputs: a, targets: b}
train: {batch_size: 20, epochs: 100, shards: 8, seed: 3}
loss: sparse_categorical_crossentropy
optimizer: {adam: {learning_rate: 0.01}}
metrics: [accuracy]
)";

constexpr int64_t kSamples = 70;  // the last batch of an epoch is smaller
constexpr int kWarmUp = 3;
constexpr int kSteps = 9;  // over the ends of epochs

Dataset SmallData() {
  Dataset data;
  data.count = kSamples;
  data.inputs.push_back(
      MakeColumn("input_layer", Shape{6, 6, 2}, RandomFloats(kSamples * 6 * 6 * 2, 1)));
  data.targets.push_back(MakeColumn("dense_1", Shape{}, RandomLabels(kSamples, 3, 1)));
  return data;
}

struct Ranks {
  int ranks = 1;
  int threads = 1;
  TrainingObserver* observer = nullptr;
};

// Makes the trainer of each rank, warms it up and calls `body` with it.
absl::Status WithTrainers(const Ranks& how,
                          absl::FunctionRef<absl::Status(Trainer&, Communicator&)> body) {
  LOCKSTEP_ASSIGN_OR_RETURN(const JobSpec spec, LoadJobSpec(kJob, "job.yaml", ""));
  const Dataset data = SmallData();
  return FirstFailure(RunLocalGroup(
      {.ranks = how.ranks, .shards = static_cast<int32_t>(spec.shards())},
      [&](Communicator& communicator) -> absl::Status {
        LOCKSTEP_ASSIGN_OR_RETURN(const JobGraph graph, BuildJobGraph(spec));
        LOCKSTEP_ASSIGN_OR_RETURN(const ProgramDef* const program, FindProgram(spec.program()));
        const DataSignature signature = data.signature();
        const std::unique_ptr<StaticPlan> plan = StaticPlan::Create(
            {.spec = &spec,
             .graph = &graph,
             .program = program,
             .train = &signature,
             .geometry = GeometryOf(spec.train().batch_size, static_cast<int32_t>(spec.shards()),
                                    how.ranks, communicator.rank()),
             .workers = how.ranks,
             .rank = communicator.rank()});
        ComputePool pool(how.threads, Spin::kNone);
        TrainingRequests requests;
        LOCKSTEP_ASSIGN_OR_RETURN(
            const std::unique_ptr<Trainer> trainer,
            Trainer::Create({.spec = &spec,
                             .graph = &graph,
                             .plan = plan.get(),
                             .communicator = &communicator,
                             .pool = &pool,
                             .train = {&data, {0, data.count}},
                             .fs = &PosixFileSystem(),
                             .clock = &RealClock(),
                             .observer = communicator.rank() == 0 ? how.observer : nullptr,
                             .requests = &requests,
                             .fingerprint_every = 1}));
        trainer->Initialize();
        for (int i = 0; i < kWarmUp; ++i) LOCKSTEP_RETURN_IF_ERROR(trainer->RunStep());
        return body(*trainer, communicator);
      }));
}

absl::Status Steps(Trainer& trainer) {
  for (int i = 0; i < kSteps; ++i) LOCKSTEP_RETURN_IF_ERROR(trainer.RunStep());
  return absl::OkStatus();
}

TEST(ZeroOverhead, StepsAllocateNothingWithAnyRanksAndThreads) {
  if (!testing::AllocationsAreCounted()) GTEST_SKIP() << "the sanitizer has a malloc of its own";
  const int64_t before = AllocationCount();
  const auto kept = std::make_unique<std::vector<int>>(1000);
  ASSERT_GT(AllocationCount(), before);  // the count works
  for (const auto& [ranks, threads] :
       {std::pair{1, 1}, std::pair{1, 3}, std::pair{2, 1}, std::pair{3, 2}}) {
    int64_t first = -1, last = -1;
    ASSERT_OK(WithTrainers({.ranks = ranks, .threads = threads},
                           [&](Trainer& trainer, Communicator& communicator) -> absl::Status {
                             // All have warmed up before the first reads the count, and nobody
                             // ends before it is read again.
                             LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
                             if (communicator.rank() == 0) first = AllocationCount();
                             LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
                             LOCKSTEP_RETURN_IF_ERROR(Steps(trainer));
                             LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
                             if (communicator.rank() == 0) last = AllocationCount();
                             return communicator.Barrier();
                           }));
    EXPECT_EQ(last - first, 0) << ranks << " ranks, " << threads << " threads";
  }
}

// Runs steps under the filter in a child; `probe` is called last, under it too.
int RunFiltered(SyscallTrap& trap, const Ranks& how, SyscallTrap::Threads threads,
                const std::vector<int>& allowed, void (*probe)() = nullptr) {
  return trap.InChild([&] {
    const absl::Status status =
        WithTrainers(how, [&](Trainer& trainer, Communicator& communicator) -> absl::Status {
          // A pool's thread may not have come to its first wait yet.
          if (threads == SyscallTrap::Threads::kAll) PauseFor(absl::Milliseconds(100));
          LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
          if (communicator.rank() == 0 && !trap.Arm(threads, allowed)) SyscallTrap::CannotFilter();
          LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
          LOCKSTEP_RETURN_IF_ERROR(Steps(trainer));
          LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
          if (probe != nullptr) probe();
          if (communicator.rank() == 0) SyscallTrap::Done();
          return communicator.Barrier();
        });
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
  });
}

class ZeroSystemCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::AllocationsAreCounted()) GTEST_SKIP() << "the sanitizer makes calls of its own";
    const int code = trap_.InChild([&] {
      if (!trap_.Arm(SyscallTrap::Threads::kAll, {})) SyscallTrap::CannotFilter();
      SyscallTrap::Done();
    });
    if (code == SyscallTrap::kCannotFilter) GTEST_SKIP() << "no system call may be filtered here";
    ASSERT_EQ(code, SyscallTrap::kDone);
  }
  SyscallTrap trap_;
};

TEST_F(ZeroSystemCalls, TheFilterSeesACall) {
  EXPECT_EQ(RunFiltered(trap_, {}, SyscallTrap::Threads::kThis, {}, [] { sync(); }),
            SyscallTrap::kTrapped);
  EXPECT_EQ(trap_.seen(), SYS_sync);
}

TEST_F(ZeroSystemCalls, AStepOfOneRankAndOneThreadMakesNone) {
  EXPECT_EQ(RunFiltered(trap_, {}, SyscallTrap::Threads::kThis, {}), SyscallTrap::kDone)
      << "system call " << trap_.seen();
}

// The real reporter beside it: its thread writes, the trainer's does not wait for it.
TEST_F(ZeroSystemCalls, AReportedStepMakesNone) {
  const TempDir dir;
  const int code = trap_.InChild([&] {
    RunReporter reporter({.fs = &PosixFileSystem(),
                          .clock = &RealClock(),
                          .metrics_path = dir.File("metrics.jsonl"),
                          .progress_pipe = "",
                          .say = nullptr});
    const absl::Status status =
        WithTrainers({.observer = &reporter}, [&](Trainer& trainer, Communicator&) {
          if (!trap_.Arm(SyscallTrap::Threads::kThis, {})) SyscallTrap::CannotFilter();
          absl::Status stepped = Steps(trainer);
          if (stepped.ok()) SyscallTrap::Done();
          return stepped;
        });
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
  });
  EXPECT_EQ(code, SyscallTrap::kDone) << "system call " << trap_.seen();
}

TEST_F(ZeroSystemCalls, SeveralThreadsAndRanksUseFutexesOnly) {
  for (const auto& [ranks, threads] : {std::pair{1, 2}, std::pair{2, 1}, std::pair{2, 2}}) {
    EXPECT_EQ(RunFiltered(trap_, {.ranks = ranks, .threads = threads}, SyscallTrap::Threads::kAll,
                          {SYS_futex}),
              SyscallTrap::kDone)
        << ranks << " ranks, " << threads << " threads: system call " << trap_.seen();
  }
}

}  // namespace
}  // namespace lockstep
