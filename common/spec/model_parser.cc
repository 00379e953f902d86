#include "common/spec/model_parser.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

constexpr size_t kNameBytesMax = 128;
constexpr absl::string_view kReuse = "reuse";
constexpr absl::string_view kDefaultInput = "input_layer";  // Keras' name

constexpr OptionDoc kModelKeys[] = {
    {.name = "layers", .help = "the layers, each after its inputs"},
    {.name = "input_shape", .fallback = "null", .nullable = true, .help = "shape of one sample"},
    {.name = "inputs", .fallback = "null", .nullable = true, .help = "{name: shape} of each input"},
    {.name = "outputs", .fallback = "null", .nullable = true, .help = "names of output layers"},
};

constexpr OptionDoc kReuseKeys[] = {
    {.name = "layer", .type = OptionType::kString, .help = "the layer to call again"},
};

absl::StatusOr<Shape> ParseShape(const Value& value, absl::string_view where) {
  if (!value.is_list() || value.list().empty()) {
    return ErrorAt(value.mark(), where,
                   absl::StrCat("is ", value.Describe(),
                                "; give the shape of one sample, like [28, 28, 1] or [1]"));
  }
  std::vector<int64_t> dims;
  for (const Value& dim : value.list()) {
    if (dim.kind() != Value::Kind::kInt) {
      return ErrorAt(
          dim.mark(), where,
          absl::StrCat("a dimension is ", dim.Describe(), "; use ints, and leave the batch out"));
    }
    if (dim.int_value() > std::numeric_limits<int32_t>::max()) {
      return ErrorAt(
          dim.mark(), where,
          absl::StrCat("dimension ", dim.int_value(), " is too large; use 2147483647 ", "or less"));
    }
    dims.push_back(dim.int_value());
  }
  absl::StatusOr<Shape> shape = Shape::Checked(std::move(dims));
  if (!shape.ok()) return ErrorAt(value.mark(), where, shape.status().message());
  return shape;
}

// Takes name, inputs and trainable, which every layer has, out of the options.
class LayerParser {
 public:
  LayerParser(absl::string_view where, LayerSpec& layer) : where_(where), layer_(layer) {}

  absl::Status Parse(const Value& item) {
    LOCKSTEP_ASSIGN_OR_RETURN(static_cast<Node&>(layer_), ParseNode(item, where_));
    const std::string where = layer_.OptionsWhere();
    Value type = Value::String(layer_.type);
    LOCKSTEP_RETURN_IF_ERROR(CheckName(type.set_mark(layer_.mark), where_));
    if (const Value* name = layer_.options.Find("name"); name != nullptr) {
      LOCKSTEP_RETURN_IF_ERROR(CheckName(*name, where + ".name"));
      layer_.name = name->string();
    }
    if (const Value* inputs = layer_.options.Find("inputs"); inputs != nullptr) {
      LOCKSTEP_ASSIGN_OR_RETURN(layer_.inputs, ParseInputs(*inputs, where + ".inputs"));
    }
    if (const Value* trainable = layer_.options.Find("trainable"); trainable != nullptr) {
      if (trainable->kind() != Value::Kind::kBool) {
        return ErrorAt(trainable->mark(), where + ".trainable",
                       absl::StrCat("is ", trainable->Describe(), "; it takes true or false"));
      }
      layer_.trainable = trainable->bool_value();
    }
    Value::Map own;
    for (const Value::Entry& entry : layer_.options.map()) {
      if (entry.key != "name" && entry.key != "inputs" && entry.key != "trainable") {
        own.push_back(entry);
      }
    }
    const SourceMark mark = layer_.options.mark();
    layer_.options = Value::MakeMap(std::move(own));
    layer_.options.set_mark(mark);
    return layer_.type == kReuse ? TakeReuse() : absl::OkStatus();
  }

 private:
  // Unlike other lists of words this one may repeat: {add: {inputs: [a, a]}}.
  static absl::StatusOr<std::vector<std::string>> ParseInputs(const Value& value,
                                                              const std::string& where) {
    const Value::List one = {value};
    std::vector<std::string> names;
    for (const Value& item : value.is_list() ? value.list() : one) {
      if (!item.is_string() || item.string().empty()) {
        return ErrorAt(item.mark(), where,
                       absl::StrCat("is ", item.Describe(), "; give names of earlier layers"));
      }
      names.push_back(item.string());
    }
    if (names.empty()) return ErrorAt(value.mark(), where, "is empty; name at least one layer");
    return names;
  }

