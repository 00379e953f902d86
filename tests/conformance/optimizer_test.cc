// The conformance suite of common/optim/optimizers: descends, keeps its state in its slots, has one
// result for any ownership, thread count and SIMD target, follows its published rule. A new
// optimizer is found by its file and asks for its rule in kRules.
#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/base/compute_pool.h"
#include "common/kernels/simd_target.h"
#include "common/nn/parameters.h"
#include "common/optim/optimizer_registry.h"
#include "common/plan/shard_plan.h"
#include "common/spec/job_yaml.h"
#include "tests/conformance/probe.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

constexpr double kUnit = 0x1p-24;  // the error of one rounding to float
// Several ownership blocks; a model's range is always whole blocks.
constexpr int64_t kBlocks = 5;
constexpr int64_t kElements = kBlocks * kParameterBlockElements;

// --- cases ---

struct OptimizerCase {
  const OptimizerDef* def;
  size_t example;
};

std::vector<OptimizerCase> OptimizerCases() {
  std::vector<OptimizerCase> cases;
  for (const OptimizerDef* def : Optimizers()) {
    for (size_t example = 0; example < def->examples.size(); ++example) {
      cases.push_back({def, example});
    }
  }
  return cases;
}

void PrintTo(const OptimizerCase& c, std::ostream* out) {
  *out << c.def->name << " " << c.def->examples[c.example];
}

std::string CaseName(const ::testing::TestParamInfo<OptimizerCase>& info) {
  return absl::StrCat(info.param.def->name, "_", info.param.example);
}

Value OptionsOf(const OptimizerCase& c) {
  return *ParseYaml(c.def->examples[c.example], "example");
}

absl::StatusOr<std::unique_ptr<Optimizer>> Make(const OptimizerCase& c, const Value& options) {
  return MakeOptimizer({.type = std::string(c.def->name), .options = options});
}

// --- parameters with their state ---

struct Parameters {
  std::vector<float> values;
  std::vector<std::vector<float>> state;  // by slot

  static Parameters Start(const Optimizer& optimizer, std::vector<float> values) {
    Parameters parameters{.values = std::move(values)};
    for (size_t slot = 0; slot < optimizer.state_slots().size(); ++slot) {
      parameters.state.emplace_back(parameters.values.size(), 0.0f);
    }
    return parameters;
  }
  // The part of an owner, with its gradient.
  OptimizerRange RangeOf(const Range& own, const std::vector<float>& gradient) {
    OptimizerRange range{.count = own.size(),
                         .gradient = gradient.data() + own.begin,
                         .value = values.data() + own.begin};
    for (std::vector<float>& slot : state) range.state.push_back(slot.data() + own.begin);
    return range;
  }
};

using ::lockstep::testing::SameBits;

::testing::AssertionResult SameBits(const Parameters& actual, const Parameters& expected) {
  const ::testing::AssertionResult values = SameBits(actual.values, expected.values);
  if (!values) return ::testing::AssertionFailure() << "values: " << values.message();
  for (size_t slot = 0; slot < expected.state.size(); ++slot) {
    const ::testing::AssertionResult state = SameBits(actual.state[slot], expected.state[slot]);
    if (!state) return ::testing::AssertionFailure() << "slot " << slot << ": " << state.message();
  }
  return ::testing::AssertionSuccess();
}

// Update `t` by all owners of a split, as OwnedParameters does it.
void UpdateSplit(Optimizer& optimizer, const std::vector<float>& gradient, int64_t t,
                 const Split& split, Parameters& parameters) {
  ComputePool pool(split.threads, Spin::kNone);
  optimizer.BeginStep(t);
  const int64_t blocks =
      (std::ssize(gradient) + kParameterBlockElements - 1) / kParameterBlockElements;
  for (int rank = 0; rank < split.ranks; ++rank) {
    const Range owned = OwnedBlocks(blocks, split.ranks, rank);
    const Range own{owned.begin * kParameterBlockElements,
                    std::min(owned.end * kParameterBlockElements, std::ssize(gradient))};
    const OptimizerRange range = parameters.RangeOf(own, gradient);
    pool.Run(kernels::FlatUnits(range.count), [&](int64_t begin, int64_t end) {
      optimizer.Update(range, {begin, end});
    });
  }
}

