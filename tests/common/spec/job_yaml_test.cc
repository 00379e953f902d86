#include "common/spec/job_yaml.h"

#include <string>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Refusal(absl::string_view text) {
  return std::string(ParseYaml(text, "job.yaml").status().message());
}

std::string Json(absl::string_view text) {
  const absl::StatusOr<Value> value = ParseYaml(text, "job.yaml");
  return value.ok() ? ToJson(*value) : std::string(value.status().message());
}

TEST(JobYaml, ReadsTheCoreSchema) {
  EXPECT_EQ(Json("[null, ~, , Null]"), "[null,null,null,null]");
  EXPECT_EQ(Json("[true, False, TRUE]"), "[true,false,true]");
  EXPECT_EQ(Json("[12, -3, +4, 0x1f, 007]"), "[12,-3,4,31,7]");
  EXPECT_EQ(Json("[1.5, .5, 1e3, -2.5E-1, 1.]"), "[1.5,0.5,1000,-0.25,1]");
}

TEST(JobYaml, TakesEverythingElseAsAString) {
  EXPECT_EQ(Json("[yes, on, 2020-01-01, 1_000, 0xyz, 1e, '12', \"true\", .e1, 1.2.3]"),
            R"(["yes","on","2020-01-01","1_000","0xyz","1e","12","true",".e1","1.2.3"])");
}

TEST(JobYaml, ReadsJsonAsTheSameValue) {
  const absl::string_view json =
      "{\n\t\"a\":[1,2.5,\"x\",null,true],\r\n\t\"b\":{\"c\":\"\\u00e9\\n\"},\"d\":[],\"e\":{}}";

  ASSERT_OK_AND_ASSIGN(const Value from_json, ParseYaml(json, "job.json"));
  ASSERT_OK_AND_ASSIGN(
      const Value from_yaml,
      ParseYaml("a: [1, 2.5, x, ~, true]\nb:\n  c: \"é\\n\"\nd: []\ne: {}\n", "job.yaml"));

  EXPECT_EQ(from_json, from_yaml);
}

TEST(JobYaml, MarksEveryNodeWithItsPlace) {
  ASSERT_OK_AND_ASSIGN(const Value value, ParseYaml("a:\n  - 1\n  - {b: x}\n", "dir/job.yaml"));

  const Value::Entry& a = value.map()[0];
  EXPECT_EQ(a.mark.ToString(), "dir/job.yaml:1:1");
  EXPECT_EQ(a.value.list()[0].mark().ToString(), "dir/job.yaml:2:5");
  EXPECT_EQ(a.value.list()[1].map()[0].value.mark().ToString(), "dir/job.yaml:3:9");
}

TEST(JobYaml, KeepsTheOrderOfKeys) {
  ASSERT_OK_AND_ASSIGN(const Value value, ParseYaml("z: 1\na: 2\nm: 3\n", "job.yaml"));

  std::string keys;
  for (const Value::Entry& entry : value.map()) keys += entry.key;
  EXPECT_EQ(keys, "zam");
}

TEST(JobYaml, RefusesAliasBombs) {
  const std::string bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";

  EXPECT_EQ(Refusal(bomb),
            "job.yaml:1:4: anchors are not allowed; write the value out where it is used");
  EXPECT_THAT(Refusal("a: *b"), StartsWith("job.yaml:1:4: "));
  EXPECT_THAT(Refusal("&k a: 1"), HasSubstr("anchors are not allowed"));
}

TEST(JobYaml, RefusesTags) {
  EXPECT_EQ(Refusal("a: !!python/object x"),
            "job.yaml:1:4: tag 'tag:yaml.org,2002:python/object' is not allowed; remove it");
  EXPECT_THAT(Refusal("a: !mine [1]"), HasSubstr("tag '!mine' is not allowed"));
}

TEST(JobYaml, RefusesADuplicateKeyWhereItRepeats) {
  EXPECT_EQ(Refusal("a: 1\nb: 2\na: 3\n"), "job.yaml:3:1: key 'a' is there twice; remove one");
  EXPECT_OK(ParseYaml("a: {x: 1}\nb: {x: 1}\n", "job.yaml"));
}

TEST(JobYaml, RefusesASecondDocument) {
  EXPECT_OK(ParseYaml("---\na: 1\n...\n", "job.yaml"));
  EXPECT_THAT(Refusal("a: 1\n---\nb: 2\n"), HasSubstr("a second document begins here"));
}

