#include "common/nn/initializers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/normal.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/spec/registry.h"

namespace lockstep {
namespace {

// The random words of one variable; four neighbours cost one call of Philox.
class Words {
 public:
  explicit Words(const VariableKey& key)
      : key_(RandomKey(key.seed, RandomPurpose::kInitializer)), variable_(key.variable) {}

  uint32_t operator[](uint64_t element) {
    if (element / 4 != group_) {
      group_ = element / 4;
      block_ = InitializerWords(key_, variable_, group_);
    }
    return block_[element % 4];
  }

 private:
  uint64_t key_;
  uint32_t variable_;
  uint64_t group_ = ~uint64_t{0};
  PhiloxBlock block_ = {};
};

void FillUniform(double low, double high, Words words, absl::Span<float> out) {
  const auto a = static_cast<float>(low);
  const float width = static_cast<float>(high) - a;
  for (size_t e = 0; e < out.size(); ++e) out[e] = std::fma(UniformOf(words[e]), width, a);
}

enum class Tails { kKept, kCutAtTwo };

void FillNormal(double mean, double deviation, Tails tails, Words words, absl::Span<float> out) {
  for (size_t e = 0; e < out.size(); ++e) {
    const double x = tails == Tails::kKept ? NormalOf(words[e]) : TruncatedNormalOf(words[e]);
    out[e] = static_cast<float>(x * deviation + mean);
  }
}

// --- constants ---

constexpr OptionDoc kConstantOptions[] = {
    {.name = "value", .type = OptionType::kFloat, .fallback = "0", .help = "of every element"},
};

void FillZeros(const Options&, const Shape&, const VariableKey&, absl::Span<float> out) {
  std::fill(out.begin(), out.end(), 0.0f);
}
void FillOnes(const Options&, const Shape&, const VariableKey&, absl::Span<float> out) {
  std::fill(out.begin(), out.end(), 1.0f);
}
void FillConstant(const Options& options, const Shape&, const VariableKey&, absl::Span<float> out) {
  std::fill(out.begin(), out.end(), static_cast<float>(options.GetFloat("value")));
}
absl::Status AnyShape(const Options&, const Shape&) { return absl::OkStatus(); }

// --- plain distributions ---

constexpr OptionDoc kUniformOptions[] = {
    {.name = "minval", .type = OptionType::kFloat, .fallback = "-0.05", .help = "lower bound"},
    {.name = "maxval", .type = OptionType::kFloat, .fallback = "0.05", .help = "upper bound"},
};
constexpr OptionDoc kNormalOptions[] = {
    {.name = "mean", .type = OptionType::kFloat, .fallback = "0", .help = "mean"},
    {.name = "stddev",
     .type = OptionType::kFloat,
     .fallback = "0.05",
     .min = 0,
     .help = "standard deviation"},
};

absl::Status CheckUniform(const Options& options, const Shape&) {
  if (options.GetFloat("minval") <= options.GetFloat("maxval")) return absl::OkStatus();
  return options.Error("minval", "is above maxval; exchange them");
}
void FillRandomUniform(const Options& options, const Shape&, const VariableKey& key,
                       absl::Span<float> out) {
  FillUniform(options.GetFloat("minval"), options.GetFloat("maxval"), Words(key), out);
}
void FillRandomNormal(const Options& options, const Shape&, const VariableKey& key,
                      absl::Span<float> out) {
  FillNormal(options.GetFloat("mean"), options.GetFloat("stddev"), Tails::kKept, Words(key), out);
}
void FillTruncatedNormal(const Options& options, const Shape&, const VariableKey& key,
                         absl::Span<float> out) {
  FillNormal(options.GetFloat("mean"), options.GetFloat("stddev"), Tails::kCutAtTwo, Words(key),
             out);
}

// --- variance scaling (Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998) ---

struct Scaling {
  double scale = 1;
  absl::string_view mode;  // fan_in, fan_out, fan_avg
  absl::string_view distribution;
};

// Inputs and outputs that one element of a kernel sees, as Keras counts them.
double FanOf(const Shape& shape, absl::string_view mode) {
  double in = 1, out = 1;
  if (shape.ndim() == 1) in = out = static_cast<double>(shape.dim(0));
  if (shape.ndim() >= 2) {
    const double field =
        static_cast<double>(shape.elements() / (shape.back() * shape.dim(shape.ndim() - 2)));
    in = field * static_cast<double>(shape.dim(shape.ndim() - 2));
    out = field * static_cast<double>(shape.back());
  }
  return mode == "fan_in" ? in : mode == "fan_out" ? out : (in + out) / 2;
}

void FillScaled(const Scaling& scaling, const Shape& shape, const VariableKey& key,
                absl::Span<float> out) {
  const double variance = scaling.scale / std::max(1.0, FanOf(shape, scaling.mode));
  if (scaling.distribution == "uniform") {
    const double limit = std::sqrt(3.0 * variance);
    FillUniform(-limit, limit, Words(key), out);
  } else if (scaling.distribution == "untruncated_normal") {
    FillNormal(0.0, std::sqrt(variance), Tails::kKept, Words(key), out);
  } else {
    FillNormal(0.0, std::sqrt(variance) / kTruncatedNormalDeviation, Tails::kCutAtTwo, Words(key),
               out);
  }
}

constexpr OptionDoc kScalingOptions[] = {
    {.name = "scale",
     .type = OptionType::kFloat,
     .fallback = "1",
     .min = 0,
     .help = "variance times fan"},
    {.name = "mode",
     .type = OptionType::kString,
     .fallback = "fan_in",
     .choices = "fan_in fan_out fan_avg",
     .help = "which fan"},
    {.name = "distribution",
     .type = OptionType::kString,
     .fallback = "truncated_normal",
     .choices = "truncated_normal untruncated_normal uniform",
     .help = "shape of the distribution"},
};

void FillVarianceScaling(const Options& options, const Shape& shape, const VariableKey& key,
                         absl::Span<float> out) {
  FillScaled(
      {options.GetFloat("scale"), options.GetString("mode"), options.GetString("distribution")},
      shape, key, out);
}

// The named members of the family.
constexpr Scaling kGlorotNormal = {1, "fan_avg", "truncated_normal"};
constexpr Scaling kGlorotUniform = {1, "fan_avg", "uniform"};
constexpr Scaling kHeNormal = {2, "fan_in", "truncated_normal"};
constexpr Scaling kHeUniform = {2, "fan_in", "uniform"};
constexpr Scaling kLecunNormal = {1, "fan_in", "truncated_normal"};
constexpr Scaling kLecunUniform = {1, "fan_in", "uniform"};

template <const Scaling& scaling>
void FillMember(const Options&, const Shape& shape, const VariableKey& key, absl::Span<float> out) {
  FillScaled(scaling, shape, key, out);
}

// --- matrices ---

constexpr OptionDoc kGainOptions[] = {
    {.name = "gain", .type = OptionType::kFloat, .fallback = "1", .help = "factor"},
};

absl::Status CheckMatrix(const Options&, const Shape& shape) {
  if (shape.ndim() >= 2) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("needs a variable of two or more dimensions, not ",
                                                 shape.ToString(), "; use another one"));
}
absl::Status CheckSquareable(const Options&, const Shape& shape) {
  if (shape.ndim() == 2) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("needs a variable of two dimensions, not ",
                                                 shape.ToString(), "; use another one"));
}

