// Initial values are part of the lockstep contract: each is a function of seed, variable and
// element (docs/NUMERICS.md#4-random-numbers).
#include "common/nn/initializers.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"

#include "common/base/normal.h"
#include "common/base/philox.h"
#include "common/spec/job_yaml.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

Node NodeOf(absl::string_view type, absl::string_view options = "{}") {
  return {.type = std::string(type), .options = *ParseYaml(options, "job.yaml"), .where = "init"};
}

std::vector<float> Filled(const Node& node, const Shape& shape,
                          const VariableKey& key = {.seed = 9, .variable = 2}) {
  std::vector<float> values(static_cast<size_t>(shape.elements()), std::nanf(""));
  EXPECT_OK(CheckInitializer(node, shape));
  Initialize(node, shape, key, absl::MakeSpan(values));
  return values;
}

// The words of the definition, element by element.
uint32_t WordOf(const VariableKey& key, uint32_t element) {
  return Philox({element / 4, 0, key.variable, 0},
                RandomKey(key.seed, RandomPurpose::kInitializer))[element % 4];
}

struct Moments {
  double mean = 0, deviation = 0;
};
Moments MomentsOf(const std::vector<float>& values) {
  Moments of;
  const auto count = static_cast<double>(values.size());
  for (const float value : values) of.mean += static_cast<double>(value) / count;
  for (const float value : values) {
    of.deviation += std::pow(static_cast<double>(value) - of.mean, 2) / count;
  }
  of.deviation = std::sqrt(of.deviation);
  return of;
}

TEST(Initializers, StandSortedAndFillWithTheirDefaults) {
  EXPECT_TRUE(std::is_sorted(
      Initializers().begin(), Initializers().end(),
      [](const InitializerDef* a, const InitializerDef* b) { return a->name < b->name; }));
  for (const InitializerDef* def : Initializers()) {
    SCOPED_TRACE(def->name);
    for (const float value : Filled(NodeOf(def->name), Shape{6, 4})) {
      EXPECT_TRUE(std::isfinite(value));
    }
  }
}

TEST(Initializers, FillConstants) {
  EXPECT_THAT(Filled(NodeOf("zeros"), Shape{3}), Each(0.0f));
  EXPECT_THAT(Filled(NodeOf("ones"), Shape{3}), Each(1.0f));
  EXPECT_THAT(Filled(NodeOf("constant", "{value: 0.1}"), Shape{3}), Each(0.1f));
  EXPECT_THAT(Filled(NodeOf("identity", "{gain: 2}"), Shape{2, 3}), ElementsAre(2, 0, 0, 0, 2, 0));
  EXPECT_THAT(Filled(NodeOf("unit_forget_bias", "{initializer: {constant: {value: 3}}}"), Shape{8}),
              ElementsAre(3, 3, 1, 1, 3, 3, 3, 3));
}

// fma(u, b - a, a) on the words of Philox.
TEST(Initializers, FillUniformsByTheirDefinition) {
  const VariableKey key{.seed = 123, .variable = 7};
  const std::vector<float> values =
      Filled(NodeOf("random_uniform", "{minval: -0.3, maxval: 0.7}"), Shape{3, 7}, key);

  for (uint32_t e = 0; e < values.size(); ++e) {
    EXPECT_EQ(values[e], std::fma(UniformOf(WordOf(key, e)), 0.7f - -0.3f, -0.3f)) << e;
  }
}

TEST(Initializers, FillNormalsByTheirDefinition) {
  const VariableKey key{.seed = 123, .variable = 7};
  const std::vector<float> whole =
      Filled(NodeOf("random_normal", "{mean: 0.5, stddev: 2}"), Shape{10}, key);
  const std::vector<float> cut =
      Filled(NodeOf("truncated_normal", "{mean: 0.5, stddev: 2}"), Shape{10}, key);

  for (uint32_t e = 0; e < whole.size(); ++e) {
    EXPECT_EQ(whole[e], static_cast<float>(NormalOf(WordOf(key, e)) * 2.0 + 0.5)) << e;
    EXPECT_EQ(cut[e], static_cast<float>(TruncatedNormalOf(WordOf(key, e)) * 2.0 + 0.5)) << e;
  }
}

