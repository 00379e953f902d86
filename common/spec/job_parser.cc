// ParseJobSpec: one method per top-level key of the job file.
#include <algorithm>
#include <bit>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/spec/job_limits.h"
#include "common/spec/job_spec.h"
#include "common/spec/model_parser.h"
#include "common/spec/quantity.h"

namespace lockstep {
namespace {

constexpr absl::string_view kOnlyModel = "model";
constexpr absl::string_view kLaunchers[] = {"local"};
constexpr absl::string_view kFormats[] = {"safetensors"};
constexpr absl::string_view kPathKeys[] = {"inputs", "targets", "sample_weights"};

constexpr OptionDoc Section(absl::string_view name, absl::string_view fallback,
                            absl::string_view help) {
  return {.name = name, .fallback = fallback, .help = help};
}

constexpr OptionDoc kJobKeys[] = {
    {.name = "name", .fallback = "job", .help = "what lists and logs call the job"},
    Section("model", "null", "the model: layers and input_shape"),
    Section("models", "null", "several models: {name: model}"),
    Section("program", "supervised", "the training program"),
    Section("data", "", "where samples come from"),
    Section("train", "{}", "batch size, epochs, seed"),
    Section("loss", "null", "the loss, or {output: loss}"),
    Section("loss_weights", "null", "{output: weight}"),
    Section("optimizer", "null", "the optimizer of the model"),
    Section("optimizers", "null", "{model: optimizer}"),
    Section("metrics", "[]", "list of metrics"),
    Section("callbacks", "[]", "list of callbacks"),
    Section("checkpoint", "{}", "how often, how many"),
    Section("resources", "{}", "workers, threads, memory"),
    Section("launcher", "local", "what starts the workers"),
    Section("output", "{}", "directory and formats of the result"),
};

constexpr OptionDoc kDataKeys[] = {
    Section("train", "", "{format: idx, inputs: FILE, targets: FILE}"),
    Section("validation", "null", "a data source"),
    {.name = "validation_split",
     .type = OptionType::kFloat,
     .fallback = "null",
     .nullable = true,
     .help = "this part of the training data, its end, validates"},
    Section("test", "null", "a data source, evaluated once at the end"),
    Section("preprocess", "{}", "scale and offset"),
};

constexpr OptionDoc kPreprocessKeys[] = {
    {.name = "scale", .type = OptionType::kFloat, .fallback = "1", .help = "factor of the inputs"},
    {.name = "offset", .type = OptionType::kFloat, .fallback = "0", .help = "added after scaling"},
};

constexpr OptionDoc Count(absl::string_view name, absl::string_view fallback, int64_t max,
                          absl::string_view help) {
  return {.name = name,
          .type = OptionType::kInt,
          .fallback = fallback,
          .min = 1,
          .max = static_cast<double>(max),
          .nullable = fallback == "null",
          .help = help};
}

constexpr OptionDoc kTrainKeys[] = {
    Count("batch_size", "32", kBatchSizeMax, "samples of one step, over all workers"),
    Count("epochs", "null", kEpochsMax, "times over the data; 1, or as many as 'steps' need"),
    Section("steps", "null", "the run ends after this many steps"),
    {.name = "shuffle", .type = OptionType::kBool, .fallback = "true", .help = "each epoch anew"},
    Section("seed", "0", "of every random number; 0 to 2^64 - 1"),
    Section("shards", "auto", "auto or a power of two"),
    Section("class_weight", "{}", "{class: weight}"),
};

constexpr OptionDoc kCheckpointKeys[] = {
    Section("every", "null", "a time; without it and every_steps: 60s"),
    Section("every_steps", "null", "a number of steps"),
    Count("keep", "3", kCheckpointsKeptMax, "how many are kept"),
};

constexpr OptionDoc kResourcesKeys[] = {
    Count("workers", "1", kWorkersMax, "processes"),
    Count("threads", "1", kThreadsMax, "per worker"),
    Section("memory", "null", "per worker, like 4GiB"),
};

constexpr OptionDoc kOutputKeys[] = {
    {.name = "directory", .type = OptionType::kString, .fallback = "out", .help = "of the result"},
    Section("formats", "[safetensors]", "of the model"),
};

std::string ResolvePath(absl::string_view directory, absl::string_view path) {
  if (directory.empty() || absl::StartsWith(path, "/")) return std::string(path);
  return absl::StrCat(directory, absl::EndsWith(directory, "/") ? "" : "/", path);
}

// A path or a map of paths, made absolute. Other values stay: the format refuses them.
Value ResolvePaths(absl::string_view directory, const Value& value) {
  if (value.is_string()) {
    Value resolved = Value::String(ResolvePath(directory, value.string()));
    return resolved.set_mark(value.mark());
  }
  if (!value.is_map()) return value;
  Value::Map entries = value.map();
  for (Value::Entry& entry : entries) {
    if (entry.value.is_string()) entry.value = ResolvePaths(directory, entry.value);
  }
  Value resolved = Value::MakeMap(std::move(entries));
  return resolved.set_mark(value.mark());
}

// Flat, {format: idx, inputs: ...}, or in the form of the message, {format: idx, options: {...}}.
absl::StatusOr<DataSourceSpec> ParseSource(const Value& value, absl::string_view where,
                                           absl::string_view directory) {
  const Value* format = value.is_map() ? value.Find("format") : nullptr;
  if (format == nullptr || !format->is_string() || format->string().empty()) {
    return ErrorAt(value.mark(), where, "has no 'format'; write {format: idx, inputs: FILE, ...}");
  }
  DataSourceSpec source;
  source.type = format->string();
  source.where = std::string(where);
  source.mark = format->mark();
  Value::Map entries;
  for (const Value::Entry& entry : value.map()) {
    if (entry.key != "format") entries.push_back(entry);
  }
  if (entries.size() == 1 && entries[0].key == "options" && entries[0].value.is_map()) {
    entries = Value::Map(entries[0].value.map());
  }
  source.options = Value::MakeMap(std::move(entries));
  source.options.set_mark(value.mark());
  if (const Value* path = source.options.Find("path"); path != nullptr) {
    source.options.Set("path", ResolvePaths(directory, *path));
    return source;
  }
  for (absl::string_view key : kPathKeys) {
    const Value* paths = source.options.Find(key);
    if (paths != nullptr) source.options.Set(key, ResolvePaths(directory, *paths));
  }
  return source;
}

}  // namespace

class JobSpecParser {
 public:
  JobSpecParser(const Options& job, absl::string_view directory)
      : job_(job), directory_(directory) {}

