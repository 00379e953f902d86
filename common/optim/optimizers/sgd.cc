// SGD, with momentum and Nesterov's form as Keras has them: the velocity contains the learning
// rate.
#include "common/kernels/optimizers.h"
#include "common/optim/optimizer.h"

namespace lockstep::optimizers::sgd {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "learning_rate",
     .type = OptionType::kFloat,
     .fallback = "0.01",
     .min = 0,
     .help = "step size"},
    {.name = "momentum",
     .type = OptionType::kFloat,
     .fallback = "0",
     .min = 0,
     .max = 1,
     .help = "share of the old velocity that is kept; 0: plain SGD"},
    {.name = "nesterov",
     .type = OptionType::kBool,
     .fallback = "false",
     .help = "look ahead along the velocity"},
};

constexpr absl::string_view kVelocity[] = {"momentum"};

class Sgd final : public Optimizer {
 public:
  explicit Sgd(const Options& options)
      : learning_rate_(static_cast<float>(options.GetFloat("learning_rate"))),
        momentum_(static_cast<float>(options.GetFloat("momentum"))),
        nesterov_(options.GetBool("nesterov")) {}

  absl::Span<const absl::string_view> state_slots() const override {
    if (momentum_ == 0.0f) return {};
    return kVelocity;
  }
  void BeginStep(int64_t) override {}
  void Update(const OptimizerRange& range, kernels::UnitRange units) const override {
    kernels::Sgd({.count = range.count,
                  .learning_rate = learning_rate_,
                  .momentum = momentum_,
                  .nesterov = nesterov_,
                  .gradient = range.gradient,
                  .velocity = momentum_ == 0.0f ? nullptr : range.state[0],
                  .value = range.value},
                 units);
  }

 private:
  float learning_rate_;
  float momentum_;
  bool nesterov_;
};

absl::StatusOr<std::unique_ptr<Optimizer>> Make(const Options& options) {
  return std::make_unique<Sgd>(options);
}

constexpr absl::string_view kExamples[] = {"{}", "{learning_rate: 0.1, momentum: 0.9}",
                                           "{momentum: 0.5, nesterov: true}"};

}  // namespace

extern const OptimizerDef kDef;
constinit const OptimizerDef kDef = {"sgd", "gradient descent, with momentum or Nesterov's form",
                                     kOptions, &Make, kExamples};

}  // namespace lockstep::optimizers::sgd