std::vector<float> Gradient(int64_t count, int64_t t) {
  std::vector<float> gradient = RandomFloats(count, static_cast<uint32_t>(40 + t));
  // A gap between variables has gradient 0 for ever; squares of the others underflow.
  gradient[0] = 0.0f;
  if (count > 3) {
    gradient[1] = 1e-30f;
    gradient[2] = -1e-40f;
  }
  return gradient;
}

class OptimizerConformance : public ::testing::TestWithParam<OptimizerCase> {};
INSTANTIATE_TEST_SUITE_P(Examples, OptimizerConformance, ::testing::ValuesIn(OptimizerCases()),
                         CaseName);

TEST(Optimizers, HaveExamples) {
  for (const OptimizerDef* def : Optimizers()) {
    EXPECT_FALSE(def->examples.empty()) << def->name << ": give kExamples, they are its tests";
  }
}

// f(w) = sum a_i (w_i - c_i)^2 / 2 with a_i in [1/2, 3/2].
TEST_P(OptimizerConformance, DescendsOnAConvexQuadratic) {
  constexpr int64_t kCount = 50;
  constexpr int64_t kSteps = 60;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> optimizer,
                       Make(GetParam(), OptionsOf(GetParam())));
  const std::vector<float> center = RandomFloats(kCount, 1), curvature = RandomFloats(kCount, 2);
  const auto a = [&](size_t i) { return 1.0f + curvature[i] / 2; };
  Parameters parameters = Parameters::Start(*optimizer, std::vector<float>(kCount, 3.0f));
  const auto f = [&] {
    double sum = 0;
    for (size_t i = 0; i < kCount; ++i) {
      sum += static_cast<double>(a(i)) * std::pow(parameters.values[i] - center[i], 2) / 2;
    }
    return sum;
  };
  std::vector<double> values = {f()};
  std::vector<float> gradient(kCount);

  for (int64_t t = 1; t <= kSteps; ++t) {
    for (size_t i = 0; i < kCount; ++i) gradient[i] = a(i) * (parameters.values[i] - center[i]);
    UpdateSplit(*optimizer, gradient, t, {}, parameters);
    if (t % (kSteps / 3) == 0) values.push_back(f());
  }

  for (size_t k = 1; k < values.size(); ++k) EXPECT_LT(values[k], values[k - 1]) << "third " << k;
}

// Nothing but its slots and the count of updates carries it on: what a checkpoint keeps.
TEST_P(OptimizerConformance, GoesOnWithTheSameBitsFromItsSlots) {
  constexpr int64_t kCount = 300;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> whole,
                       Make(GetParam(), OptionsOf(GetParam())));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> first,
                       Make(GetParam(), OptionsOf(GetParam())));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> second,
                       Make(GetParam(), OptionsOf(GetParam())));
  Parameters expected = Parameters::Start(*whole, RandomFloats(kCount, 1));
  Parameters before = expected;
  for (int64_t t = 1; t <= 7; ++t) UpdateSplit(*whole, Gradient(kCount, t), t, {}, expected);

  for (int64_t t = 1; t <= 3; ++t) UpdateSplit(*first, Gradient(kCount, t), t, {}, before);
  ASSERT_EQ(first->state_slots(), second->state_slots());
  Parameters after = Parameters::Start(*second, before.values);
  after.state = before.state;
  for (int64_t t = 4; t <= 7; ++t) UpdateSplit(*second, Gradient(kCount, t), t, {}, after);

  EXPECT_TRUE(SameBits(after, expected));
}