  absl::StatusOr<JobSpec> Parse() {
    LOCKSTEP_RETURN_IF_ERROR(CheckName(job_.GetValue("name"), "name"));
    spec_.name_ = job_.GetValue("name").string();
    LOCKSTEP_ASSIGN_OR_RETURN(spec_.program_, ParseNode(job_.GetValue("program"), "program"));
    LOCKSTEP_RETURN_IF_ERROR(ParseModels());
    LOCKSTEP_RETURN_IF_ERROR(ParseData());
    LOCKSTEP_RETURN_IF_ERROR(ParseTrain());
    LOCKSTEP_RETURN_IF_ERROR(ParseLosses());
    LOCKSTEP_RETURN_IF_ERROR(ParseLossWeights());
    LOCKSTEP_RETURN_IF_ERROR(ParseOptimizers());
    LOCKSTEP_RETURN_IF_ERROR(ParseMetrics());
    LOCKSTEP_RETURN_IF_ERROR(RefuseCallbacks());
    LOCKSTEP_RETURN_IF_ERROR(ParseCheckpoint());
    LOCKSTEP_RETURN_IF_ERROR(ParseResources());
    LOCKSTEP_RETURN_IF_ERROR(ParseLauncher());
    LOCKSTEP_RETURN_IF_ERROR(ParseOutput());
    return std::move(spec_);
  }

