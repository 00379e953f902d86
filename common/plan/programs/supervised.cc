// Supervised training: one model, its inputs and targets from the data, the sum of its outputs'
// losses.
#include "common/plan/program.h"

namespace lockstep::programs::supervised {
namespace {

absl::Status Check(const JobGraph& graph) {
  if (graph.models.size() == 1) return absl::OkStatus();
  return absl::InvalidArgumentError("supervised training takes one model; use 'model'");
}

std::vector<ProgramPhase> RecordTrain(ProgramContext& context) {
  ProgramPhase phase{.name = "train", .updates = {0}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  Model::Pass pass =
      context.RecordForward(builder, 0, context.RecordInputsOf(builder, 0), /*training=*/true);
  context.RecordBackward(builder, 0, pass, context.RecordLosses(builder, 0, pass, true));
  std::vector<ProgramPhase> phases;
  phases.push_back(std::move(phase));
  return phases;
}

ProgramPhase RecordEvaluate(ProgramContext& context) {
  ProgramPhase phase{.name = "evaluate", .updates = {}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  const Model::Pass pass =
      context.RecordForward(builder, 0, context.RecordInputsOf(builder, 0), /*training=*/false);
  context.RecordLosses(builder, 0, pass, /*gradients=*/false);
  return phase;
}

}  // namespace

extern const ProgramDef kDef;
constinit const ProgramDef kDef = {"supervised", "one model learns targets from inputs", &Check,
                                   &RecordTrain, &RecordEvaluate};

}  // namespace lockstep::programs::supervised
