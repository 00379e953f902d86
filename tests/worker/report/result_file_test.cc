#include "worker/report/result_file.h"

#include <limits>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

#include "common/base/numerics_version.h"
#include "common/checkpoint/job_output.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using ::lockstep::testing::FaultyFileSystem;
using ::lockstep::testing::StatusIs;
using ::lockstep::testing::TempDir;
using ::testing::_;

RunResult MakeResult() {
  return {.job = "cnn",
          .model_sha256 = "ab12",
          .steps = 7,
          .epochs = 2,
          .metrics = {{"loss", 0.1}, {"val_loss", 1.0 / 3.0}, {"test_accuracy", 0.5}},
          .seconds = 1.5,
          .samples_per_second = 100,
          .workers = 3,
          .threads = 2,
          .simd = "avx2",
          .version = "1.2.3",
          .data_hash = "cd34",
          .files = {"model.safetensors"},
          .checkpoints_failed = 1};
}

std::string Text(const TempDir& dir) {
  return ReadFile(PosixFileSystem(), dir.File(kResultName), 1 << 20).value();
}

TEST(ResultFile, HoldsWhatScriptsReadInTheOrderInWhichPeopleDo) {
  const TempDir dir;

  ASSERT_OK(WriteResult(PosixFileSystem(), dir.path(), MakeResult()));

  const auto json = nlohmann::ordered_json::parse(Text(dir));
  EXPECT_EQ(json["state"], "SUCCEEDED");
  EXPECT_EQ(json["model_sha256"], "ab12");
  EXPECT_EQ(json["numerics_version"], kNumericsVersion);
  EXPECT_EQ(json["steps"], 7);
  EXPECT_EQ(json["epochs"], 2);
  EXPECT_EQ(json["metrics"]["val_loss"].get<double>(), 1.0 / 3.0) << "to the last bit";
  EXPECT_EQ(json["seconds"], 1.5);
  EXPECT_EQ(json["samples_per_second"], 100);
  EXPECT_EQ(json["workers"], 3);
  EXPECT_EQ(json["threads"], 2);
  EXPECT_EQ(json["simd"], "avx2");
  EXPECT_EQ(json["version"], "1.2.3");
  EXPECT_EQ(json["files"][0], "model.safetensors");
  EXPECT_EQ(json["checkpoints_failed"], 1);
  EXPECT_EQ(json["metrics"].begin().key(), "loss") << "as they are shown";
  EXPECT_EQ(Text(dir).back(), '\n');
}

TEST(ResultFile, IsJsonWhateverTheNumbersAndNames) {
  const TempDir dir;
  RunResult result = MakeResult();
  result.metrics = {{"loss", std::numeric_limits<double>::quiet_NaN()}};
  result.job = "\xff";

  ASSERT_OK(WriteResult(PosixFileSystem(), dir.path(), result));

  EXPECT_TRUE(nlohmann::json::parse(Text(dir))["metrics"]["loss"].is_null());
}

// A directory that has the file holds a finished run: there is no half of it.
TEST(ResultFile, IsWholeOrAsItWasAtAnyFailure) {
  const TempDir dir;
  RunResult old = MakeResult();
  old.steps = 1;
  ASSERT_OK(WriteResult(PosixFileSystem(), dir.path(), old));
  const std::string before = Text(dir);
  for (int call = 1;; ++call) {
    FaultyFileSystem fs;
    fs.FailAt(call, absl::ResourceExhaustedError("disk full"));
    const absl::Status written = WriteResult(fs, dir.path(), MakeResult());
    if (written.ok()) {
      EXPECT_GT(call, 4) << "write, sync, close, rename, sync of the directory";
      break;
    }
    EXPECT_THAT(written, StatusIs(absl::StatusCode::kResourceExhausted, _));
    const std::string text = Text(dir);
    EXPECT_TRUE(text == before || nlohmann::json::parse(text)["steps"] == 7) << "call " << call;
    EXPECT_THAT(PosixFileSystem().List(dir.path()).value(), ::testing::SizeIs(1)) << call;
  }
}

TEST(EvaluationLine, IsOneLineForTheSupervisor) {
  const std::string line = EvaluationLine({{"test_loss", 0.25}, {"test_accuracy", 1}}, "ab12");

  EXPECT_EQ(line, R"({"kind":"evaluation","metrics":{"test_loss":0.25,"test_accuracy":1.0},)"
                  R"("model_sha256":"ab12"})");
}

}  // namespace
}  // namespace lockstep
