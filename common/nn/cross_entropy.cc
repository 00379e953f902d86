#include "common/nn/cross_entropy.h"

namespace lockstep {
namespace {

class CrossEntropy final : public Loss {
 public:
  CrossEntropy(const CrossEntropyForm& form, bool from_logits)
      : form_(form), from_logits_(from_logits) {}

  TargetKind target_kind() const override { return form_.target; }
  bool TakesLogitsOf(absl::string_view activation) const override {
    return !from_logits_ && activation == form_.activation;
  }
  absl::Status CheckOutput(const Shape& output) const override {
    return form_.classes_min > 0 ? CheckClassOutput(output, form_.classes_min) : absl::OkStatus();
  }
  void Record(StepBuilder& builder, const LossCall& call) const override {
    const bool logits = from_logits_ || call.logits;
    RecordLoss(builder, call, logits ? form_.logits : form_.probabilities);
  }

 private:
  CrossEntropyForm form_;
  bool from_logits_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Loss>> MakeCrossEntropy(const CrossEntropyForm& form,
                                                       const Options& options) {
  return std::make_unique<CrossEntropy>(form, options.GetBool("from_logits"));
}

}  // namespace lockstep
