// Program: how a job's models are trained, as phases of recorded calls. A phase ends in the update
// of the models it names; the trainer runs phases in order and knows nothing else of a program.
// ProgramDef: one file of the room common/plan/programs each. Programs live here, not in the
// worker: `validate` and `plan` need the exact plan without one (docs/ARCHITECTURE.md). Thread: the
// one that plans.
#ifndef LOCKSTEP_COMMON_PLAN_PROGRAM_H_
#define LOCKSTEP_COMMON_PLAN_PROGRAM_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/data/data_signature.h"
#include "common/nn/loss.h"
#include "common/nn/metrics.h"
#include "common/nn/model.h"
#include "common/nn/noise.h"
#include "common/nn/parameters.h"
#include "common/optim/optimizer.h"
#include "common/plan/plan_memory.h"
#include "common/spec/job_spec.h"

namespace lockstep {

// A model of the job with everything resolved.
struct JobModel {
  std::unique_ptr<Model> model;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<int64_t> offsets;  // of its variables in the flat buffers
  bool from_data = true;         // its inputs are the data's; else the program makes them
};

// One output with a loss; sums[first_sum] is its loss, then one sum per metric.
struct JobOutput {
  size_t model = 0;
  size_t output = 0;  // of the model
  std::string key;    // name in metrics: "" where the job has just one output
  std::unique_ptr<Loss> loss;
  double loss_weight = 1;
  bool logits = false;     // the loss takes the logits
  bool has_target = true;  // the data has a target for it; else the program does
  std::vector<MetricKind> metrics;
  std::vector<std::string> metric_names;
  size_t first_sum = 0;
};

// The models, outputs and parameters of a job, shapes proven. Immutable.
struct JobGraph {
  std::vector<JobModel> models;    // by name
  std::vector<JobOutput> outputs;  // by model, then output; all have targets in the data, or none
  std::unique_ptr<ParameterSet> parameters;
  size_t sum_count = 0;
  Options program;  // of the job's program
};

// Persistent slices that the trainer fills before or reads after a phase.
struct FeedSlices {
  std::vector<Slice> input_rows;   // [slots][elements] in the field's type, per data input
  std::vector<Slice> target_rows;  // the same per output with TargetKind::kValues, else invalid
  std::vector<Slice> labels;   // int32 [slots] per output with TargetKind::kLabels, else invalid
  std::vector<Slice> seeds;    // f32 [slots] per output: weight x loss_weight / divisor
  std::vector<Slice> weights;  // f32 [slots] per output
};

struct ProgramPhase {
  std::string name;
  std::vector<size_t> updates;  // models whose gradients the phase leaves in the gradient buffers
  std::unique_ptr<StepBuilder> builder;
};

// Pictures that a program shows after each epoch, from noise that stays the same.
struct PictureSheet {
  Shape picture;  // (height, width) or (height, width, channels), 1 or 3 of them
  int64_t rows = 0;
  int64_t columns = 0;
  float black = 0;  // values that become bytes 0 and 255
  float white = 1;
};

// What a program records with. References outlive it.
class ProgramContext {
 public:
  ProgramContext(const JobGraph& graph, const DataSignature& data, const DataSpec& preprocess)
      : graph_(graph), data_(data), preprocess_(preprocess) {}

  const JobGraph& graph() const { return graph_; }
  std::unique_ptr<StepBuilder> NewBuilder() const;

  // The decoded input of the data, [blocks][elements][16].
  Slice RecordInput(StepBuilder& builder, size_t input) const;
  // The inputs of a model by name from the data.
  std::vector<Slice> RecordInputsOf(StepBuilder& builder, size_t model) const;
  Model::Pass RecordForward(StepBuilder& builder, size_t model, std::vector<Slice> inputs,
                            bool training);
  // Losses and metrics of the model's outputs, and their sums; returns d_output per output where
  // `with_gradients`.
  std::vector<Slice> RecordLosses(StepBuilder& builder, size_t model, const Model::Pass& pass,
                                  bool with_gradients) const;
  // sums[sum] of each subtree: the shard tree over the slots' values times their weights (invalid:
  // 1).
  void RecordSum(StepBuilder& builder, Slice per_slot, Slice weight, size_t sum) const;
  // Backward with variable gradients into the gradient buffers; of what no loss depends on they are
  // zero.
  void RecordBackward(StepBuilder& builder, size_t model, Model::Pass& pass,
                      std::vector<Slice> d_outputs) const {
    RecordBackward(builder, model, {{&pass, std::move(d_outputs)}});
  }
  // Of several passes, in forward order: one gradient.
  void RecordBackward(StepBuilder& builder, size_t model,
                      absl::Span<const Model::PassGradients> passes) const;
  // A model's inputs from noise: of this step, or `fixed`.
  std::vector<Slice> RecordNoise(StepBuilder& builder, size_t model, NoiseKind kind, bool fixed);

  BatchGeometry geometry;
  StepBuilder::RunInputs run_inputs;
  FeedSlices feed;
  Slice values;
  std::vector<Slice> gradients;  // per subtree
  Slice sums;                    // double [subtrees][graph.sum_count]

 private:
  std::string LabelPrefix(size_t model) const;
  Slice RecordTarget(StepBuilder& builder, size_t output, const Shape& shape) const;

  const JobGraph& graph_;
  const DataSignature& data_;
  const DataSpec& preprocess_;
  StepBuilder::Temporaries temporaries_ = std::make_shared<std::vector<int64_t>>();
  uint32_t next_node_call_ = 0;
};

// The shard tree over a subtree of chains, over a shard's samples, of double(value) * weight (null:
// 1).
double SumOfSubtree(const kernels::SlotMap& slots, kernels::SubtreeRange subtree,
                    const float* value, const float* weight);

struct ProgramDef {
  absl::string_view name;
  absl::string_view summary;
  // INVALID_ARGUMENT where the job's models or losses do not fit the program.
  absl::Status (*check)(const JobGraph& graph);
  std::vector<ProgramPhase> (*record_train)(ProgramContext& context);
  // The evaluation pass of one batch: losses and metrics into the sums.
  ProgramPhase (*record_evaluate)(ProgramContext& context);
  absl::Span<const OptionDoc> options = {};
  // Adds to the graph of the job's models what the program brings itself: losses, inputs that are
  // not data. Null: nothing. INVALID_ARGUMENT where it cannot.
  absl::Status (*complete)(const JobSpec& spec, JobGraph& graph) = nullptr;
  // The pictures it shows, if it can for these data; null: none. record_pictures fills `bytes`, u8
  // [slots][elements], with those whose numbers are the batch positions, without collectives.
  std::optional<PictureSheet> (*picture_sheet)(const JobGraph& graph, const DataSignature& data,
                                               const DataSpec& preprocess) = nullptr;
  ProgramPhase (*record_pictures)(ProgramContext& context, const PictureSheet& sheet,
                                  Slice bytes) = nullptr;
};

// Sorted by name.
absl::Span<const ProgramDef* const> Programs();
absl::StatusOr<const ProgramDef*> FindProgram(const Node& node);
absl::StatusOr<const ProgramDef*> FindProgram(absl::string_view name);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_PLAN_PROGRAM_H_
