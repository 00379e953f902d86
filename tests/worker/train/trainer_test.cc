#include "worker/train/trainer.h"

#include "gmock/gmock.h"

#include "common/kernels/simd_target.h"
#include "tests/support/delegating_file_system.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/training_run.h"

namespace lockstep {
namespace {

using ::lockstep::testing::FaultyFileSystem;
using ::lockstep::testing::MakeColumn;
using ::lockstep::testing::RandomFloats;
using ::lockstep::testing::RandomLabels;
using ::lockstep::testing::RecordingObserver;
using ::lockstep::testing::RunTraining;
using ::lockstep::testing::StatusIs;
using ::lockstep::testing::TempDir;
using ::lockstep::testing::TrainingRunOptions;
using ::lockstep::testing::TrainingRunResult;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Every kind of call in one small model: convolution, pooling, batch normalisation with its
// collectives, dropout, a branch, dense layers. 20 of batch size in 8 shards: 3 a shard, the last
// one empty; 70 samples: the last batch is smaller.
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
  validation: {format: idx, inputs: a, targets: b}
train: {batch_size: 20, epochs: 2, shards: 8, seed: 3}
loss: sparse_categorical_crossentropy
optimizer: {adam: {learning_rate: 0.01}}
metrics: [accuracy]
checkpoint: {every_steps: 3}
)";

Dataset SmallData(int64_t count, uint32_t seed) {
  Dataset data;
  data.count = count;
  data.inputs.push_back(
      MakeColumn("input_layer", Shape{6, 6, 2}, RandomFloats(count * 6 * 6 * 2, seed)));
  data.targets.push_back(MakeColumn("dense_1", Shape{}, RandomLabels(count, 3, seed)));
  return data;
}

class Trainer : public ::testing::Test {
 protected:
  TrainingRunOptions Options() {
    TrainingRunOptions options;
    options.job = kJob;
    options.train = &train_;
    options.validation = &validation_;
    return options;
  }
  const Dataset train_ = SmallData(70, 1);
  const Dataset validation_ = SmallData(33, 2);
};

// The exemplar: the lockstep contract in small. Not near: equal.
TEST_F(Trainer, GivesOneHashForAnySplitThreadsAndSimdTarget) {
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult first, RunTraining(Options()));
  struct Split {
    int ranks, threads, hosts;
  };
  for (const absl::string_view simd : kernels::SupportedSimd()) {
    const kernels::ScopedSimdForTest forced(simd);
    for (const Split split :
         {Split{1, 1, 1}, {2, 1, 1}, {3, 2, 1}, {4, 1, 2}, {5, 1, 1}, {7, 1, 3}, {8, 3, 1}}) {
      TrainingRunOptions options = Options();
      options.ranks = split.ranks;
      options.threads = split.threads;
      options.hosts = split.hosts;
      ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));
      EXPECT_EQ(result.model_sha256, first.model_sha256)
          << simd << ", " << split.ranks << " ranks, " << split.threads << " threads";
      EXPECT_EQ(result.result.metrics, first.result.metrics);
    }
  }
}

TEST_F(Trainer, ReportsEveryStepAndEpochOnce) {
  RecordingObserver observer;
  TrainingRunOptions options = Options();
  options.observer = &observer;
  options.ranks = 2;

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));

  EXPECT_EQ(observer.start.total_steps, 8);
  EXPECT_THAT(observer.start.metric_names, ElementsAre("loss", "accuracy"));
  ASSERT_THAT(observer.steps, SizeIs(8));
  EXPECT_EQ(observer.steps[3].samples, 10) << "70 samples: the last batch is smaller";
  EXPECT_EQ(observer.steps[4].epoch, 2);
  ASSERT_THAT(observer.epochs, SizeIs(2));
  EXPECT_EQ(observer.epochs[1].step, 8);
  EXPECT_EQ(observer.epochs[1].metrics[2].first, "val_loss");
  EXPECT_EQ(result.result.metrics, observer.epochs[1].metrics);
  EXPECT_EQ(result.result.samples_trained, 140);
}

// 2k steps = k steps + save + restore at another W + k steps, wherever the cut falls.
TEST_F(Trainer, GoesOnFromACheckpointAtAnyCountOfRanks) {
  RecordingObserver whole;
  TrainingRunOptions undisturbed = Options();
  undisturbed.observer = &whole;
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult expected, RunTraining(undisturbed));
  int ranks = 1;
  for (int64_t cut = 1; cut < 8; ++cut) {
    const TempDir dir;
    TrainingRequests requests;
    RecordingObserver before, after;
    before.on_step = [&](const StepReport& report) {
      if (report.step == cut) requests.stop = true;
    };
    TrainingRunOptions options = Options();
    options.checkpoint_root = dir.File("checkpoints");
    options.requests = &requests;
    options.observer = &before;
    options.ranks = ranks;
    ASSERT_OK_AND_ASSIGN(const TrainingRunResult stopped, RunTraining(options));
    EXPECT_TRUE(stopped.result.stopped);

    ranks = ranks % 5 + 1;
    requests.stop = false;
    options.ranks = ranks;
    options.resume = true;
    options.observer = &after;
    ASSERT_OK_AND_ASSIGN(const TrainingRunResult resumed, RunTraining(options));

    EXPECT_EQ(resumed.model_sha256, expected.model_sha256) << "cut after step " << cut;
    EXPECT_EQ(resumed.result.metrics, expected.result.metrics);
    EXPECT_EQ(after.start.first_step, stopped.result.steps);
    EXPECT_EQ(before.steps.size() + after.steps.size(), 8u) << "every step once";
    EXPECT_EQ(before.epochs.size() + after.epochs.size(), 2u) << "every epoch once";
  }
}

