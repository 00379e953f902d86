#include "worker/report/run_reporter.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

#include "common/env/signals.h"
#include "tests/support/delegating_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace lockstep {
namespace {

using ::lockstep::testing::DelegatingFile;
using ::lockstep::testing::DelegatingFileSystem;
using ::lockstep::testing::StatusIs;
using ::lockstep::testing::TempDir;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using Json = nlohmann::json;

constexpr int64_t kBytesMax = 64 << 20;
constexpr int64_t kRingPlaces = 4096;

std::vector<Json> ParseLines(absl::string_view text) {
  std::vector<Json> lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    lines.push_back(Json::parse(line.begin(), line.end()));
  }
  return lines;
}

// A disk on which a test is asked before every write and counts syncs.
class WatchedDisk final : public DelegatingFileSystem {
 public:
  std::function<absl::Status(absl::string_view bytes)> before_write;
  std::atomic<int> syncs{0};

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    absl::StatusOr<std::unique_ptr<File>> file = DelegatingFileSystem::Open(path, mode);
    if (!file.ok()) return file;
    return std::make_unique<WatchedFile>(*this, *std::move(file));
  }

 private:
  class WatchedFile final : public DelegatingFile {
   public:
    WatchedFile(WatchedDisk& disk, std::unique_ptr<File> real)
        : DelegatingFile(std::move(real)), disk_(disk) {}
    absl::Status Write(int64_t offset, absl::string_view bytes) override {
      const absl::Status status = disk_.before_write ? disk_.before_write(bytes) : absl::OkStatus();
      return status.ok() ? DelegatingFile::Write(offset, bytes) : status;
    }
    absl::Status Sync() override {
      ++disk_.syncs;
      return DelegatingFile::Sync();
    }

   private:
    WatchedDisk& disk_;
  };
};

class RunReporterTest : public ::testing::Test {
 protected:
  std::unique_ptr<RunReporter> Make(const std::string& pipe = "") {
    return std::make_unique<RunReporter>(
        RunReporter::Parts{.fs = &disk_,
                           .clock = &RealClock(),
                           .metrics_path = path_,
                           .progress_pipe = pipe,
                           .say = [this](absl::string_view text) { said_.emplace_back(text); }});
  }

  static void Start(RunReporter& reporter, int64_t first_step = 0) {
    reporter.OnStart({.metric_names = {"loss", "accuracy"},
                      .first_step = first_step,
                      .total_steps = 20'000,
                      .steps_per_epoch = 5000,
                      .samples = 5000});
  }
  static void Step(RunReporter& reporter, int64_t step, int64_t epoch = 1) {
    const double running[] = {static_cast<double>(step) + 0.5, 0.25};
    reporter.OnStep({.step = step,
                     .epoch = epoch,
                     .loss = static_cast<double>(step),
                     .samples = 10,
                     .running = running});
  }

  std::vector<Json> Metrics() {
    return ParseLines(ReadFile(PosixFileSystem(), path_, kBytesMax).value());
  }

  const TempDir dir_;
  const std::string path_ = dir_.File("metrics.jsonl");
  WatchedDisk disk_;
  std::vector<std::string> said_;  // read after Finish
};

// The exemplar: what is reported is in the file, once and in order, when Finish returns.
TEST_F(RunReporterTest, WritesStepsAndEpochsInTheirOrder) {
  const std::unique_ptr<RunReporter> reporter = Make();
  Start(*reporter);
  Step(*reporter, 1);
  Step(*reporter, 2);
  reporter->OnEpoch({.step = 2, .epoch = 1, .metrics = {{"loss", 1.5}, {"val_loss", 2.5}}});
  Step(*reporter, 3, 2);

  ASSERT_OK(reporter->Finish());

  std::vector<Json> lines = Metrics();
  for (Json& line : lines) EXPECT_EQ(line.erase("seconds"), 1u) << line;
  EXPECT_THAT(lines, ElementsAre(Json::parse(R"({"kind":"step","step":1,"epoch":1,"loss":1.0})"),
                                 Json::parse(R"({"kind":"step","step":2,"epoch":1,"loss":2.0})"),
                                 Json::parse(R"({"kind":"epoch","epoch":1,"step":2,"loss":1.5,)"
                                             R"("val_loss":2.5})"),
                                 Json::parse(R"({"kind":"step","step":3,"epoch":2,"loss":3.0})")));
  EXPECT_THAT(said_, ElementsAre("epoch 1: loss 1.5000, val_loss 2.5000"));
}

// A disk that is slower than training: the ring fills up, the trainer waits, nothing is dropped.
TEST_F(RunReporterTest, LosesNothingWhenTheRingIsFull) {
  constexpr int64_t kSteps = 3 * kRingPlaces;
  std::atomic<int64_t> reported{0};
  int64_t taken = 0;  // of the reporter's thread
  disk_.before_write = [&](absl::string_view bytes) {
    taken += std::count(bytes.begin(), bytes.end(), '\n');
    const int64_t full = std::min(taken + kRingPlaces, kSteps);
    return WaitUntil([&] { return reported >= full; }) ? absl::OkStatus()
                                                       : absl::InternalError("never full");
  };
  const std::unique_ptr<RunReporter> reporter = Make();
  Start(*reporter);

  for (int64_t step = 1; step <= kSteps; ++step) {
    Step(*reporter, step);
    reported = step;
  }
  ASSERT_OK(reporter->Finish());

  const std::vector<Json> lines = Metrics();
  ASSERT_THAT(lines, SizeIs(kSteps));
  for (int64_t step = 1; step <= kSteps; ++step) {
    ASSERT_EQ(lines[static_cast<size_t>(step - 1)]["step"], step);
  }
}