 private:
  absl::StatusOr<Options> Section(absl::string_view name, absl::Span<const OptionDoc> keys) const {
    return CheckOptions(keys, job_.GetValue(name), name);
  }

  absl::Status ParseModels() {
    const Value& model = job_.GetValue("model");
    const Value& models = job_.GetValue("models");
    if (model.is_null() == models.is_null()) {
      return job_.Error("model", models.is_null() ? "is missing; give 'model' or 'models'"
                                                  : "give one of 'model' and 'models'");
    }
    if (models.is_null()) {
      LOCKSTEP_ASSIGN_OR_RETURN(ModelSpec spec, ParseModel(model, kOnlyModel, "model"));
      spec_.models_.push_back(std::move(spec));
      return absl::OkStatus();
    }
    if (!models.is_map() || models.map().empty()) {
      return job_.Error("models", absl::StrCat("is ", models.Describe(), "; give {name: model}"));
    }
    for (const Value::Entry& entry : models.map()) {
      Value key = Value::String(entry.key);
      LOCKSTEP_RETURN_IF_ERROR(CheckName(key.set_mark(entry.mark), "models"));
      LOCKSTEP_ASSIGN_OR_RETURN(
          ModelSpec spec, ParseModel(entry.value, entry.key, absl::StrCat("models.", entry.key)));
      spec_.models_.push_back(std::move(spec));
    }
    std::sort(spec_.models_.begin(), spec_.models_.end(),
              [](const ModelSpec& a, const ModelSpec& b) { return a.name < b.name; });
    return absl::OkStatus();
  }

  absl::Status ParseData() {
    LOCKSTEP_ASSIGN_OR_RETURN(const Options keys, Section("data", kDataKeys));
    LOCKSTEP_ASSIGN_OR_RETURN(spec_.data_.train,
                              ParseSource(keys.GetValue("train"), "data.train", directory_));
    const std::pair<absl::string_view, std::optional<DataSourceSpec>*> kOptional[] = {
        {"validation", &spec_.data_.validation}, {"test", &spec_.data_.test}};
    for (const auto& [key, source] : kOptional) {
      if (keys.IsNull(key)) continue;
      LOCKSTEP_ASSIGN_OR_RETURN(
          *source, ParseSource(keys.GetValue(key), absl::StrCat("data.", key), directory_));
    }
    if (!keys.IsNull("validation_split")) {
      const double split = keys.GetFloat("validation_split");
      if (!(split > 0 && split < 1)) {
        return keys.Error("validation_split",
                          absl::StrCat(split, " is not between 0 and 1; 0.1 takes a tenth"));
      }
      if (spec_.data_.validation.has_value()) {
        return keys.Error("validation_split", "stands beside 'validation'; give one of them");
      }
      spec_.data_.validation_split = split;
    }
    LOCKSTEP_ASSIGN_OR_RETURN(
        const Options preprocess,
        CheckOptions(kPreprocessKeys, keys.GetValue("preprocess"), "data.preprocess"));
    spec_.data_.scale = preprocess.GetFloat("scale");
    spec_.data_.offset = preprocess.GetFloat("offset");
    return absl::OkStatus();
  }

  absl::Status ParseTrain() {
    LOCKSTEP_ASSIGN_OR_RETURN(const Options keys, Section("train", kTrainKeys));
    TrainSpec& train = spec_.train_;
    train.batch_size = keys.GetInt("batch_size");
    if (!keys.IsNull("epochs")) train.epochs = keys.GetInt("epochs");
    train.shuffle = keys.GetBool("shuffle");
    if (!keys.IsNull("steps")) {
      LOCKSTEP_ASSIGN_OR_RETURN(const uint64_t steps,
                                ParseCount(keys.GetValue("steps"), "train.steps",
                                           {.min = 1, .max = uint64_t{kStepsMax}}));
      train.steps = static_cast<int64_t>(steps);
    }
    LOCKSTEP_ASSIGN_OR_RETURN(train.seed, ParseCount(keys.GetValue("seed"), "train.seed", {}));
    LOCKSTEP_RETURN_IF_ERROR(ParseShards(keys));
    return ParseClassWeight(keys.GetValue("class_weight"));
  }

