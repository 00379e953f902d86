// JobSpec: the immutable, validated description of what a user wants (DESIGN 3.5). Only
// ParseJobSpec makes one, from YAML, JSON or the message lockstep.v1.JobSpec alike. Types and
// options of layers, losses, optimizers, metrics and formats are still Nodes: their registries
// judge them, with the place that each Node carries. Everything else is checked here. Thread: a
// plain value. Errors: INVALID_ARGUMENT with file, line, key, value and the way out.
#ifndef LOCKSTEP_COMMON_SPEC_JOB_SPEC_H_
#define LOCKSTEP_COMMON_SPEC_JOB_SPEC_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "common/spec/options.h"
#include "common/spec/value.h"
#include "common/tensor/shape.h"

namespace lockstep {

struct InputSpec {
  std::string name;
  Shape shape;  // of one sample

  friend bool operator==(const InputSpec&, const InputSpec&) = default;
};

// One call of a layer: type and options (without name, inputs and trainable) as in Node.
struct LayerSpec : Node {
  std::string name;                 // unique in its model; Keras' default: dense, dense_1, ...
  std::vector<std::string> inputs;  // names of earlier layers or of model inputs; at least one
  bool trainable = true;
  std::string reused;  // not empty: another call of that layer and its variables; type is "reuse",
                       // options are empty

  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

struct ModelSpec {
  std::string name;  // "model" where the job has just one, without a name
  std::vector<InputSpec> inputs;
  std::vector<LayerSpec> layers;     // every one after its inputs, and on the way to an output
  std::vector<std::string> outputs;  // layer names
  std::string where;                 // "model" or "models.NAME"
  SourceMark mark;

  const LayerSpec* FindLayer(absl::string_view layer) const;
  friend bool operator==(const ModelSpec& a, const ModelSpec& b) {
    return a.name == b.name && a.inputs == b.inputs && a.layers == b.layers &&
           a.outputs == b.outputs;
  }
};

// Where samples come from: type is the format; options are its own (path, inputs, targets,
// sample_weights, ...) with every path made absolute. Without `path`, inputs, targets and
// sample_weights are paths; with it, they are names inside that file.
using DataSourceSpec = Node;

struct DataSpec {
  DataSourceSpec train;
  std::optional<DataSourceSpec> validation;
  std::optional<double>
      validation_split;  // in (0, 1): the last part of `train`; never together with `validation`
  std::optional<DataSourceSpec> test;
  double scale = 1;  // x * scale + offset
  double offset = 0;

  friend bool operator==(const DataSpec&, const DataSpec&) = default;
};

struct TrainSpec {
  int64_t batch_size = 32;
  std::optional<int64_t> epochs;  // absent: 1, or as many as `steps` need
  std::optional<int64_t> steps;   // ends the run, in the middle of an epoch if need be
  bool shuffle = true;
  uint64_t seed = 0;
  std::optional<int64_t> shards;           // a power of two; absent: auto
  std::map<int64_t, double> class_weight;  // of classes that have one

  // The run ends after this many epochs or after `steps`, whichever is first.
  int64_t epochs_max() const;
  int64_t total_steps(int64_t steps_per_epoch) const;

  friend bool operator==(const TrainSpec&, const TrainSpec&) = default;
};

struct LossSpec {
  std::string model;
  std::string output;
  Node loss;
  double weight = 1;

  friend bool operator==(const LossSpec&, const LossSpec&) = default;
};

struct OptimizerSpec {
  std::string model;
  Node optimizer;

  friend bool operator==(const OptimizerSpec&, const OptimizerSpec&) = default;
};

struct CheckpointSpec {
  // Exactly one of these two; each epoch has a checkpoint in any case.
  std::optional<absl::Duration> every;
  std::optional<int64_t> every_steps;
  int64_t keep = 3;

  friend bool operator==(const CheckpointSpec&, const CheckpointSpec&) = default;
};

struct ResourcesSpec {
  int64_t workers = 1;
  int64_t threads = 1;                  // per worker
  std::optional<int64_t> memory_bytes;  // per worker

  friend bool operator==(const ResourcesSpec&, const ResourcesSpec&) = default;
};

struct OutputSpec {
  std::string directory = "out";
  std::vector<std::string> formats = {"safetensors"};

  friend bool operator==(const OutputSpec&, const OutputSpec&) = default;
};

// What the command line may say instead of the file.
struct Overrides {
  std::optional<int64_t> workers;
  std::optional<int64_t> threads;
  std::optional<int64_t> steps;
  std::optional<int64_t> epochs;
  std::optional<uint64_t> seed;
  std::optional<std::string> out;
};

// The same as words of a command line.
struct OverrideWords {
  std::optional<std::string> workers;
  std::optional<std::string> threads;
  std::optional<std::string> steps;
  std::optional<std::string> epochs;
  std::optional<std::string> seed;
  std::optional<std::string> out;
};

class JobSpec {
 public:
  const std::string& name() const { return name_; }
  const Node& program() const { return program_; }
  const std::vector<ModelSpec>& models() const { return models_; }  // by name; at least one
  const DataSpec& data() const { return data_; }
  const TrainSpec& train() const { return train_; }
  const std::vector<LossSpec>& losses() const { return losses_; }  // by model, then output
  const std::vector<Node>& metrics() const { return metrics_; }
  const std::vector<OptimizerSpec>& optimizers() const { return optimizers_; }  // one per model
  const CheckpointSpec& checkpoint() const { return checkpoint_; }
  const ResourcesSpec& resources() const { return resources_; }
  const Node& launcher() const { return launcher_; }
  const OutputSpec& output() const { return output_; }

  const ModelSpec* FindModel(absl::string_view model) const;
  // S: train().shards, or the automatic choice for the batch size.
  int64_t shards() const;

  friend bool operator==(const JobSpec&, const JobSpec&) = default;

 private:
  friend class JobSpecParser;
  friend absl::StatusOr<JobSpec> ApplyOverrides(JobSpec, const Overrides&);
  JobSpec() = default;

  std::string name_;
  Node program_;
  std::vector<ModelSpec> models_;
  DataSpec data_;
  TrainSpec train_;
  std::vector<LossSpec> losses_;
  std::vector<Node> metrics_;
  std::vector<OptimizerSpec> optimizers_;
  CheckpointSpec checkpoint_;
  ResourcesSpec resources_;
  Node launcher_;
  OutputSpec output_;
};

// `directory`: the absolute one of the job file; paths in the job are relative to it. Empty: they
// stay as they are.
absl::StatusOr<JobSpec> ParseJobSpec(const Value& value, absl::string_view directory);

// `text`: YAML or JSON. `file_name`: for messages.
absl::StatusOr<JobSpec> LoadJobSpec(absl::string_view text, absl::string_view file_name,
                                    absl::string_view directory);

// Decimal numbers only; the message names the option.
absl::StatusOr<Overrides> ParseOverrides(const OverrideWords& words);

// The same bounds as in the file. `out` is taken as it is, not relative to the job file.
absl::StatusOr<JobSpec> ApplyOverrides(JobSpec spec, const Overrides& overrides);

// The automatic number of shards for a batch size B >= 1: B < 32 ? max(1, bit_floor(B / 4)) :
// max(8, bit_floor(B / 32)).
int64_t ShardsFor(int64_t batch_size);

// The key of an output in `loss` and `loss_weights`: its name, after "MODEL/" where the job has
// several models.
std::string OutputKey(const JobSpec& spec, absl::string_view model, absl::string_view output);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_JOB_SPEC_H_