TEST_P(OptimizerConformance, HasTheSameBitsForAnyOwnersThreadsAndSimdTarget) {
  const auto train = [&](const Split& split) {
    const kernels::ScopedSimdForTest forced(split.simd);
    const std::unique_ptr<Optimizer> optimizer = *Make(GetParam(), OptionsOf(GetParam()));
    Parameters parameters = Parameters::Start(*optimizer, RandomFloats(kElements, 1));
    for (int64_t t = 1; t <= 3; ++t) {
      UpdateSplit(*optimizer, Gradient(kElements, t), t, split, parameters);
    }
    return parameters;
  };
  const Parameters expected = train(AllSplits().front());
  for (const Split& split : AllSplits()) EXPECT_TRUE(SameBits(train(split), expected)) << split;
}

TEST_P(OptimizerConformance, StoresDenormalStateAsZero) {
  constexpr int64_t kCount = 100;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> optimizer,
                       Make(GetParam(), OptionsOf(GetParam())));
  Parameters parameters = Parameters::Start(*optimizer, std::vector<float>(kCount, 1.0f));
  std::vector<float> gradient(kCount);
  int64_t flushed = 0;
  // From 2^-100 down: states pass the smallest normal number, 2^-126, whatever the rule.
  for (size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] = std::ldexp(i % 2 == 0 ? 1.0f : -1.0f, -100 - static_cast<int>(i) / 2);
  }

  for (int64_t t = 1; t <= 4; ++t) {
    UpdateSplit(*optimizer, gradient, t, {}, parameters);
    for (const std::vector<float>& slot : parameters.state) {
      for (const float value : slot) {
        EXPECT_TRUE(std::isnormal(value) || std::bit_cast<uint32_t>(value) == 0) << value;
        flushed += value == 0.0f ? 1 : 0;
      }
    }
  }

  EXPECT_EQ(flushed > 0, !parameters.state.empty()) << "nothing was small enough to show";
}

TEST_P(OptimizerConformance, ChangesNothingAtLearningRateZero) {
  constexpr int64_t kCount = 300;
  Value options = OptionsOf(GetParam());
  options.Set("learning_rate", Value::Float(0.0));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> optimizer, Make(GetParam(), options));
  const std::vector<float> start = RandomFloats(kCount, 1);
  Parameters parameters = Parameters::Start(*optimizer, start);

  for (int64_t t = 1; t <= 3; ++t) {
    UpdateSplit(*optimizer, Gradient(kCount, t), t, {}, parameters);
  }

  EXPECT_TRUE(SameBits(parameters.values, start));
}

// --- the published rules, in double ---

// One parameter before and after an update; what f32 may differ by.
struct Exact {
  double value = 0, value_bound = 0;
  std::vector<double> state, state_bound;
};

using OptionMap = std::map<std::string, double>;

// Of terms in magnitude `size`, after `roundings` of them (house style 3.6).
double Bound(int roundings, double size) { return 2 * roundings * kUnit * size; }

// Sutskever et al. 2013 in Keras' form: v = momentum v - lr g; w = w + v, or with Nesterov's look
// ahead w = w + momentum v - lr g.
Exact SgdRule(const OptionMap& options, int64_t, double gradient, const Exact& old) {
  const double lr = options.at("learning_rate"), momentum = options.at("momentum");
  const double step = std::abs(lr * gradient);
  Exact now;
  if (momentum == 0) {
    now.value = old.value - lr * gradient;
    now.value_bound = Bound(3, std::abs(old.value) + step);
    return now;
  }
  now.state = {momentum * old.state[0] - lr * gradient};
  const double size = std::abs(momentum * old.state[0]) + step;
  now.state_bound = {Bound(4, size)};
  const bool nesterov = options.at("nesterov") != 0;
  now.value = old.value + (nesterov ? momentum * now.state[0] - lr * gradient : now.state[0]);
  now.value_bound = Bound(2, std::abs(old.value)) + Bound(8, size + step);
  return now;
}

