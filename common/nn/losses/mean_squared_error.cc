// Mean squared error: the mean over a sample's values of (y - t)^2.
#include "common/nn/loss.h"

namespace lockstep::losses::mean_squared_error {
namespace {

class MeanSquaredError final : public Loss {
 public:
  TargetKind target_kind() const override { return TargetKind::kValues; }
  void Record(StepBuilder& builder, const LossCall& call) const override {
    RecordLoss(builder, call, &kernels::MeanSquaredError);
  }
};

absl::StatusOr<std::unique_ptr<Loss>> Make(const Options&) {
  return std::make_unique<MeanSquaredError>();
}

}  // namespace

extern const LossDef kDef;
constinit const LossDef kDef = {
    "mean_squared_error", "mean of (y - t)^2 over a sample's values", {}, &Make, ""};

}  // namespace lockstep::losses::mean_squared_error