  absl::Status ParseShards(const Options& train) {
    const Value& shards = train.GetValue("shards");
    if (shards.is_string() && shards.string() == "auto") return absl::OkStatus();
    const bool is_int = shards.kind() == Value::Kind::kInt;
    if (is_int && shards.int_value() >= 1 && shards.int_value() <= kShardsMax &&
        std::has_single_bit(static_cast<uint64_t>(shards.int_value()))) {
      spec_.train_.shards = shards.int_value();
      return absl::OkStatus();
    }
    return train.Error(
        "shards", absl::StrCat("is ", shards.Describe(), "; use auto or a power of two from 1 to ",
                               kShardsMax));
  }

  absl::Status ParseClassWeight(const Value& weights) {
    constexpr absl::string_view kWhere = "train.class_weight";
    if (weights.is_null()) return absl::OkStatus();
    if (!weights.is_map()) {
      return ErrorAt(weights.mark(), kWhere,
                     absl::StrCat("is ", weights.Describe(), "; give {class: weight}"));
    }
    for (const Value::Entry& entry : weights.map()) {
      int64_t label = 0;
      if (!absl::SimpleAtoi(entry.key, &label) || label < 0 || label >= kClassesMax) {
        return ErrorAt(entry.mark, kWhere,
                       absl::StrCat(Quote(entry.key), " is not a class; classes are 0, 1, ..."));
      }
      if (!entry.value.is_number() || entry.value.number() < 0) {
        return ErrorAt(entry.value.mark(), absl::StrCat(kWhere, ".", label),
                       absl::StrCat("is ", entry.value.Describe(), "; use a number from 0"));
      }
      if (!spec_.train_.class_weight.emplace(label, entry.value.number()).second) {
        return ErrorAt(entry.mark, kWhere, absl::StrCat("class ", label, " is there twice"));
      }
    }
    return absl::OkStatus();
  }

  std::vector<std::string> OutputKeys() const {
    std::vector<std::string> keys;
    for (const ModelSpec& model : spec_.models_) {
      for (const std::string& output : model.outputs) {
        keys.push_back(OutputKey(spec_, model.name, output));
      }
    }
    return keys;
  }

  // Refuses keys that are not in `known`, and a known one that is missing.
  static absl::Status CheckKeys(const Value& map, absl::string_view where,
                                const std::vector<std::string>& known, absl::string_view what) {
    const absl::flat_hash_set<absl::string_view> set(known.begin(), known.end());
    for (const Value::Entry& entry : map.map()) {
      if (set.contains(entry.key)) continue;
      const std::vector<absl::string_view> names(known.begin(), known.end());
      return ErrorAt(entry.mark, where,
                     absl::StrCat("no ", what, " is called ", Quote(entry.key),
                                  NearestNamesHint(entry.key, names)));
    }
    if (map.map().size() == known.size()) return absl::OkStatus();
    for (const std::string& key : known) {
      if (map.Find(key) != nullptr) continue;
      return ErrorAt(map.mark(), where, absl::StrCat(what, " ", Quote(key), " is missing; add it"));
    }
    return absl::OkStatus();
  }

