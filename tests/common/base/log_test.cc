#include "common/base/log.h"

#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"

#include "common/base/thread.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::MatchesRegex;

// Collects lines while it lives.
class Lines {
 public:
  explicit Lines(LogOptions options) {
    options.sink = [this](absl::string_view line) { lines_.emplace_back(line); };
    StartLog(std::move(options));
  }
  ~Lines() { StartLog({}); }
  const std::vector<std::string>& get() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

TEST(Log, PutsTimeLevelEventIdentityAndFieldsOnOneLine) {
  Lines lines({.job = "fashion", .attempt = 2, .rank = 0});

  Log("bucket_reduced", {{"step", 7}, {"wait", absl::Milliseconds(1.5)}, {"ok", true}});

  EXPECT_THAT(lines.get(),
              ElementsAre(MatchesRegex(
                  "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z info bucket_reduced "
                  "job=fashion attempt=2 rank=0 step=7 wait=1.5ms ok=true")));
}

TEST(Log, LeavesOutWhatIsNotKnown) {
  Lines lines({});
  Log("started");
  EXPECT_THAT(lines.get(), ElementsAre(MatchesRegex(".* info started")));
}

TEST(Log, DropsWhatIsBelowItsLevel) {
  Lines lines({.level = LogLevel::kWarning});
  Log("quiet");
  Log(LogLevel::kWarning, "loud");
  EXPECT_THAT(lines.get(), ElementsAre(MatchesRegex(".* warning loud")));
}

TEST(Log, QuotesValuesThatWouldBreakTheLine) {
  EXPECT_EQ(FormatLogFields({{"a", "plain"}, {"b", ""}, {"c", "two words"}}),
            "a=plain b=\"\" c=\"two words\"");
  EXPECT_EQ(FormatLogFields({{"a", "x=1"}, {"b", "say \"hi\"\\"}, {"c", "1\n2\x01"}}),
            R"(a="x=1" b="say \"hi\"\\" c="1\n2\x01")");
  EXPECT_EQ(FormatLogFields({{"name", "größe"}, {"big", std::numeric_limits<int64_t>::min()}}),
            "name=größe big=-9223372036854775808");
}

TEST(Log, KeepsLinesOfSeveralThreadsWhole) {
  Lines lines({});
  std::vector<Thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back("writer", [] {
      for (int k = 0; k < 100; ++k) Log("event", {{"k", k}});
    });
  }
  threads.clear();
  ASSERT_EQ(lines.get().size(), 400u);
  for (const std::string& line : lines.get())
    EXPECT_THAT(line, MatchesRegex(".*Z info event k=[0-9]+"));
}

}  // namespace
}  // namespace lockstep
