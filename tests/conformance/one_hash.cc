#include "tests/conformance/one_hash.h"

#include "gtest/gtest.h"

#include "common/kernels/simd_target.h"
#include "tests/conformance/probe.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep::testing {

void ExpectOneHash(TrainingRunOptions options) {
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult expected, RunTraining(options));
  for (const absl::string_view simd : kernels::SupportedSimd()) {
    const kernels::ScopedSimdForTest forced(simd);
    ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));
    EXPECT_EQ(result.model_sha256, expected.model_sha256) << simd;
  }
  for (const Split split : {Split{2, 1, 2}, {3, 2, 1}, {4, 1, 1}, {8, 1, 2}}) {
    options.ranks = split.ranks;
    options.threads = split.threads;
    options.hosts = split.hosts;
    ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));
    EXPECT_EQ(result.model_sha256, expected.model_sha256) << split;
    EXPECT_EQ(result.result.metrics, expected.result.metrics) << split;
  }
  const int ranks[] = {1, 3, 8, 2, 4};
  for (int64_t cut = 1; cut < kSteps; cut += 2) {
    const TempDir dir;
    TrainingRequests requests;
    RecordingObserver before;
    before.on_step = [&](const StepReport& report) {
      if (report.step == cut) requests.stop = true;
    };
    TrainingRunOptions part = options;
    part.checkpoint_root = dir.File("checkpoints");
    part.requests = &requests;
    part.observer = &before;
    part.threads = part.hosts = 1;
    part.ranks = ranks[cut / 2];
    ASSERT_OK_AND_ASSIGN(const TrainingRunResult stopped, RunTraining(part));
    ASSERT_TRUE(stopped.result.stopped);

    requests.stop = false;
    part.observer = nullptr;
    part.ranks = ranks[cut / 2 + 1];
    part.resume = true;
    ASSERT_OK_AND_ASSIGN(const TrainingRunResult resumed, RunTraining(part));

    EXPECT_EQ(resumed.result.samples_trained + stopped.result.samples_trained, 2 * kSamples);
    EXPECT_EQ(resumed.model_sha256, expected.model_sha256) << "cut after step " << cut;
    EXPECT_EQ(resumed.result.metrics, expected.result.metrics);
  }
}

}  // namespace lockstep::testing