  absl::Status TakeReuse() {
    LOCKSTEP_ASSIGN_OR_RETURN(const Options options,
                              CheckOptions(kReuseKeys, layer_.options, layer_.OptionsWhere()));
    if (!layer_.trainable) {
      return layer_.Error("'trainable' belongs to the layer that is reused; set it there");
    }
    layer_.reused = options.GetString("layer");
    layer_.options = Value::MakeMap();
    return absl::OkStatus();
  }

  std::string where_;
  LayerSpec& layer_;
};

// The names of a model's graph: gives default ones, resolves references, proves the order.
class GraphBuilder {
 public:
  explicit GraphBuilder(ModelSpec& model) : model_(model) {}

  absl::Status Build() {
    LOCKSTEP_RETURN_IF_ERROR(TakeExplicitNames());
    for (const InputSpec& input : model_.inputs) defined_[input.name] = kInputIndex;
    for (size_t i = 0; i < model_.layers.size(); ++i) {
      LayerSpec& layer = model_.layers[i];
      LOCKSTEP_RETURN_IF_ERROR(ResolveReuse(layer));
      if (layer.name.empty()) layer.name = DefaultName(layer);
      if (layer.name.size() > kNameBytesMax) {
        return layer.Error("its default name is too long; give it a 'name'");
      }
      LOCKSTEP_RETURN_IF_ERROR(ResolveInputs(i));
      defined_[layer.name] = static_cast<int64_t>(i);
    }
    return absl::OkStatus();
  }

  // Every layer and every input must lead to an output.
  absl::Status CheckOutputs(const Value* outputs) {
    const std::string where = model_.where + ".outputs";
    for (const std::string& output : model_.outputs) {
      const auto found = defined_.find(output);
      if (found == defined_.end() || found->second == kInputIndex) {
        return ErrorAt(outputs->mark(), where,
                       absl::StrCat("no layer is called ", Quote(output),
                                    NearestNamesHint(output, LayerNames())));
      }
    }
    absl::flat_hash_set<absl::string_view> used(model_.outputs.begin(), model_.outputs.end());
    for (auto layer = model_.layers.rbegin(); layer != model_.layers.rend(); ++layer) {
      if (!used.contains(layer->name)) {
        return layer->Error(
            absl::StrCat("layer ", Quote(layer->name), " leads to no output; use it or remove it"));
      }
      used.insert(layer->inputs.begin(), layer->inputs.end());
    }
    for (const InputSpec& input : model_.inputs) {
      if (!used.contains(input.name)) {
        return ErrorAt(
            model_.mark, model_.where,
            absl::StrCat("no layer takes input ", Quote(input.name), "; use it or remove it"));
      }
    }
    return absl::OkStatus();
  }

 private:
  static constexpr int64_t kInputIndex = -1;

  absl::Status TakeExplicitNames() {
    for (const InputSpec& input : model_.inputs) taken_.insert(input.name);
    for (const LayerSpec& layer : model_.layers) {
      if (!layer.name.empty() && !taken_.insert(layer.name).second) {
        return ErrorAt(layer.mark, layer.OptionsWhere() + ".name",
                       absl::StrCat(Quote(layer.name), " is the name of another layer or input; ",
                                    "names are unique in a model"));
      }
    }
    return absl::OkStatus();
  }

  // As Keras counts: dense, dense_1, ...; past names that the file gives to others.
  std::string DefaultName(const LayerSpec& layer) {
    const std::string base = layer.reused.empty() ? layer.type : layer.reused + "_call";
    while (true) {
      const int64_t count = counts_[base]++;
      std::string name = count == 0 ? base : absl::StrCat(base, "_", count);
      if (taken_.insert(name).second) return name;
    }
  }

