#include "common/spec/quantity.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ParseBytes, KnowsBinaryAndDecimalUnits) {
  EXPECT_EQ(*ParseBytes(Value::String("4GiB"), "memory"), int64_t{4} << 30);
  EXPECT_EQ(*ParseBytes(Value::String("500MB"), "memory"), 500'000'000);
  EXPECT_EQ(*ParseBytes(Value::String("64 KiB"), "memory"), 65536);
  EXPECT_EQ(*ParseBytes(Value::String("7B"), "memory"), 7);
  EXPECT_EQ(*ParseBytes(Value::Int(1024), "memory"), 1024);
}

TEST(ParseBytes, RefusesWhatIsNoAmount) {
  for (const absl::string_view text : {"", "GiB", "4", "4Gi", "-4GiB", "0B", "1.5GiB", "x"}) {
    EXPECT_THAT(ParseBytes(Value::String(text), "memory"),
                StatusIs(kInvalid, HasSubstr("give bytes, like 4GiB or 500MB")))
        << text;
  }
  EXPECT_FALSE(ParseBytes(Value::Int(0), "memory").ok());
  EXPECT_FALSE(ParseBytes(Value::Float(1.5), "memory").ok());
}

TEST(ParseBytes, RefusesOverflow) {
  EXPECT_TRUE(ParseBytes(Value::String("8388607TiB"), "memory").ok());
  EXPECT_FALSE(ParseBytes(Value::String("8388608TiB"), "memory").ok());
}

TEST(ParseDuration, NeedsAUnit) {
  EXPECT_EQ(*ParseDuration(Value::String("60s"), "every"), absl::Seconds(60));
  EXPECT_EQ(*ParseDuration(Value::String("1h30m"), "every"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration(Value::String("1ms"), "every"), absl::Milliseconds(1));
  EXPECT_THAT(ParseDuration(Value::Int(60), "checkpoint.every"),
              StatusIs(kInvalid,
                       "checkpoint.every: is int 60; give a time with its unit, like "
                       "60s, 5m or 1h30m"));
  for (const absl::string_view text : {"60", "0s", "-1s", "inf", "9000h", "1us", "s"}) {
    EXPECT_FALSE(ParseDuration(Value::String(text), "every").ok()) << text;
  }
}

TEST(FormatSeconds, IsReadBackExactly) {
  for (const absl::Duration duration :
       {absl::Seconds(60), absl::Milliseconds(1500), absl::Nanoseconds(1'000'001)}) {
    EXPECT_EQ(*ParseDuration(Value::String(FormatSeconds(duration)), "every"), duration);
  }
  EXPECT_EQ(FormatSeconds(absl::Minutes(1)), "60s");
  EXPECT_EQ(FormatSeconds(absl::Milliseconds(500)), "0.5s");
}

TEST(ParseCount, TakesDigitsInAStringAsProtobufWritesThem) {
  EXPECT_EQ(*ParseCount(Value::String("18446744073709551615"), "seed", {}),
            std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(*ParseCount(Value::Int(0), "seed", {}), 0u);
  EXPECT_THAT(ParseCount(Value::Int(-1), "seed", {}),
              StatusIs(kInvalid, "seed: is int -1; use an int from 0 to 18446744073709551615"));
  EXPECT_FALSE(ParseCount(Value::String("18446744073709551616"), "seed", {}).ok());
  EXPECT_FALSE(ParseCount(Value::String("7x"), "seed", {}).ok());
  EXPECT_FALSE(ParseCount(Value::Int(0), "steps", {.min = 1}).ok());
  EXPECT_TRUE(ParseCount(Value::Int(9), "steps", {.max = 9}).ok());
  EXPECT_FALSE(ParseCount(Value::Int(10), "steps", {.max = 9}).ok());
}

}  // namespace
}  // namespace lockstep