// Keras' fans: of a convolution kernel the window counts; the limit of a uniform is sqrt(3 / fan)
// times the root of the scale, the deviation of a normal the root of scale / fan.
TEST(Initializers, ScaleByTheFansOfTheVariable) {
  const Shape kernel{3, 3, 8, 16};
  const double in = 3 * 3 * 8, out = 3 * 3 * 16;
  struct Member {
    const char* name;
    double variance;
    bool uniform;
  };
  for (const Member& member : {Member{"glorot_uniform", 2 / (in + out), true},
                               {"glorot_normal", 2 / (in + out), false},
                               {"he_uniform", 2 / in, true},
                               {"he_normal", 2 / in, false},
                               {"lecun_uniform", 1 / in, true},
                               {"lecun_normal", 1 / in, false},
                               {"variance_scaling", 1 / in, false}}) {
    SCOPED_TRACE(member.name);
    const std::vector<float> values = Filled(NodeOf(member.name), kernel);
    const double deviation = std::sqrt(member.variance);
    // A uniform ends at sqrt(3) deviations; the normal is cut at two of its own, which Keras has
    // made larger.
    const auto limit = static_cast<float>(
        member.uniform ? std::sqrt(3.0) * deviation : 2 * deviation / kTruncatedNormalDeviation);
    EXPECT_THAT(values, Each(AllOf(Ge(-limit), Le(limit))));
    // Four standard errors of mean and deviation over that many values.
    const double error = 4 / std::sqrt(static_cast<double>(values.size()));
    EXPECT_NEAR(MomentsOf(values).mean, 0, deviation * error);
    EXPECT_NEAR(MomentsOf(values).deviation, deviation, deviation * error);
  }
}

TEST(Initializers, TakeTheFanThatVarianceScalingNames) {
  const auto deviation = [](absl::string_view options) {
    return MomentsOf(Filled(NodeOf("variance_scaling", options), Shape{400, 25})).deviation;
  };
  const double error = 4 / std::sqrt(10000.0);

  EXPECT_NEAR(deviation("{mode: fan_in}"), std::sqrt(1 / 400.0), error * std::sqrt(1 / 400.0));
  EXPECT_NEAR(deviation("{mode: fan_out, scale: 4}"), std::sqrt(4 / 25.0),
              error * std::sqrt(4 / 25.0));
  EXPECT_NEAR(deviation("{mode: fan_avg, distribution: uniform}"), std::sqrt(2 / 425.0),
              error * std::sqrt(2 / 425.0));
  EXPECT_NEAR(deviation("{distribution: untruncated_normal}"), std::sqrt(1 / 400.0),
              error * std::sqrt(1 / 400.0));
}

// Of a vector both fans are its length.
TEST(Initializers, TakeAVectorsLengthForBothFans) {
  const std::vector<float> values = Filled(NodeOf("glorot_uniform"), Shape{24});
  const auto limit = static_cast<float>(std::sqrt(6.0 / 48.0));

  EXPECT_THAT(values, Each(AllOf(Ge(-limit), Le(limit))));
}

// Columns where there are more rows, rows where there are more columns; a gain of two makes them
// two long. Entries are rounded to float: n products of two errors of 2^-25 each.
TEST(Initializers, MakeOrthogonalColumnsOrRows) {
  for (const Shape& shape : {Shape{12, 5}, Shape{5, 12}, Shape{2, 3, 5}, Shape{4, 4}}) {
    const std::vector<float> q = Filled(NodeOf("orthogonal", "{gain: 2}"), shape);
    const auto columns = static_cast<size_t>(shape.back());
    const size_t rows = q.size() / columns;
    const size_t vectors = std::min(rows, columns), length = std::max(rows, columns);
    const auto at = [&](size_t vector, size_t k) {
      return static_cast<double>(rows >= columns ? q[k * columns + vector]
                                                 : q[vector * columns + k]);
    };
    for (size_t a = 0; a < vectors; ++a) {
      for (size_t b = a; b < vectors; ++b) {
        double dot = 0;
        for (size_t k = 0; k < length; ++k) dot += at(a, k) * at(b, k);
        EXPECT_NEAR(dot, a == b ? 4.0 : 0.0,
                    4.0 * 2 * 0x1p-24 * std::sqrt(static_cast<double>(length)))
            << shape.ToString() << " " << a << " " << b;
      }
    }
  }
}

TEST(Initializers, GiveEverySeedAndVariableNumbersOfItsOwn) {
  const Node node = NodeOf("glorot_uniform");
  const std::vector<float> values = Filled(node, Shape{8, 8}, {.seed = 1, .variable = 0});

  EXPECT_EQ(Filled(node, Shape{8, 8}, {.seed = 1, .variable = 0}), values);
  EXPECT_NE(Filled(node, Shape{8, 8}, {.seed = 2, .variable = 0}), values);
  EXPECT_NE(Filled(node, Shape{8, 8}, {.seed = 1, .variable = 1}), values);
}

TEST(Initializers, RefuseWhatTheyCannotFill) {
  EXPECT_OK(CheckInitializer(NodeOf("identity"), Shape{3, 4}));
  EXPECT_THAT(CheckInitializer(NodeOf("identity"), Shape{3, 4, 5}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("needs a variable of two dimensions, not (3, 4, 5)")));
  EXPECT_THAT(CheckInitializer(NodeOf("random_uniform", "{minval: 1, maxval: 0}"), Shape{3}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is above maxval")));
  EXPECT_THAT(CheckInitializer(NodeOf("random_normal", "{stddev: -1}"), Shape{3}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too small")));
  EXPECT_THAT(CheckInitializer(NodeOf("zeros", "{value: 1}"), Shape{3}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown option")));
}

}  // namespace
}  // namespace lockstep