TEST(JobYaml, RefusesKeysThatAreNotWords) {
  EXPECT_THAT(Refusal("{[1, 2]: 3}"), HasSubstr("a key is a list or a map; use a word"));
  EXPECT_THAT(Refusal("~: 3"), HasSubstr("a key is null; use a word"));
  EXPECT_EQ(Json("{0: 1.5}"), R"({"0":1.5})");
}

TEST(JobYaml, BoundsTheDepth) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + "1" + std::string(depth, ']');
  };

  EXPECT_OK(ParseYaml(nested(kYamlDepthMax), "job.yaml"));
  EXPECT_THAT(Refusal(nested(kYamlDepthMax + 1)),
              StartsWith("job.yaml:1:65: nested deeper than 64 levels"));
  EXPECT_THAT(Refusal(std::string(100'000, '[')), HasSubstr("nested deeper than 64 levels"));
  EXPECT_EQ(Refusal(std::string(1'000'000, '[')),
            "job.yaml:1:800001: too many values up to here; use a smaller file");
}

TEST(JobYaml, BoundsTheNumberOfValues) {
  const auto list = [](int64_t items) {
    std::string text = "[";
    for (int64_t i = 0; i < items; ++i) text += "1,";
    return text + "]";
  };

  EXPECT_OK(ParseYaml(list(kYamlNodesMax - 1), "job.yaml"));
  EXPECT_THAT(Refusal(list(kYamlNodesMax)), HasSubstr("more than 200000 values"));
}

TEST(JobYaml, BoundsTheSize) {
  std::string text = "a: 1\n#";
  text.resize(kYamlBytesMax, 'x');
  EXPECT_OK(ParseYaml(text, "job.yaml"));

  EXPECT_EQ(Refusal(text + "x"),
            "job.yaml: 16777217 bytes are too many for a job file; at most 16777216 are read");
}

TEST(JobYaml, RefusesNumbersThatDoNotFit) {
  EXPECT_EQ(Json("[9223372036854775807, -9223372036854775808]"),
            "[9223372036854775807,-9223372036854775808]");
  EXPECT_EQ(Refusal("a: 9223372036854775808"),
            "job.yaml:1:4: integer '9223372036854775808' does not fit 64 bits; use a smaller one");
  EXPECT_THAT(Refusal("0x10000000000000000"), HasSubstr("does not fit 64 bits"));
  EXPECT_EQ(Json("1e308"), "1e+308");
  EXPECT_THAT(Refusal("1e309"), HasSubstr("does not fit a double"));
}

TEST(JobYaml, RefusesNumbersThatAreNotFinite) {
  for (const absl::string_view text : {".nan", ".NaN", ".inf", "-.INF", "+.Inf"}) {
    EXPECT_THAT(Refusal(text), HasSubstr("is not a finite number")) << text;
  }
}

TEST(JobYaml, RefusesBytesThatAreNotText) {
  EXPECT_EQ(Refusal("a: 1\nb: \xff\n"),
            "job.yaml:2:4: byte ff is not UTF-8; save the file as UTF-8");
  EXPECT_THAT(Refusal("\xed\xa0\x80"), HasSubstr("not UTF-8"));  // a surrogate
  EXPECT_THAT(Refusal("\xc0\x80"), HasSubstr("not UTF-8"));      // overlong
  EXPECT_THAT(Refusal("\xe2\x82"), HasSubstr("not UTF-8"));      // cut short
  EXPECT_EQ(Json("€"), "\"€\"");
  EXPECT_THAT(Refusal(absl::string_view("a: \0", 4)), HasSubstr("control character 00"));
  EXPECT_OK(
      ParseYaml("\xef\xbb\xbf"
                "a: 1",
                "job.yaml"));  // a byte order mark
}

TEST(JobYaml, RefusesTextWithoutAValue) {
  for (const absl::string_view text : {"", "\n\n", "# only\n# comments\n", "   "}) {
    EXPECT_EQ(Refusal(text), "job.yaml: is empty; a job file needs at least model and data");
  }
}

TEST(JobYaml, PassesOnWhatYamlRefuses) {
  EXPECT_THAT(Refusal("[1, 2"), HasSubstr("not YAML"));
  EXPECT_THAT(Refusal("a: [1, 2\nb: 3"), StartsWith("job.yaml:2:"));
  EXPECT_THAT(Refusal("a:\n\tb: 1\n"), StartsWith("job.yaml:2:"));
  EXPECT_THAT(Refusal("a: 'x"), HasSubstr("not YAML"));
  EXPECT_THAT(Refusal("a: b: c"), HasSubstr("not YAML"));
}

}  // namespace
}  // namespace lockstep
