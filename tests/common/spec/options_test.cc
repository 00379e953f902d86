#include "common/spec/options.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/spec/job_yaml.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

constexpr OptionDoc kDocs[] = {
    {.name = "units", .type = OptionType::kInt, .min = 1, .max = 1000, .help = "features"},
    {.name = "rate", .type = OptionType::kFloat, .fallback = "0.5", .min = 0, .max = 1},
    {.name = "use_bias", .type = OptionType::kBool, .fallback = "true"},
    {.name = "padding", .type = OptionType::kString, .fallback = "valid", .choices = "valid same"},
    {.name = "strides", .type = OptionType::kInts, .fallback = "1", .min = 1, .length = 2},
    {.name = "shape", .type = OptionType::kInts, .fallback = "[]"},
    {.name = "clip", .type = OptionType::kFloat, .fallback = "null", .nullable = true},
    {.name = "initializer", .type = OptionType::kNode, .fallback = "zeros"},
};

absl::StatusOr<Options> Check(absl::string_view text) {
  return CheckOptions(kDocs, *ParseYaml(text, "job.yaml"), "model.layers[0].dense");
}

std::string Refusal(absl::string_view text) { return std::string(Check(text).status().message()); }

TEST(CheckOptions, FillsInFallbacks) {
  ASSERT_OK_AND_ASSIGN(const Options options, Check("{units: 3}"));

  EXPECT_EQ(options.GetInt("units"), 3);
  EXPECT_EQ(options.GetFloat("rate"), 0.5);
  EXPECT_TRUE(options.GetBool("use_bias"));
  EXPECT_EQ(options.GetString("padding"), "valid");
  EXPECT_THAT(options.GetInts("strides"), ElementsAre(1, 1));
  EXPECT_THAT(options.GetInts("shape"), IsEmpty());
  EXPECT_TRUE(options.IsNull("clip"));
  EXPECT_EQ(options.GetNode("initializer").type, "zeros");
  EXPECT_TRUE(options.Has("units"));
  EXPECT_FALSE(options.Has("rate"));
}

TEST(CheckOptions, TakesWhatIsGiven) {
  ASSERT_OK_AND_ASSIGN(
      const Options options,
      Check("{units: 3, rate: 1, use_bias: false, padding: same, strides: [2, 3], shape: [4], "
            "clip: 2.5, initializer: {normal: {stddev: 0.1}}}"));

  EXPECT_EQ(options.GetFloat("rate"), 1.0);
  EXPECT_FALSE(options.GetBool("use_bias"));
  EXPECT_THAT(options.GetInts("strides"), ElementsAre(2, 3));
  EXPECT_THAT(options.GetInts("shape"), ElementsAre(4));
  EXPECT_EQ(options.GetFloat("clip"), 2.5);
  const Node node = options.GetNode("initializer");
  EXPECT_EQ(node.type, "normal");
  EXPECT_EQ(node.OptionsWhere(), "model.layers[0].dense.initializer.normal");
  EXPECT_EQ(node.options.Find("stddev")->number(), 0.1);
}

TEST(CheckOptions, RepeatsOneNumberOverAFixedLength) {
  ASSERT_OK_AND_ASSIGN(const Options options, Check("{units: 3, strides: 2}"));

  EXPECT_THAT(options.GetInts("strides"), ElementsAre(2, 2));
  EXPECT_THAT(Refusal("{units: 3, shape: 2}"), HasSubstr("it takes a list of ints"));
  EXPECT_EQ(Refusal("{units: 3, strides: [1, 2, 3]}"),
            "job.yaml:1:21: model.layers[0].dense.strides: has 3 numbers; give 2, or one that "
            "stands for all");
}

TEST(CheckOptions, NamesTheNearestOfAnUnknownOption) {
  EXPECT_EQ(Refusal("\nunit: 3"),
            "job.yaml:2:1: model.layers[0].dense.unit: unknown option; did you mean 'units'?");
  EXPECT_EQ(Refusal("{units: 1, zzz: 3}"),
            "job.yaml:1:12: model.layers[0].dense.zzz: unknown option; known: units, rate, "
            "use_bias, padding, strides, shape, clip, initializer");
}

TEST(CheckOptions, NamesAMissingOption) {
  EXPECT_EQ(Refusal("{}"),
            "job.yaml:1:1: model.layers[0].dense: 'units' is missing; give an int: features");
}