// Kingma & Ba 2015, the efficient order at the end of section 2, whose epsilon stands beside the
// uncorrected root.
Exact AdamRule(const OptionMap& options, int64_t t, double gradient, const Exact& old) {
  const double beta1 = options.at("beta_1"), beta2 = options.at("beta_2");
  Exact now;
  now.state = {beta1 * old.state[0] + (1 - beta1) * gradient,
               beta2 * old.state[1] + (1 - beta2) * gradient * gradient};
  // f32 forms m + (1 - beta) (g - m): the difference is rounded before it is made small.
  now.state_bound = {Bound(4, std::abs(old.state[0]) + (1 - beta1) * std::abs(gradient)),
                     Bound(5, old.state[1] + (1 - beta2) * gradient * gradient)};
  const double rate = options.at("learning_rate") *
                      std::sqrt(1 - std::pow(beta2, static_cast<double>(t))) /
                      (1 - std::pow(beta1, static_cast<double>(t)));
  const double root = std::sqrt(now.state[1]);
  const double divisor = root + options.at("epsilon");
  now.value = old.value - rate * now.state[0] / divisor;
  const double root_error = root == 0 ? 0 : now.state_bound[1] / (2 * root * divisor);
  now.value_bound = Bound(2, std::abs(old.value)) + rate / divisor * now.state_bound[0] +
                    std::abs(rate * now.state[0] / divisor) * (root_error + Bound(5, 1));
  return now;
}

using Rule = Exact (*)(const OptionMap&, int64_t, double, const Exact&);
const std::map<absl::string_view, Rule>& Rules() {
  static const auto* const kRules =
      new std::map<absl::string_view, Rule>{{"adam", &AdamRule}, {"sgd", &SgdRule}};
  return *kRules;
}

OptionMap NumbersOf(const OptimizerCase& c) {
  const Options options = *CheckOptions(c.def->options, OptionsOf(c), "example");
  OptionMap numbers;
  for (const OptionDoc& doc : c.def->options) {
    if (doc.type == OptionType::kFloat) numbers[std::string(doc.name)] = options.GetFloat(doc.name);
    if (doc.type == OptionType::kBool) numbers[std::string(doc.name)] = options.GetBool(doc.name);
  }
  return numbers;
}

// Every update from the state that f32 has reached, so that errors do not add up.
TEST_P(OptimizerConformance, FollowsItsPublishedRuleInEveryUpdate) {
  constexpr int64_t kCount = 200;
  ASSERT_TRUE(Rules().contains(GetParam().def->name)) << "write its rule down in Rules()";
  const Rule rule = Rules().at(GetParam().def->name);
  const OptionMap options = NumbersOf(GetParam());
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> optimizer,
                       Make(GetParam(), OptionsOf(GetParam())));
  Parameters parameters = Parameters::Start(*optimizer, RandomFloats(kCount, 1));
  for (int64_t t = 1; t <= 20; ++t) {
    const std::vector<float> gradient = RandomFloats(kCount, static_cast<uint32_t>(40 + t));
    const Parameters before = parameters;
    UpdateSplit(*optimizer, gradient, t, {}, parameters);
    for (size_t i = 0; i < kCount; ++i) {
      Exact old{.value = static_cast<double>(before.values[i])};
      for (const std::vector<float>& slot : before.state) {
        old.state.push_back(static_cast<double>(slot[i]));
      }
      const Exact now = rule(options, t, static_cast<double>(gradient[i]), old);
      EXPECT_NEAR(parameters.values[i], now.value, now.value_bound) << "update " << t;
      for (size_t slot = 0; slot < now.state.size(); ++slot) {
        EXPECT_NEAR(parameters.state[slot][i], now.state[slot], now.state_bound[slot])
            << "update " << t << ", " << optimizer->state_slots()[slot];
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