  absl::Status ResolveReuse(const LayerSpec& layer) const {
    if (layer.reused.empty()) return absl::OkStatus();
    const auto found = defined_.find(layer.reused);
    const bool is_layer = found != defined_.end() && found->second != kInputIndex;
    if (is_layer && model_.layers[static_cast<size_t>(found->second)].reused.empty()) {
      return absl::OkStatus();
    }
    return ErrorAt(layer.mark, layer.OptionsWhere() + ".layer",
                   is_layer ? absl::StrCat(Quote(layer.reused),
                                           " is itself a call of another layer; name that one")
                            : absl::StrCat("no earlier layer is called ", Quote(layer.reused),
                                           NearestNamesHint(layer.reused, LayerNames())));
  }

  absl::Status ResolveInputs(size_t index) {
    LayerSpec& layer = model_.layers[index];
    if (layer.inputs.empty()) {
      if (index == 0 && model_.inputs.size() > 1) {
        return layer.Error(absl::StrCat("the model has ", model_.inputs.size(),
                                        " inputs; say with 'inputs' which ones it takes"));
      }
      layer.inputs = {index == 0 ? model_.inputs[0].name : model_.layers[index - 1].name};
    }
    for (const std::string& input : layer.inputs) {
      if (defined_.contains(input)) continue;
      std::vector<absl::string_view> names = LayerNames();
      for (const InputSpec& model_input : model_.inputs) names.push_back(model_input.name);
      return ErrorAt(layer.mark, layer.OptionsWhere() + ".inputs",
                     absl::StrCat("no earlier layer or model input is called ", Quote(input),
                                  NearestNamesHint(input, names)));
    }
    return absl::OkStatus();
  }

  // Those defined so far, in the order of the file.
  std::vector<absl::string_view> LayerNames() const {
    std::vector<absl::string_view> names;
    for (const LayerSpec& layer : model_.layers) {
      if (defined_.contains(layer.name)) names.push_back(layer.name);
    }
    return names;
  }

  ModelSpec& model_;
  absl::flat_hash_set<std::string> taken_;
  absl::flat_hash_map<std::string, int64_t> counts_;
  absl::flat_hash_map<std::string, int64_t> defined_;  // index of the layer, or kInputIndex
};

// {a: [..], b: [..]} or, as the message has it, [{name: a, shape: [..]}, ...].
absl::Status ParseInputSpecs(const Value& value, ModelSpec& model) {
  const std::string where = model.where + ".inputs";
  if (value.is_list()) {
    constexpr OptionDoc kKeys[] = {{.name = "name", .type = OptionType::kString},
                                   {.name = "shape"}};
    for (const Value& item : value.list()) {
      LOCKSTEP_ASSIGN_OR_RETURN(const Options options, CheckOptions(kKeys, item, where));
      LOCKSTEP_RETURN_IF_ERROR(CheckName(options.GetValue("name"), where));
      LOCKSTEP_ASSIGN_OR_RETURN(Shape shape, ParseShape(options.GetValue("shape"), where));
      model.inputs.push_back({options.GetString("name"), std::move(shape)});
    }
  } else if (value.is_map()) {
    for (const Value::Entry& entry : value.map()) {
      Value key = Value::String(entry.key);
      LOCKSTEP_RETURN_IF_ERROR(CheckName(key.set_mark(entry.mark), where));
      LOCKSTEP_ASSIGN_OR_RETURN(Shape shape,
                                ParseShape(entry.value, absl::StrCat(where, ".", entry.key)));
      model.inputs.push_back({entry.key, std::move(shape)});
    }
  }
  if (model.inputs.empty()) {
    return ErrorAt(value.mark(), where,
                   absl::StrCat("is ", value.Describe(), "; give {name: shape} of each input"));
  }
  absl::flat_hash_set<absl::string_view> names;
  for (const InputSpec& input : model.inputs) {
    if (!names.insert(input.name).second) {
      return ErrorAt(value.mark(), where,
                     absl::StrCat("two inputs are called ", Quote(input.name), "; rename one"));
    }
  }
  return absl::OkStatus();
}

absl::Status ParseAllInputs(const Options& options, ModelSpec& model) {
  if (options.IsNull("input_shape") == options.IsNull("inputs")) {
    return ErrorAt(model.mark, model.where, "give one of 'input_shape' and 'inputs'");
  }
  if (!options.IsNull("inputs")) return ParseInputSpecs(options.GetValue("inputs"), model);
  LOCKSTEP_ASSIGN_OR_RETURN(
      Shape shape, ParseShape(options.GetValue("input_shape"), model.where + ".input_shape"));
  model.inputs.push_back({std::string(kDefaultInput), std::move(shape)});
  return absl::OkStatus();
}