TEST(CheckOptions, RefusesAnotherType) {
  EXPECT_EQ(Refusal("{units: '3'}"),
            "job.yaml:1:9: model.layers[0].dense.units: is string '3'; it takes an int");
  EXPECT_THAT(Refusal("{units: 3.0}"), HasSubstr("is float 3; it takes an int"));
  EXPECT_THAT(Refusal("{units: null}"), HasSubstr("is null; it takes an int"));
  EXPECT_THAT(Refusal("{units: 3, use_bias: yes}"), HasSubstr("it takes true or false"));
  EXPECT_THAT(Refusal("{units: 3, use_bias: 1}"), HasSubstr("it takes true or false"));
  EXPECT_THAT(Refusal("{units: 3, rate: high}"), HasSubstr("it takes a number"));
  EXPECT_THAT(Refusal("{units: 3, padding: 1}"), HasSubstr("it takes a string"));
  EXPECT_THAT(Refusal("{units: 3, strides: [1, x]}"), HasSubstr("is string 'x'"));
  EXPECT_THAT(Refusal("{units: 3, clip: x}"), HasSubstr("it takes a number or null"));
  EXPECT_THAT(Refusal("{units: 3, initializer: 3}"), HasSubstr("write a name or"));
  EXPECT_THAT(Refusal("[1]"), HasSubstr("is a list of 1; it takes a map of options"));
}

TEST(CheckOptions, KeepsNumbersInTheirRange) {
  EXPECT_OK(Check("{units: 1}"));
  EXPECT_EQ(Refusal("{units: 0}"),
            "job.yaml:1:9: model.layers[0].dense.units: 0 is too small; use 1 or more");
  EXPECT_OK(Check("{units: 1000}"));
  EXPECT_THAT(Refusal("{units: 1001}"), HasSubstr("1001 is too large; use 1000 or less"));
  EXPECT_OK(Check("{units: 1, rate: 0}"));
  EXPECT_THAT(Refusal("{units: 1, rate: -0.1}"), HasSubstr("-0.1 is too small"));
  EXPECT_THAT(Refusal("{units: 1, strides: [1, 0]}"), HasSubstr("0 is too small"));
}

TEST(CheckOptions, NamesTheNearestChoice) {
  EXPECT_THAT(Refusal("{units: 1, padding: sam}"),
              HasSubstr("'sam' is not a choice; did you mean 'same'?"));
}

TEST(ParseNode, ReadsItsForms) {
  for (const absl::string_view text :
       {"adam", "{adam: }", "{adam: {}}", "{type: adam}", "{type: adam, options: {}}"}) {
    ASSERT_OK_AND_ASSIGN(const Node node, ParseNode(*ParseYaml(text, "job.yaml"), "optimizer"));
    EXPECT_EQ(node.type, "adam") << text;
    EXPECT_EQ(node.options, Value::MakeMap()) << text;
  }
}

TEST(ParseNode, RefusesOtherForms) {
  const auto parse = [](absl::string_view text) {
    return ParseNode(*ParseYaml(text, "job.yaml"), "optimizer");
  };

  EXPECT_THAT(parse("3"), StatusIs(kInvalid, HasSubstr("job.yaml:1:1: optimizer: is int 3;")));
  EXPECT_THAT(parse("''"), StatusIs(kInvalid, HasSubstr("is string ''")));
  EXPECT_THAT(parse("{}"), StatusIs(kInvalid, HasSubstr("is a map of 0 keys; write a name")));
  EXPECT_THAT(parse("{a: {}, b: {}}"), StatusIs(kInvalid, HasSubstr("a map of 2 keys")));
  EXPECT_THAT(parse("{adam: 3}"),
              StatusIs(kInvalid, HasSubstr("optimizer.adam: is int 3; it takes a map of options")));
  EXPECT_THAT(parse("{type: adam, lr: 3}"), StatusIs(kInvalid, HasSubstr("is not {type: name")));
  EXPECT_THAT(parse("{type: 3}"), StatusIs(kInvalid, HasSubstr("is not {type: name")));
}

TEST(Node, NamesTheNearestOfAnUnknownType) {
  ASSERT_OK_AND_ASSIGN(const Node node, ParseNode(*ParseYaml("adm", "job.yaml"), "optimizer"));

  EXPECT_EQ(node.UnknownType("optimizer", {"sgd", "adam"}).message(),
            "job.yaml:1:1: optimizer: unknown optimizer 'adm'; did you mean 'adam'?");
}

TEST(NearestNames, OrdersByDistanceAndIgnoresCaseAndUnderscores) {
  const std::vector<absl::string_view> layers = {"dense", "conv2d", "max_pooling2d",
                                                 "average_pooling2d", "conv2d_transpose"};

  EXPECT_THAT(NearestNames("Conv2D", layers), ElementsAre("conv2d", "conv2d_transpose"));
  EXPECT_THAT(NearestNames("MaxPooling2D", layers), ElementsAre("max_pooling2d"));
  EXPECT_THAT(NearestNames("dnese", layers), ElementsAre("dense"));
  EXPECT_THAT(NearestNames("dens", layers), ElementsAre("dense"));
  EXPECT_THAT(NearestNames("lstm", layers), IsEmpty());
  EXPECT_THAT(NearestNames("", layers), IsEmpty());
  EXPECT_THAT(NearestNames(std::string(1'000'000, 'd'), layers), IsEmpty());
}

}  // namespace
}  // namespace lockstep