void FillIdentity(const Options& options, const Shape& shape, const VariableKey&,
                  absl::Span<float> out) {
  const auto gain = static_cast<float>(options.GetFloat("gain"));
  const auto columns = static_cast<size_t>(shape.dim(1));
  for (size_t e = 0; e < out.size(); ++e) out[e] = e / columns == e % columns ? gain : 0.0f;
}

// Subtracts from `v` its parts along `basis`, one after another; then again, which leaves v
// orthogonal to machine precision (Giraud et al. 2005).
void Orthogonalize(const std::vector<std::vector<double>>& basis, std::vector<double>& v) {
  for (int pass = 0; pass < 2; ++pass) {
    for (const std::vector<double>& q : basis) {
      double dot = 0.0;
      for (size_t i = 0; i < v.size(); ++i) dot += q[i] * v[i];
      for (size_t i = 0; i < v.size(); ++i) v[i] -= dot * q[i];
    }
  }
}

void FillOrthogonal(const Options& options, const Shape& shape, const VariableKey& key,
                    absl::Span<float> out) {
  const auto columns = static_cast<size_t>(shape.back());
  const size_t rows = out.size() / columns;
  const size_t length = std::max(rows, columns);
  const size_t count = std::min(rows, columns);
  Words words(key);
  std::vector<std::vector<double>> basis;
  for (size_t j = 0; j < count; ++j) {
    std::vector<double> v(length);
    for (size_t i = 0; i < length; ++i) v[i] = NormalOf(words[i * count + j]);
    Orthogonalize(basis, v);
    double square = 0.0;
    for (const double x : v) square += x * x;
    const double norm = std::sqrt(square);
    for (double& x : v) x /= norm;
    basis.push_back(std::move(v));
  }
  const double gain = options.GetFloat("gain");
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) {
      const double q = rows >= columns ? basis[c][r] : basis[r][c];
      out[r * columns + c] = static_cast<float>(gain * q);
    }
  }
}

