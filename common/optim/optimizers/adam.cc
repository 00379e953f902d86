// Adam (Kingma & Ba 2015) with the bias corrections in the step size, so epsilon is added to the
// uncorrected root, as in Keras.
#include <cmath>

#include "common/kernels/optimizers.h"
#include "common/optim/optimizer.h"
#include "common/optim/schedule_math.h"

namespace lockstep::optimizers::adam {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "learning_rate",
     .type = OptionType::kFloat,
     .fallback = "0.001",
     .min = 0,
     .help = "step size"},
    {.name = "beta_1",
     .type = OptionType::kFloat,
     .fallback = "0.9",
     .min = 0,
     .max = 0.9999999,
     .help = "decay of the first moment"},
    {.name = "beta_2",
     .type = OptionType::kFloat,
     .fallback = "0.999",
     .min = 0,
     .max = 0.9999999,
     .help = "decay of the second moment"},
    {.name = "epsilon",
     .type = OptionType::kFloat,
     .fallback = "1e-07",
     .min = 0,
     .help = "added to the root of the second moment"},
};

constexpr absl::string_view kSlots[] = {"m", "v"};

class Adam final : public Optimizer {
 public:
  explicit Adam(const Options& options)
      : learning_rate_(options.GetFloat("learning_rate")),
        beta1_(options.GetFloat("beta_1")),
        beta2_(options.GetFloat("beta_2")),
        epsilon_(static_cast<float>(options.GetFloat("epsilon"))) {}

  absl::Span<const absl::string_view> state_slots() const override { return kSlots; }

  void BeginStep(int64_t t) override {
    const double correction1 = 1.0 - PowerOf(beta1_, t);
    const double correction2 = 1.0 - PowerOf(beta2_, t);
    alpha_ = static_cast<float>(learning_rate_ * std::sqrt(correction2) / correction1);
  }

  void Update(const OptimizerRange& range, kernels::UnitRange units) const override {
    kernels::Adam({.count = range.count,
                   .alpha = alpha_,
                   .one_minus_beta1 = static_cast<float>(1.0 - beta1_),
                   .one_minus_beta2 = static_cast<float>(1.0 - beta2_),
                   .epsilon = epsilon_,
                   .gradient = range.gradient,
                   .m = range.state[0],
                   .v = range.state[1],
                   .value = range.value},
                  units);
  }

 private:
  double learning_rate_;
  double beta1_;
  double beta2_;
  float epsilon_;
  float alpha_ = 0.0f;  // of the current step
};

absl::StatusOr<std::unique_ptr<Optimizer>> Make(const Options& options) {
  return std::make_unique<Adam>(options);
}

constexpr absl::string_view kExamples[] = {"{}", "{learning_rate: 0.01, beta_1: 0.5}",
                                           "{epsilon: 0.001}"};

}  // namespace

extern const OptimizerDef kDef;
constinit const OptimizerDef kDef = {"adam", "adaptive moments (Kingma & Ba)", kOptions, &Make,
                                     kExamples};

}  // namespace lockstep::optimizers::adam