  // One loss for every output, or a map from each output to its loss: a map is the latter where its
  // keys are outputs, or where it cannot be a node.
  absl::Status ParseLosses() {
    const Value& loss = job_.GetValue("loss");
    if (loss.is_null()) {
      if (job_.IsNull("models")) {
        return job_.Error("loss", "is missing; name one, like mean_squared_error");
      }
      return absl::OkStatus();  // the program may have its own
    }
    const std::vector<std::string> keys = OutputKeys();
    const absl::flat_hash_set<absl::string_view> known(keys.begin(), keys.end());
    const bool per_output = loss.is_map() && !loss.map().empty() &&
                            (known.contains(loss.map()[0].key) ||
                             (loss.map().size() > 1 && loss.Find("type") == nullptr));
    if (per_output) LOCKSTEP_RETURN_IF_ERROR(CheckKeys(loss, "loss", keys, "output"));
    for (const ModelSpec& model : spec_.models_) {
      for (const std::string& output : model.outputs) {
        const std::string key = OutputKey(spec_, model.name, output);
        LOCKSTEP_ASSIGN_OR_RETURN(Node node, per_output ? ParseNode(*loss.Find(key), "loss." + key)
                                                        : ParseNode(loss, "loss"));
        spec_.losses_.push_back({model.name, output, std::move(node), 1.0});
      }
    }
    return absl::OkStatus();
  }

  absl::Status ParseLossWeights() {
    constexpr absl::string_view kWhere = "loss_weights";
    const Value& weights = job_.GetValue(kWhere);
    if (weights.is_null()) return absl::OkStatus();
    if (!weights.is_map() || spec_.losses_.empty()) {
      return job_.Error(
          kWhere, absl::StrCat("is ", weights.Describe(), "; give {output: weight} beside 'loss'"));
    }
    LOCKSTEP_RETURN_IF_ERROR(CheckKeys(weights, kWhere, OutputKeys(), "output"));
    for (LossSpec& loss : spec_.losses_) {
      const Value& weight = *weights.Find(OutputKey(spec_, loss.model, loss.output));
      if (!weight.is_number()) {
        return ErrorAt(weight.mark(), kWhere,
                       absl::StrCat("is ", weight.Describe(), "; it takes a number"));
      }
      loss.weight = weight.number();
    }
    return absl::OkStatus();
  }

  absl::Status ParseOptimizers() {
    const Value& one = job_.GetValue("optimizer");
    const Value& several = job_.GetValue("optimizers");
    if (job_.IsNull("models")) {
      if (!several.is_null()) {
        return job_.Error("optimizers", "belongs to 'models'; use 'optimizer' for one model");
      }
      if (one.is_null()) return job_.Error("optimizer", "is missing; name one, like adam");
      LOCKSTEP_ASSIGN_OR_RETURN(Node node, ParseNode(one, "optimizer"));
      spec_.optimizers_.push_back({spec_.models_[0].name, std::move(node)});
      return absl::OkStatus();
    }
    if (!one.is_null() || !several.is_map()) {
      return job_.Error("optimizers", "several 'models' take 'optimizers: {model: optimizer}'");
    }
    std::vector<std::string> names;
    for (const ModelSpec& model : spec_.models_) names.push_back(model.name);
    LOCKSTEP_RETURN_IF_ERROR(CheckKeys(several, "optimizers", names, "model"));
    for (const std::string& name : names) {
      LOCKSTEP_ASSIGN_OR_RETURN(Node node,
                                ParseNode(*several.Find(name), absl::StrCat("optimizers.", name)));
      spec_.optimizers_.push_back({name, std::move(node)});
    }
    return absl::OkStatus();
  }

  absl::Status ParseMetrics() {
    const Value& metrics = job_.GetValue("metrics");
    if (!metrics.is_list()) {
      return job_.Error(
          "metrics", absl::StrCat("is ", metrics.Describe(), "; it takes a list, like [accuracy]"));
    }
    for (size_t i = 0; i < metrics.list().size(); ++i) {
      LOCKSTEP_ASSIGN_OR_RETURN(Node node,
                                ParseNode(metrics.list()[i], absl::StrCat("metrics[", i, "]")));
      spec_.metrics_.push_back(std::move(node));
    }
    return absl::OkStatus();
  }