absl::Status ParseLayers(const Value& value, ModelSpec& model) {
  const std::string where = model.where + ".layers";
  if (!value.is_list() || value.list().empty()) {
    return ErrorAt(value.mark(), where,
                   absl::StrCat("is ", value.Describe(), "; give a list of layers"));
  }
  model.layers.resize(value.list().size());
  for (size_t i = 0; i < model.layers.size(); ++i) {
    LayerParser parser(absl::StrCat(where, "[", i, "]"), model.layers[i]);
    LOCKSTEP_RETURN_IF_ERROR(parser.Parse(value.list()[i]));
  }
  return absl::OkStatus();
}

absl::Status CheckSupported(const Value& value, absl::string_view where) {
  if (!value.is_map()) return absl::OkStatus();
  for (const Value::Entry& entry : value.map()) {
    if (entry.key == "keras") {
      return ErrorAt(entry.mark, absl::StrCat(where, ".keras"),
                     "Keras model files are not supported by this version; write the model as "
                     "'layers'");
    }
    if (entry.key == "weights") {
      return ErrorAt(entry.mark, absl::StrCat(where, ".weights"),
                     "a start from weights is not supported by this version; remove the key");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckName(const Value& value, absl::string_view where) {
  if (!value.is_string()) {
    return ErrorAt(value.mark(), where, absl::StrCat("is ", value.Describe(), "; it takes a name"));
  }
  const std::string& name = value.string();
  const auto is_allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  };
  const bool begins = !name.empty() && name[0] != '.' && name[0] != '-' &&
                      !absl::ascii_isdigit(static_cast<unsigned char>(name[0]));
  if (begins && name.size() <= kNameBytesMax && std::all_of(name.begin(), name.end(), is_allowed)) {
    return absl::OkStatus();
  }
  return ErrorAt(value.mark(), where,
                 absl::StrCat(Quote(name), " is not a name; use at most ", kNameBytesMax,
                              " letters, digits and _ . -, beginning with a letter or _"));
}

absl::StatusOr<std::vector<std::string>> ParseWords(const Value& value, absl::string_view where) {
  const Value::List one = {value};
  absl::flat_hash_set<absl::string_view> seen;
  std::vector<std::string> words;
  for (const Value& item : value.is_list() ? value.list() : one) {
    if (!item.is_string() || item.string().empty()) {
      return ErrorAt(item.mark(), where, absl::StrCat("is ", item.Describe(), "; give names"));
    }
    if (!seen.insert(item.string()).second) {
      return ErrorAt(item.mark(), where,
                     absl::StrCat(Quote(item.string()), " is there twice; remove one"));
    }
    words.push_back(item.string());
  }
  if (words.empty()) return ErrorAt(value.mark(), where, "is empty; give at least one name");
  return words;
}

absl::StatusOr<ModelSpec> ParseModel(const Value& value, absl::string_view name,
                                     absl::string_view where) {
  LOCKSTEP_RETURN_IF_ERROR(CheckSupported(value, where));
  LOCKSTEP_ASSIGN_OR_RETURN(const Options options, CheckOptions(kModelKeys, value, where));
  ModelSpec model;
  model.name = std::string(name);
  model.where = std::string(where);
  model.mark = value.mark();
  LOCKSTEP_RETURN_IF_ERROR(ParseAllInputs(options, model));
  LOCKSTEP_RETURN_IF_ERROR(ParseLayers(options.GetValue("layers"), model));
  GraphBuilder graph(model);
  LOCKSTEP_RETURN_IF_ERROR(graph.Build());
  const Value& outputs = options.GetValue("outputs");
  if (outputs.is_null()) {
    model.outputs = {model.layers.back().name};
  } else {
    LOCKSTEP_ASSIGN_OR_RETURN(model.outputs, ParseWords(outputs, model.where + ".outputs"));
  }
  LOCKSTEP_RETURN_IF_ERROR(graph.CheckOutputs(&outputs));
  return model;
}

}  // namespace lockstep