// --- an LSTM's bias: the gates i, f, c, o side by side in the last dimension ---

constexpr OptionDoc kForgetOptions[] = {
    {.name = "initializer",
     .type = OptionType::kNode,
     .fallback = "zeros",
     .help = "of the other gates"},
};

absl::Status CheckForgetBias(const Options& options, const Shape& shape) {
  if (shape.ndim() >= 1 && shape.back() % 4 == 0) {
    return CheckInitializer(options.GetNode("initializer"), shape);
  }
  return absl::InvalidArgumentError(absl::StrCat("needs the biases of four gates, not a variable ",
                                                 shape.ToString(), "; use another one"));
}
void FillForgetBias(const Options& options, const Shape& shape, const VariableKey& key,
                    absl::Span<float> out) {
  Initialize(options.GetNode("initializer"), shape, key, out);
  const auto gates = static_cast<size_t>(shape.back());
  for (size_t e = 0; e < out.size(); ++e) {
    if (e % gates / (gates / 4) == 1) out[e] = 1.0f;
  }
}

constexpr InitializerDef kDefs[] = {
    {"constant", "one value", kConstantOptions, &AnyShape, &FillConstant},
    {"glorot_normal",
     "normal, deviation sqrt(2 / (fan_in + fan_out))",
     {},
     &AnyShape,
     &FillMember<kGlorotNormal>},
    {"glorot_uniform",
     "uniform within sqrt(6 / (fan_in + fan_out))",
     {},
     &AnyShape,
     &FillMember<kGlorotUniform>},
    {"he_normal", "normal, deviation sqrt(2 / fan_in)", {}, &AnyShape, &FillMember<kHeNormal>},
    {"he_uniform", "uniform within sqrt(6 / fan_in)", {}, &AnyShape, &FillMember<kHeUniform>},
    {"identity", "ones on the diagonal", kGainOptions, &CheckSquareable, &FillIdentity},
    {"lecun_normal",
     "normal, deviation sqrt(1 / fan_in)",
     {},
     &AnyShape,
     &FillMember<kLecunNormal>},
    {"lecun_uniform", "uniform within sqrt(3 / fan_in)", {}, &AnyShape, &FillMember<kLecunUniform>},
    {"ones", "1", {}, &AnyShape, &FillOnes},
    {"orthogonal", "orthonormal columns or rows", kGainOptions, &CheckMatrix, &FillOrthogonal},
    {"random_normal", "normal", kNormalOptions, &AnyShape, &FillRandomNormal},
    {"random_uniform", "uniform", kUniformOptions, &CheckUniform, &FillRandomUniform},
    {"truncated_normal", "normal, cut at two deviations", kNormalOptions, &AnyShape,
     &FillTruncatedNormal},
    {"unit_forget_bias", "of an LSTM: 1 for its forget gates", kForgetOptions, &CheckForgetBias,
     &FillForgetBias},
    {"variance_scaling", "scaled by the fan of the variable", kScalingOptions, &AnyShape,
     &FillVarianceScaling},
    {"zeros", "0", {}, &AnyShape, &FillZeros},
};

absl::StatusOr<const InitializerDef*> FindInitializer(const Node& node) {
  return FindInRoom(Initializers(), "initializer", node);
}

}  // namespace

absl::Span<const InitializerDef* const> Initializers() {
  static constexpr auto kAll = [] {
    std::array<const InitializerDef*, std::size(kDefs)> all{};
    for (size_t i = 0; i < all.size(); ++i) all[i] = &kDefs[i];
    return all;
  }();
  return kAll;
}

absl::Status CheckInitializer(const Node& node, const Shape& shape) {
  LOCKSTEP_ASSIGN_OR_RETURN(const InitializerDef* const def, FindInitializer(node));
  LOCKSTEP_ASSIGN_OR_RETURN(const Options options,
                            CheckOptions(def->options, node.options, node.OptionsWhere()));
  const absl::Status fits = def->check(options, shape);
  return fits.ok() ? fits : node.Error(fits.message());
}

void Initialize(const Node& node, const Shape& shape, const VariableKey& key,
                absl::Span<float> out) {
  LOCKSTEP_CHECK(static_cast<int64_t>(out.size()) == shape.elements());
  const absl::StatusOr<const InitializerDef*> def = FindInitializer(node);
  LOCKSTEP_CHECK(def.ok());
  const absl::StatusOr<Options> options =
      CheckOptions((*def)->options, node.options, node.OptionsWhere());
  LOCKSTEP_CHECK(options.ok());
  (*def)->fill(*options, shape, key, out);
}

}  // namespace lockstep