  absl::Status RefuseCallbacks() {
    const Value& callbacks = job_.GetValue("callbacks");
    if (!callbacks.is_list()) {
      return job_.Error("callbacks",
                        absl::StrCat("is ", callbacks.Describe(), "; it takes a list"));
    }
    if (callbacks.list().empty()) return absl::OkStatus();
    LOCKSTEP_ASSIGN_OR_RETURN(const Node node, ParseNode(callbacks.list()[0], "callbacks[0]"));
    return ErrorAt(node.mark, node.where,
                   absl::StrCat("unknown callback ", Quote(node.type),
                                "; this version has none yet, remove it"));
  }

  absl::Status ParseCheckpoint() {
    LOCKSTEP_ASSIGN_OR_RETURN(const Options keys, Section("checkpoint", kCheckpointKeys));
    spec_.checkpoint_.keep = keys.GetInt("keep");
    if (!keys.IsNull("every")) {
      LOCKSTEP_ASSIGN_OR_RETURN(spec_.checkpoint_.every,
                                ParseDuration(keys.GetValue("every"), "checkpoint.every"));
    }
    if (keys.IsNull("every_steps")) {
      if (keys.IsNull("every")) spec_.checkpoint_.every = absl::Seconds(60);
      return absl::OkStatus();
    }
    if (spec_.checkpoint_.every.has_value()) {
      return keys.Error("every_steps", "stands beside 'every'; give one of them");
    }
    LOCKSTEP_ASSIGN_OR_RETURN(const uint64_t steps,
                              ParseCount(keys.GetValue("every_steps"), "checkpoint.every_steps",
                                         {.min = 1, .max = uint64_t{kStepsMax}}));
    spec_.checkpoint_.every_steps = static_cast<int64_t>(steps);
    return absl::OkStatus();
  }

  absl::Status ParseResources() {
    LOCKSTEP_ASSIGN_OR_RETURN(const Options keys, Section("resources", kResourcesKeys));
    spec_.resources_.workers = keys.GetInt("workers");
    spec_.resources_.threads = keys.GetInt("threads");
    if (!keys.IsNull("memory")) {
      LOCKSTEP_ASSIGN_OR_RETURN(spec_.resources_.memory_bytes,
                                ParseBytes(keys.GetValue("memory"), "resources.memory"));
    }
    return absl::OkStatus();
  }

  absl::Status ParseLauncher() {
    LOCKSTEP_ASSIGN_OR_RETURN(spec_.launcher_, ParseNode(job_.GetValue("launcher"), "launcher"));
    if (spec_.launcher_.type != kLaunchers[0]) {
      return spec_.launcher_.UnknownType("launcher", kLaunchers);
    }
    return CheckOptions({}, spec_.launcher_.options, spec_.launcher_.OptionsWhere()).status();
  }

  absl::Status ParseOutput() {
    LOCKSTEP_ASSIGN_OR_RETURN(const Options keys, Section("output", kOutputKeys));
    if (keys.GetString("directory").empty()) {
      return keys.Error("directory", "is empty; give a directory");
    }
    spec_.output_.directory = ResolvePath(directory_, keys.GetString("directory"));
    LOCKSTEP_ASSIGN_OR_RETURN(spec_.output_.formats,
                              ParseWords(keys.GetValue("formats"), "output.formats"));
    for (const std::string& format : spec_.output_.formats) {
      if (format == kFormats[0]) continue;
      return keys.Error("formats", absl::StrCat("unknown format ", Quote(format),
                                                NearestNamesHint(format, kFormats)));
    }
    return absl::OkStatus();
  }

  const Options& job_;
  absl::string_view directory_;
  JobSpec spec_;
};

absl::StatusOr<JobSpec> ParseJobSpec(const Value& value, absl::string_view directory) {
  LOCKSTEP_ASSIGN_OR_RETURN(const Options job, CheckOptions(kJobKeys, value, ""));
  return JobSpecParser(job, directory).Parse();
}

}  // namespace lockstep
