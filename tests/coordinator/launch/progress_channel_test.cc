#include "coordinator/launch/progress_channel.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/env/file_system.h"
#include "common/env/unique_fd.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::testing::IsEmpty;

TEST(ProgressLine, HoldsTheFieldsOfItsKind) {
  EXPECT_EQ(ParseProgressLine(R"({"kind":"step","step":7,"loss":0.5})")->step, 7);
  EXPECT_EQ(ParseProgressLine(R"({"kind":"checkpoint","step":500})")->kind,
            ProgressLine::Kind::kCheckpoint);
  EXPECT_EQ(ParseProgressLine(R"({"kind":"run","first_step":3,"total_steps":9})")->step, 3);
  EXPECT_EQ(ParseProgressLine(R"({"kind":"phase","phase":"load"})")->phase, "load");
  EXPECT_EQ(ParseProgressLine(R"({"kind":"error","code":65,"rank":1,"message":"bad"})")->message,
            "bad");
  EXPECT_EQ(ParseProgressLine(R"({"kind":"epoch","epoch":1})")->json,
            R"({"kind":"epoch","epoch":1})");
  EXPECT_EQ(ParseProgressLine(R"({"kind":"of the future"})")->kind, ProgressLine::Kind::kOther);
}

TEST(ProgressLine, IsNothingElse) {
  for (const char* line : {"", "{", "7", "[]", "{}", R"({"kind":1})", R"({"kind":"step"})",
                           R"({"kind":"step","step":"x"})", R"({"kind":"phase","phase":3})",
                           R"({"kind":"error","code":1})", R"({"kind":"run"})", "\xff\xfe"}) {
    EXPECT_EQ(ParseProgressLine(line), std::nullopt) << line;
  }
}

class ProgressChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = absl::StrCat(::testing::TempDir(), "progressXXXXXX");
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { ASSERT_OK(PosixFileSystem().RemoveTree(dir_)); }

  std::string Path() { return absl::StrCat(dir_, "/progress"); }
  void Write(const std::string& text) {
    const UniqueFd writer(open(Path().c_str(), O_WRONLY | O_NONBLOCK));
    ASSERT_EQ(write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  std::string dir_;
};

TEST_F(ProgressChannelTest, JoinsLinesThatArriveInPieces) {
  ASSERT_OK_AND_ASSIGN(ProgressChannel channel, ProgressChannel::Create(Path()));
  Write("{\"kind\":\"step\",");
  EXPECT_THAT(channel.Poll(), IsEmpty());
  Write("\"step\":1}\n{\"kind\":\"step\",\"step\":2}\n{\"ki");

  const std::vector<ProgressLine> lines = channel.Poll();

  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].step, 2);
}

TEST_F(ProgressChannelTest, DropsGarbageAndEndlessLinesAndGoesOn) {
  ASSERT_OK_AND_ASSIGN(ProgressChannel channel, ProgressChannel::Create(Path()));
  Write("torn by a death\n");
  for (int i = 0; i < 30; ++i) Write(std::string(4096, 'x'));
  Write("\n{\"kind\":\"step\",\"step\":3}\n");

  const std::vector<ProgressLine> lines = channel.Poll();

  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].step, 3);
  EXPECT_EQ(channel.dropped_lines(), 2);
}

}  // namespace
}  // namespace lockstep