TEST_F(RunReporterTest, MakesDurableWhatWasReportedBefore) {
  const std::unique_ptr<RunReporter> reporter = Make();
  Start(*reporter);
  for (int64_t step = 1; step <= 100; ++step) {
    Step(*reporter, step);
    if (step % 20 != 0) continue;
    const int before = disk_.syncs;

    ASSERT_OK(reporter->MakeDurable());

    EXPECT_GT(disk_.syncs, before);
    EXPECT_THAT(Metrics(), SizeIs(step));
  }
  EXPECT_OK(reporter->Finish());
}

TEST_F(RunReporterTest, KeepsTheLinesOfAFullDiskAndSaysSo) {
  std::atomic<bool> full{true};
  disk_.before_write = [&](absl::string_view) {
    return full ? absl::ResourceExhaustedError("disk full") : absl::OkStatus();
  };
  const std::unique_ptr<RunReporter> reporter = Make();
  Start(*reporter);
  Step(*reporter, 1);
  EXPECT_THAT(reporter->MakeDurable(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("full")))
      << "no checkpoint may claim these lines";
  Step(*reporter, 2);

  full = false;
  EXPECT_OK(reporter->MakeDurable());

  EXPECT_THAT(Metrics(), SizeIs(2));
  full = true;
  Step(*reporter, 3);
  EXPECT_THAT(reporter->Finish(), StatusIs(absl::StatusCode::kResourceExhausted, _))
      << "a result without its metrics would be no result";
}

TEST_F(RunReporterTest, SaysThatTheFileCannotBeOpened) {
  ASSERT_OK(PosixFileSystem().MakeDirectory(path_));
  const std::unique_ptr<RunReporter> reporter = Make();
  Start(*reporter);
  Step(*reporter, 1);

  EXPECT_THAT(reporter->MakeDurable(), StatusIs(absl::StatusCode::kFailedPrecondition, _));
  EXPECT_THAT(reporter->Finish(), StatusIs(absl::StatusCode::kFailedPrecondition, _));
}

TEST_F(RunReporterTest, TellsTheSupervisorTheNewestState) {
  IgnoreBrokenPipes();
  const std::string path = dir_.File("pipe");
  ASSERT_OK_AND_ASSIGN(FifoReader pipe, FifoReader::Create(path));
  const std::unique_ptr<RunReporter> reporter = Make(path);
  Start(*reporter, /*first_step=*/10);
  reporter->OnPhase("train");
  Step(*reporter, 11);
  Step(*reporter, 12);
  reporter->OnEpoch({.step = 12, .epoch = 1, .metrics = {{"loss", 1.5}}});
  reporter->OnCheckpoint(12);
  reporter->OnCheckpointFailed(absl::ResourceExhaustedError("disk full"));
  ASSERT_OK(reporter->Finish());

  std::vector<Json> lines = ParseLines(pipe.ReadAvailable());

  // Of the steps at least the newest before each epoch, however busy the machine is.
  std::erase_if(lines,
                [](const Json& line) { return line["kind"] == "step" && line["step"] == 11; });
  ASSERT_THAT(lines, SizeIs(6));
  EXPECT_EQ(lines[0]["kind"], "run");
  EXPECT_EQ(lines[0]["first_step"], 10);
  EXPECT_EQ(lines[0]["total_steps"], 20'000);
  EXPECT_EQ(lines[1], Json::parse(R"({"kind":"phase","phase":"train"})"));
  EXPECT_EQ(lines[2]["step"], 12);
  EXPECT_EQ(lines[2]["loss"], 12.5) << "the mean of the epoch so far";
  EXPECT_EQ(lines[2]["accuracy"], 0.25);
  EXPECT_NEAR(lines[2]["seconds_per_step"].get<double>() * 2, lines[2]["seconds"].get<double>(),
              1e-12);
  EXPECT_NEAR(lines[2]["samples_per_second"].get<double>() * lines[2]["seconds"].get<double>(), 20,
              1e-6);
  EXPECT_EQ(lines[3]["kind"], "epoch");
  EXPECT_EQ(lines[4], Json::parse(R"({"kind":"checkpoint","step":12})"));
  EXPECT_EQ(lines[5]["kind"], "warning");
  EXPECT_THAT(lines[5]["message"].get<std::string>(), HasSubstr("disk full"));
}

TEST_F(RunReporterTest, NeedsNobodyWhoListens) {
  const std::unique_ptr<RunReporter> reporter = Make(dir_.File("no pipe"));
  Start(*reporter);
  Step(*reporter, 1);
  EXPECT_OK(reporter->Finish());
  EXPECT_THAT(Metrics(), SizeIs(1));
}

}  // namespace
}  // namespace lockstep
