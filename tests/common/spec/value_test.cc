#include "common/spec/value.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

TEST(Value, IsEqualByContentWhateverTheOrderOfKeys) {
  Value a = Value::MakeMap();
  a.Set("x", Value::Int(1));
  a.Set("y", Value::MakeList({Value::Bool(true), Value()}));
  Value b = Value::MakeMap();
  b.Set("y", Value::MakeList({Value::Bool(true), Value()}));
  b.Set("x", Value::Float(1.0));

  EXPECT_EQ(a, b);
  EXPECT_EQ(ToJson(a), ToJson(b));
  b.Set("x", Value::Float(1.5));
  EXPECT_NE(a, b);
}

TEST(Value, TellsLargeIntegersFromTheDoublesNearThem) {
  const int64_t past = (int64_t{1} << 53) + 1;

  EXPECT_NE(Value::Int(past), Value::Float(9007199254740992.0));
  EXPECT_EQ(Value::Int(past - 1), Value::Float(9007199254740992.0));
}

TEST(Value, WritesTheShortestExactJson) {
  EXPECT_EQ(ToJson(Value::Float(0.1)), "0.1");
  EXPECT_EQ(ToJson(Value::Float(0.00392156862745098)), "0.00392156862745098");
  EXPECT_EQ(ToJson(Value::Float(2.0)), "2");
  EXPECT_EQ(ToJson(Value::Float(-2.0)), "-2");
  EXPECT_EQ(ToJson(Value::String("a\"\n\xff")), "\"a\\\"\\n\xEF\xBF\xBD\"");
}

TEST(Value, KnowsOneZero) { EXPECT_FALSE(std::signbit(Value::Float(-0.0).number())); }

TEST(Value, DescribesItselfForMessages) {
  EXPECT_EQ(Value().Describe(), "null");
  EXPECT_EQ(Value::Int(-3).Describe(), "int -3");
  EXPECT_EQ(Value::String("a\n").Describe(), "string 'a\\n'");
  EXPECT_EQ(Value::String(std::string(1000, 'x')).Describe(),
            "string '" + std::string(60, 'x') + "...'");
  EXPECT_EQ(Value::MakeList({Value()}).Describe(), "a list of 1");
}

TEST(ErrorAt, LeavesOutWhatIsNotKnown) {
  const SourceMark mark{std::make_shared<const std::string>("job.yaml"), 12, 9};

  EXPECT_EQ(ErrorAt(mark, "train.seed", "is wrong").message(),
            "job.yaml:12:9: train.seed: is wrong");
  EXPECT_EQ(ErrorAt({}, "", "is wrong").message(), "is wrong");
}

}  // namespace
}  // namespace lockstep