// The last bytes of a checkpoint's files cannot be written: they belong to the last rank.
class FileWithoutAnEnd final : public testing::DelegatingFile {
 public:
  FileWithoutAnEnd(std::unique_ptr<File> real, int64_t size_bytes)
      : DelegatingFile(std::move(real)), size_bytes_(size_bytes) {}
  absl::Status Write(int64_t offset, absl::string_view bytes) override {
    if (offset + std::ssize(bytes) < size_bytes_) return DelegatingFile::Write(offset, bytes);
    return absl::ResourceExhaustedError("no space for the end");
  }

 private:
  const int64_t size_bytes_;
};

class DiskWithoutAnEnd final : public testing::DelegatingFileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    absl::StatusOr<std::unique_ptr<File>> file = DelegatingFileSystem::Open(path, mode);
    if (!file.ok() || mode != OpenMode::kUpdate) return file;
    return std::make_unique<FileWithoutAnEnd>(*std::move(file), Stat(path)->size_bytes);
  }
};

TEST_F(Trainer, TellsWhyAnotherRankCouldNotWriteItsPartOfACheckpoint) {
  const TempDir dir;
  DiskWithoutAnEnd fs;
  RecordingObserver observer;
  TrainingRunOptions options = Options();
  options.job.replace(options.job.find("units: 7"), 8, "units: 500");
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult undisturbed, RunTraining(options));
  options.ranks = 2;
  options.fs = &fs;
  options.checkpoint_root = dir.File("checkpoints");
  options.observer = &observer;

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));

  EXPECT_EQ(result.model_sha256, undisturbed.model_sha256) << "training goes on";
  EXPECT_THAT(observer.checkpoints, IsEmpty());
  ASSERT_THAT(observer.failures, Not(IsEmpty()));
  EXPECT_THAT(observer.failures[0],
              StatusIs(absl::StatusCode::kResourceExhausted, "rank 1: no space for the end"));
  EXPECT_THAT(PosixFileSystem().List(options.checkpoint_root).value(), IsEmpty());
}

TEST_F(Trainer, ClosesAnEpochThatTheStepsEndEarlyAndReopensItForMoreSteps) {
  const auto with_steps = [](int steps) {
    std::string job = kJob;
    job.replace(job.find("epochs: 2"), 9, "steps: " + std::to_string(steps));
    return job;
  };
  const TempDir dir;
  TrainingRunOptions options = Options();
  options.job = with_steps(6);
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult expected, RunTraining(options));
  RecordingObserver first, second;
  options.checkpoint_root = dir.File("checkpoints");
  options.job = with_steps(2);
  options.observer = &first;
  ASSERT_OK(RunTraining(options));
  options.job = with_steps(6);
  options.observer = &second;
  options.resume = true;

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult resumed, RunTraining(options));

  ASSERT_THAT(first.epochs, SizeIs(1));
  EXPECT_EQ(first.epochs[0].step, 2) << "validation runs at the end of a short run too";
  EXPECT_EQ(resumed.model_sha256, expected.model_sha256);
  EXPECT_EQ(resumed.result.metrics, expected.result.metrics);
  ASSERT_THAT(second.epochs, SizeIs(2));
  EXPECT_EQ(second.epochs[0].step, 4);
  EXPECT_EQ(second.epochs[1].step, 6);
}

TEST_F(Trainer, GoesOnWithTheLastGoodCheckpointWhenOneCannotBeWritten) {
  TrainingRunOptions options = Options();
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult expected, RunTraining(options));
  const TempDir dir;
  FaultyFileSystem fs;
  fs.FailAt(1, absl::ResourceExhaustedError("no space left on device"));
  RecordingObserver observer;
  options.fs = &fs;
  options.checkpoint_root = dir.File("checkpoints");
  options.observer = &observer;
  options.ranks = 3;

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));

  EXPECT_EQ(result.model_sha256, expected.model_sha256);
  EXPECT_THAT(observer.failures,
              ElementsAre(StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no space"))));
  ASSERT_FALSE(observer.checkpoints.empty());
  EXPECT_EQ(observer.checkpoints.back(), 8);
}

TEST_F(Trainer, NamesLayerAndSampleOfAValueThatIsNotFinite) {
  Dataset data;
  data.count = 70;
  std::vector<float> pixels = RandomFloats(70 * 72, 1);
  pixels[41 * 72 + 5] = std::numeric_limits<float>::quiet_NaN();
  data.inputs.push_back(MakeColumn("input_layer", Shape{6, 6, 2}, std::move(pixels)));
  data.targets.push_back(MakeColumn("dense_1", Shape{}, RandomLabels(70, 3, 1)));
  for (const int ranks : {1, 3}) {
    TrainingRunOptions options = Options();
    options.train = &data;
    options.ranks = ranks;

    EXPECT_THAT(RunTraining(options), StatusIs(absl::StatusCode::kOutOfRange,
                                               ::testing::AllOf(HasSubstr("'input_layer/decode'"),
                                                                HasSubstr("sample 41"))));
  }
}

TEST_F(Trainer, RefusesALabelOutsideTheClasses) {
  Dataset data = SmallData(70, 1);
  std::vector<int64_t> labels = RandomLabels(70, 3, 1);
  labels[12] = 3;
  data.targets[0] = MakeColumn("dense_1", Shape{}, std::move(labels));
  TrainingRunOptions options = Options();
  options.train = &data;
  options.ranks = 2;

  EXPECT_THAT(RunTraining(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sample 12 has label 3")));
}

}  // namespace
}  // namespace lockstep
