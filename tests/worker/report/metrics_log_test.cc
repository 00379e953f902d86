#include "worker/report/metrics_log.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using ::lockstep::testing::FaultyFileSystem;
using ::lockstep::testing::StatusIs;
using ::lockstep::testing::TempDir;
using ::testing::HasSubstr;

constexpr int64_t kBytesMax = 1 << 20;

struct Line {
  std::string text;
  int64_t steps = 0;  // what a checkpoint must have kept for the line to stay
  int64_t epochs = 0;
};

Line StepLine(int64_t step, int64_t epoch) {
  return {.text = absl::StrCat(R"({"kind":"step","step":)", step, R"(,"epoch":)", epoch,
                               R"(,"loss":1.5,"seconds":0.25})", "\n"),
          .steps = step};
}
Line EpochLine(int64_t step, int64_t epoch) {
  return {.text = absl::StrCat(R"({"kind":"epoch","epoch":)", epoch, R"(,"step":)", step,
                               R"(,"loss":1.5,"seconds":0.25})", "\n"),
          .steps = step,
          .epochs = epoch};
}

// Three epochs of three steps; the steps end the third one early.
std::vector<Line> LinesOfARun() {
  return {StepLine(1, 1), StepLine(2, 1), StepLine(3, 1), EpochLine(3, 1),
          StepLine(4, 2), StepLine(5, 2), StepLine(6, 2), EpochLine(6, 2),
          StepLine(7, 3), StepLine(8, 3), EpochLine(8, 3)};
}

std::string TextOf(const std::vector<Line>& lines) {
  std::string text;
  for (const Line& line : lines) text += line.text;
  return text;
}

class MetricsLogTest : public ::testing::Test {
 protected:
  void SetText(absl::string_view text) {
    std::remove(path_.c_str());  // ext4 syncs a file that is emptied and written again
    std::ofstream(path_, std::ios::binary) << text;
  }
  std::string Text() { return ReadFile(PosixFileSystem(), path_, kBytesMax).value(); }

  const TempDir dir_;
  const std::string path_ = dir_.File("metrics.jsonl");
};

// The exemplar: a process may die within any write. Wherever the file ends then, what the
// checkpoint has kept stays, whole lines only, and nothing else.
TEST_F(MetricsLogTest, KeepsExactlyTheRightPrefixForAnyCutAtAnyByte) {
  const std::vector<Line> lines = LinesOfARun();
  const std::string whole = TextOf(lines);
  // A checkpoint in the middle of an epoch, at the end of one before and after it was closed, ...
  for (const MetricsLog::Kept kept :
       {MetricsLog::Kept{1, 0}, {2, 0}, {3, 0}, {3, 1}, {5, 1}, {6, 1}, {6, 2}, {8, 2}, {8, 3}}) {
    for (size_t cut = 0; cut <= whole.size(); ++cut) {
      std::string expected;
      for (const Line& line : lines) {
        const bool is_kept = line.steps <= kept.steps && line.epochs <= kept.epochs;
        if (!is_kept || expected.size() + line.text.size() > cut) break;
        expected += line.text;
      }
      SetText(whole.substr(0, cut));

      ASSERT_OK(MetricsLog::Open(PosixFileSystem(), path_, kept));

      ASSERT_EQ(Text(), expected) << "cut after " << cut << " bytes, kept " << kept.steps
                                  << " steps and " << kept.epochs << " epochs";
    }
  }
}

TEST_F(MetricsLogTest, StartsAnewAtStepZero) {
  SetText(TextOf(LinesOfARun()));

  ASSERT_OK(MetricsLog::Open(PosixFileSystem(), path_, {}));

  EXPECT_EQ(Text(), "");
}

TEST_F(MetricsLogTest, CutsOffWhatIsNoLineOfOurs) {
  const std::string good = StepLine(1, 1).text;
  for (const char* bad : {"\n", "{}\n", "[1]\n", "\x00\xff\n",
                          R"({"kind":"step","step":"1"})"
                          "\n",
                          R"({"kind":7,"step":1})"
                          "\n",
                          R"({"step":1})"
                          "\n"}) {
    SetText(absl::StrCat(good, bad));

    ASSERT_OK(MetricsLog::Open(PosixFileSystem(), path_, {.steps = 5, .epochs = 1}));

    EXPECT_EQ(Text(), good) << bad;
  }
}

TEST_F(MetricsLogTest, AppendsToWhatItKeeps) {
  SetText(TextOf(LinesOfARun()));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<MetricsLog> log,
                       MetricsLog::Open(PosixFileSystem(), path_, {.steps = 4, .epochs = 1}));
  log->Append(R"({"kind":"step","step":5})");
  EXPECT_EQ(Text().find("\"step\":5"), std::string::npos) << "in memory until Write";

  ASSERT_OK(log->Write());
  log->Append(R"({"kind":"step","step":6})");
  ASSERT_OK(log->Sync());

  std::vector<Line> kept = LinesOfARun();
  kept.resize(5);
  EXPECT_EQ(Text(), absl::StrCat(TextOf(kept), R"({"kind":"step","step":5})", "\n",
                                 R"({"kind":"step","step":6})", "\n"));
}

TEST_F(MetricsLogTest, LosesNothingToADiskThatIsFullForAWhile) {
  FaultyFileSystem fs;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<MetricsLog> log, MetricsLog::Open(fs, path_, {}));
  log->Append("one");
  ASSERT_OK(log->Write());
  log->Append("two");
  fs.FailAt(fs.calls() + 1, absl::ResourceExhaustedError("disk full"));

  // Half of the bytes are on the disk all the same.
  EXPECT_THAT(log->Write(), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("full")));
  log->Append("three");
  ASSERT_OK(log->Write());

  EXPECT_EQ(Text(), "one\ntwo\nthree\n");
}

TEST_F(MetricsLogTest, SaysThatAFileCannotBeOpened) {
  EXPECT_THAT(MetricsLog::Open(PosixFileSystem(), dir_.File("absent/metrics.jsonl"), {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent/metrics.jsonl")));
}

}  // namespace
}  // namespace lockstep
