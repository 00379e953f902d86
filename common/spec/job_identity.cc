#include "common/spec/job_identity.h"

#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/spec/job_yaml.h"
#include "common/spec/quantity.h"

namespace lockstep {
namespace {

Value NodeValue(const Node& node) {
  Value value = Value::MakeMap();
  value.Set("type", Value::String(node.type));
  value.Set("options", node.options);
  return value;
}

Value WordsValue(const std::vector<std::string>& words) {
  Value::List list;
  for (const std::string& word : words) list.push_back(Value::String(word));
  return Value::MakeList(std::move(list));
}

Value LayerValue(const LayerSpec& layer) {
  Value options = layer.options;
  options.Set("name", Value::String(layer.name));
  options.Set("inputs", WordsValue(layer.inputs));
  if (layer.reused.empty()) {
    options.Set("trainable", Value::Bool(layer.trainable));
  } else {
    options.Set("layer", Value::String(layer.reused));
  }
  Value value = Value::MakeMap();
  value.Set("type", Value::String(layer.type));
  value.Set("options", std::move(options));
  return value;
}

Value ModelValue(const ModelSpec& model) {
  Value::List inputs;
  for (const InputSpec& input : model.inputs) {
    Value::List dims;
    for (int64_t dim : input.shape.dims()) dims.push_back(Value::Int(dim));
    Value entry = Value::MakeMap();
    entry.Set("name", Value::String(input.name));
    entry.Set("shape", Value::MakeList(std::move(dims)));
    inputs.push_back(std::move(entry));
  }
  Value::List layers;
  for (const LayerSpec& layer : model.layers) layers.push_back(LayerValue(layer));
  Value value = Value::MakeMap();
  value.Set("inputs", Value::MakeList(std::move(inputs)));
  value.Set("layers", Value::MakeList(std::move(layers)));
  value.Set("outputs", WordsValue(model.outputs));
  return value;
}

Value SourceValue(const DataSourceSpec& source) {
  Value value = Value::MakeMap();
  value.Set("format", Value::String(source.type));
  value.Set("options", source.options);
  return value;
}

Value DataValue(const DataSpec& data) {
  Value preprocess = Value::MakeMap();
  preprocess.Set("scale", Value::Float(data.scale));
  preprocess.Set("offset", Value::Float(data.offset));
  Value value = Value::MakeMap();
  value.Set("train", SourceValue(data.train));
  if (data.validation.has_value()) value.Set("validation", SourceValue(*data.validation));
  if (data.validation_split.has_value()) {
    value.Set("validation_split", Value::Float(*data.validation_split));
  }
  if (data.test.has_value()) value.Set("test", SourceValue(*data.test));
  value.Set("preprocess", std::move(preprocess));
  return value;
}

// The part of `train` that a resumed job must share.
Value TrainIdentity(const TrainSpec& train) {
  Value class_weight = Value::MakeMap();
  for (const auto& [label, weight] : train.class_weight) {
    class_weight.Set(absl::StrCat(label), Value::Float(weight));
  }
  const bool seed_is_int = train.seed <= uint64_t{std::numeric_limits<int64_t>::max()};
  Value value = Value::MakeMap();
  value.Set("batch_size", Value::Int(train.batch_size));
  value.Set("shuffle", Value::Bool(train.shuffle));
  value.Set("seed", seed_is_int ? Value::Int(static_cast<int64_t>(train.seed))
                                : Value::String(absl::StrCat(train.seed)));
  if (train.shards.has_value()) value.Set("shards", Value::Int(*train.shards));
  value.Set("class_weight", std::move(class_weight));
  return value;
}

Value IdentityValue(const JobSpec& spec) {
  Value models = Value::MakeMap();
  for (const ModelSpec& model : spec.models()) models.Set(model.name, ModelValue(model));
  Value losses = Value::MakeMap();
  Value weights = Value::MakeMap();
  for (const LossSpec& loss : spec.losses()) {
    const std::string key = OutputKey(spec, loss.model, loss.output);
    losses.Set(key, NodeValue(loss.loss));
    weights.Set(key, Value::Float(loss.weight));
  }
  Value::List metrics;
  for (const Node& metric : spec.metrics()) metrics.push_back(NodeValue(metric));
  Value optimizers = Value::MakeMap();
  for (const OptimizerSpec& entry : spec.optimizers()) {
    optimizers.Set(entry.model, NodeValue(entry.optimizer));
  }
  Value value = Value::MakeMap();
  value.Set("program", NodeValue(spec.program()));
  value.Set("models", std::move(models));
  value.Set("data", DataValue(spec.data()));
  value.Set("train", TrainIdentity(spec.train()));
  if (!spec.losses().empty()) {
    value.Set("loss", std::move(losses));
    value.Set("loss_weights", std::move(weights));
  }
  value.Set("metrics", Value::MakeList(std::move(metrics)));
  value.Set("optimizers", std::move(optimizers));
  return value;
}

Value CheckpointValue(const CheckpointSpec& checkpoint) {
  Value value = Value::MakeMap();
  if (checkpoint.every.has_value()) {
    value.Set("every", Value::String(FormatSeconds(*checkpoint.every)));
  }
  if (checkpoint.every_steps.has_value()) {
    value.Set("every_steps", Value::Int(*checkpoint.every_steps));
  }
  value.Set("keep", Value::Int(checkpoint.keep));
  return value;
}

Value ResourcesValue(const ResourcesSpec& resources) {
  Value value = Value::MakeMap();
  value.Set("workers", Value::Int(resources.workers));
  value.Set("threads", Value::Int(resources.threads));
  if (resources.memory_bytes.has_value()) {
    value.Set("memory", Value::String(absl::StrCat(*resources.memory_bytes, "B")));
  }
  return value;
}

}  // namespace

std::string ToCanonicalJson(const JobSpec& spec) {
  Value value = IdentityValue(spec);
  Value train = *value.Find("train");
  if (spec.train().epochs.has_value()) train.Set("epochs", Value::Int(*spec.train().epochs));
  if (spec.train().steps.has_value()) train.Set("steps", Value::Int(*spec.train().steps));
  value.Set("train", std::move(train));
  value.Set("name", Value::String(spec.name()));
  value.Set("checkpoint", CheckpointValue(spec.checkpoint()));
  value.Set("resources", ResourcesValue(spec.resources()));
  value.Set("launcher", NodeValue(spec.launcher()));
  Value output = Value::MakeMap();
  output.Set("directory", Value::String(spec.output().directory));
  output.Set("formats", WordsValue(spec.output().formats));
  value.Set("output", std::move(output));
  return ToJson(value);
}

std::string CanonicalJobIdentity(const JobSpec& spec) { return ToJson(IdentityValue(spec)); }

std::vector<std::string> DifferingKeys(absl::string_view identity_a, absl::string_view identity_b) {
  const auto parse = [](absl::string_view text) {
    absl::StatusOr<Value> value = ParseYaml(text, "");
    return value.ok() && value->is_map() ? *std::move(value) : Value::MakeMap();
  };
  const Value a = parse(identity_a);
  const Value b = parse(identity_b);
  std::set<std::string> keys;
  for (const Value* side : {&a, &b}) {
    for (const Value::Entry& entry : side->map()) {
      const Value* in_a = a.Find(entry.key);
      const Value* in_b = b.Find(entry.key);
      if (in_a == nullptr || in_b == nullptr || *in_a != *in_b) keys.insert(entry.key);
    }
  }
  return {keys.begin(), keys.end()};
}

}  // namespace lockstep
