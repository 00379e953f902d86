#include "common/nn/model.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/nn/initializers.h"
#include "common/nn/layer_registry.h"

namespace lockstep {

// Builds the graph from the spec, layer by layer.
class ModelBuilder {
 public:
  absl::StatusOr<std::unique_ptr<Model>> Build(const ModelSpec& spec) {
    model_.reset(new Model());
    model_->name_ = spec.name;
    for (const InputSpec& input : spec.inputs) {
      tensor_of_[input.name] = model_->tensors_.size();
      model_->tensors_.push_back({.name = input.name, .shape = input.shape});
    }
    model_->input_count_ = spec.inputs.size();
    for (const LayerSpec& layer : spec.layers) {
      if (absl::Status added = AddLayer(layer); !added.ok()) return added;
    }
    for (const std::string& output : spec.outputs) {
      LOCKSTEP_ASSIGN_OR_RETURN(const size_t tensor, Lookup(output));
      model_->outputs_.push_back(tensor);
    }
    AbsorbNeighbours();
    return std::move(model_);
  }

 private:
  absl::StatusOr<size_t> Lookup(const std::string& name) const {
    const auto found = tensor_of_.find(name);
    if (found != tensor_of_.end()) return found->second;
    std::vector<absl::string_view> known;
    for (const Model::Tensor& tensor : model_->tensors_) known.push_back(tensor.name);
    return absl::InvalidArgumentError(
        absl::StrCat("no layer or input '", name, "' before this", NearestNamesHint(name, known)));
  }

  absl::Status AddLayer(const LayerSpec& spec) {
    std::vector<size_t> inputs;
    std::vector<Shape> shapes;
    for (const std::string& name : spec.inputs) {
      const absl::StatusOr<size_t> input = Lookup(name);
      if (!input.ok()) return spec.Error(input.status().message());
      inputs.push_back(*input);
      shapes.push_back(model_->tensors_[*input].shape);
    }
    size_t layer = 0;
    if (!spec.reused.empty()) {
      LOCKSTEP_ASSIGN_OR_RETURN(layer, FindShared(spec, shapes));
    } else {
      LOCKSTEP_ASSIGN_OR_RETURN(layer, MakeLayer(spec, shapes));
    }
    AddCall(spec, layer, std::move(inputs));
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> MakeLayer(const LayerSpec& spec, const std::vector<Shape>& shapes) {
    LOCKSTEP_ASSIGN_OR_RETURN(const LayerDef* const def, FindLayer(spec));
    LOCKSTEP_ASSIGN_OR_RETURN(const Options options,
                              CheckOptions(def->options, spec.options, spec.OptionsWhere()));
    absl::StatusOr<std::unique_ptr<Layer>> layer = def->make(options, shapes);
    if (!layer.ok()) return spec.Error(layer.status().message());
    const absl::StatusOr<Shape> checked = Shape::Checked((*layer)->output_shape().dims());
    if (!checked.ok()) return spec.Error(checked.status().message());
    Model::LayerInfo info{.name = spec.name,
                          .type = spec.type,
                          .layer = *std::move(layer),
                          .trainable = spec.trainable,
                          .first_variable = model_->variables_.size()};
    for (const VariableSpec& variable : info.layer->variables()) {
      LOCKSTEP_RETURN_IF_ERROR(CheckInitializer(variable.initializer, variable.shape));
      model_->variables_.push_back({.path = absl::StrCat(spec.name, "/", variable.name),
                                    .shape = variable.shape,
                                    .initializer = variable.initializer,
                                    .trainable = variable.trainable && spec.trainable});
    }
    shapes_of_layer_.push_back(shapes);
    model_->layers_.push_back(std::move(info));
    return model_->layers_.size() - 1;
  }

  absl::StatusOr<size_t> FindShared(const LayerSpec& spec, const std::vector<Shape>& shapes) const {
    std::vector<absl::string_view> known;
    for (size_t i = 0; i < model_->layers_.size(); ++i) {
      known.push_back(model_->layers_[i].name);
      if (model_->layers_[i].name != spec.reused) continue;
      if (shapes_of_layer_[i] == shapes) return i;
      return spec.Error(absl::StrCat("shared layer '", spec.reused, "' was made for input shape ",
                                     shapes_of_layer_[i][0].ToString(), ", not ",
                                     shapes.empty() ? "()" : shapes[0].ToString(),
                                     "; give every call the same shape"));
    }
    return spec.Error(absl::StrCat("no layer '", spec.reused, "' before this to call again",
                                   NearestNamesHint(spec.reused, known)));
  }

  void AddCall(const LayerSpec& spec, size_t layer, std::vector<size_t> inputs) {
    Model::LayerInfo& info = model_->layers_[layer];
    bool needs_gradient = std::any_of(inputs.begin(), inputs.end(), [this](size_t input) {
      return model_->tensors_[input].needs_gradient;
    });
    for (const VariableSpec& variable : info.layer->variables()) {
      needs_gradient = needs_gradient || (variable.trainable && info.trainable);
    }
    const size_t output = model_->tensors_.size();
    model_->tensors_.push_back(
        {.name = spec.name, .shape = info.layer->output_shape(), .needs_gradient = needs_gradient});
    info.calls.push_back(model_->calls_.size());
    model_->calls_.push_back(
        {.layer = layer, .inputs = std::move(inputs), .output = output, .result = output});
    tensor_of_[spec.name] = output;
  }

  // Calls that nothing else sees the border between become one, where the first layer can.
  void AbsorbNeighbours() {
    for (Model::Call& call : model_->calls_) call.runs = model_->layers_[call.layer].layer.get();
    for (Model::Call& call : model_->calls_) {
      if (call.runs == nullptr || model_->layers_[call.layer].calls.size() != 1) continue;
      while (Model::Call* const next = OnlyConsumer(call.result)) {
        std::unique_ptr<Layer> both = call.runs->Absorb(next->runs->absorbable());
        if (both == nullptr) break;
        call.runs = both.get();
        call.result = next->output;
        next->runs = nullptr;
        model_->absorbing_.push_back(std::move(both));
      }
    }
  }

  // The one call that takes the tensor and nothing else, if its layer has no other call.
  Model::Call* OnlyConsumer(size_t tensor) const {
    const std::vector<size_t>& outputs = model_->outputs_;
    if (std::count(outputs.begin(), outputs.end(), tensor) > 0) return nullptr;
    Model::Call* consumer = nullptr;
    for (Model::Call& call : model_->calls_) {
      if (std::count(call.inputs.begin(), call.inputs.end(), tensor) == 0) continue;
      if (consumer != nullptr) return nullptr;
      consumer = &call;
    }
    const bool alone = consumer != nullptr && consumer->inputs.size() == 1 &&
                       model_->layers_[consumer->layer].calls.size() == 1;
    return alone ? consumer : nullptr;
  }

  std::unique_ptr<Model> model_;
  std::vector<std::vector<Shape>> shapes_of_layer_;
  absl::flat_hash_map<std::string, size_t> tensor_of_;  // looked up, never iterated
};

absl::StatusOr<std::unique_ptr<Model>> Model::Create(const ModelSpec& spec) {
  return ModelBuilder().Build(spec);
}

absl::string_view Model::LogitsActivation(size_t output) const {
  const size_t tensor = outputs_[output];
  if (tensor < input_count_) return "";
  for (const Call& call : calls_) {
    const bool consumed = std::count(call.inputs.begin(), call.inputs.end(), tensor) > 0;
    if (consumed) return "";
  }
  return layers_[calls_[tensor - input_count_].layer].layer->logits_activation();
}

double Model::flops() const {
  double flops = 0;
  for (const Call& call : calls_) flops += layers_[call.layer].layer->flops();
  return flops;
}

Model::Pass Model::Forward(StepBuilder& builder, const ForwardRequest& request) const {
  LOCKSTEP_CHECK(request.inputs.size() == input_count_);
  Pass pass;
  pass.tensors = request.inputs;
  pass.tensors.resize(tensors_.size());
  for (size_t c = 0; c < calls_.size(); ++c) {
    if (calls_[c].runs == nullptr) {
      pass.calls.emplace_back();
      continue;
    }
    const LayerInfo& info = layers_[calls_[c].layer];
    LayerCall call{.label = request.label_prefix + tensors_[calls_[c].output].name,
                   .node_call = request.first_node_call + static_cast<uint32_t>(c),
                   .training = request.training,
                   .trainable = info.trainable};
    for (const size_t input : calls_[c].inputs) call.inputs.push_back(pass.tensors[input]);
    for (size_t v = 0; v < info.layer->variables().size(); ++v) {
      call.variables.push_back(request.values.Elements(request.offsets[info.first_variable + v]));
    }
    for (size_t o = 0; o < outputs_.size(); ++o) {
      if (outputs_[o] == calls_[c].result && request.logits[o]) call.logits = true;
    }
    const size_t first = builder.entries().size();
    calls_[c].runs->Forward(builder, call);
    builder.SetShapes(first, absl::StrCat(InputWords(calls_[c]), " -> ",
                                          tensors_[calls_[c].result].shape.ToWords()));
    pass.tensors[calls_[c].result] = call.output;
    pass.calls.push_back(std::move(call));
  }
  return pass;
}

// The way of the gradients of one pass through the graph.
class Model::BackwardPass {
 public:
  BackwardPass(const Model& model, StepBuilder& builder, const PassGradients& gradients,
               const BackwardRequest& request)
      : model_(model),
        builder_(builder),
        pass_(*gradients.pass),
        reached_(model.calls_.size(), false) {
    for (const Tensor& tensor : model.tensors_) {
      // Towards the inputs everything is wanted; towards variables only what lies after a trainable
      // one.
      sinks_.emplace_back(
          tensor.shape.elements(),
          request.want_inputs || (!request.gradients.empty() && tensor.needs_gradient));
    }
    for (size_t o = 0; o < model.outputs_.size(); ++o) {
      GradientSink& sink = sinks_[model.outputs_[o]];
      if (gradients.d_outputs[o].valid() && sink.wanted()) {
        sink.Pass(builder, gradients.d_outputs[o]);
      }
    }
  }

  void Record(size_t c) {
    const Call& call = model_.calls_[c];
    const Slice d_output = sinks_[call.result].gradient();
    if (!d_output.valid()) return;
    LOCKSTEP_CHECK(pass_.calls[c].training);  // layers keep what this needs only then
    std::vector<GradientSink*> d_inputs;
    for (const size_t input : call.inputs) d_inputs.push_back(&sinks_[input]);
    const size_t first = builder_.entries().size();
    call.runs->Backward(builder_, pass_.calls[c], d_output, d_inputs);
    builder_.SetShapes(first, absl::StrCat(model_.tensors_[call.result].shape.ToWords(), " -> ",
                                           model_.InputWords(call)));
    reached_[c] = true;
  }

  // Of the calls in `layer_calls` those that gradients have reached.
  void AddReached(const std::vector<size_t>& layer_calls, std::vector<LayerCall*>& calls) {
    for (const size_t call : layer_calls) {
      if (reached_[call]) calls.push_back(&pass_.calls[call]);
    }
  }

  std::vector<Slice> d_inputs() const {
    std::vector<Slice> d_inputs;
    for (size_t i = 0; i < model_.input_count_; ++i) d_inputs.push_back(sinks_[i].gradient());
    return d_inputs;
  }

 private:
  const Model& model_;
  StepBuilder& builder_;
  Pass& pass_;
  std::vector<GradientSink> sinks_;  // by tensor
  std::vector<bool> reached_;        // by call
};

std::vector<std::vector<Slice>> Model::Backward(StepBuilder& builder,
                                                absl::Span<const PassGradients> passes,
                                                const BackwardRequest& request) const {
  std::vector<BackwardPass> ways;
  for (const PassGradients& pass : passes) ways.emplace_back(*this, builder, pass, request);
  for (size_t c = calls_.size(); c-- > 0;) {
    if (calls_[c].runs == nullptr) continue;
    for (BackwardPass& way : ways) way.Record(c);
    const LayerInfo& info = layers_[calls_[c].layer];
    if (request.gradients.empty() || !info.trainable || info.calls.front() != c) continue;
    std::vector<LayerCall*> calls;
    for (BackwardPass& way : ways) way.AddReached(info.calls, calls);
    const size_t first = builder.entries().size();
    RecordVariableGradients(builder, info, *calls_[c].runs, calls, request);
    builder.SetShapes(first, VariableWords(info));
  }
  std::vector<std::vector<Slice>> d_inputs;
  for (const BackwardPass& way : ways) d_inputs.push_back(way.d_inputs());
  return d_inputs;
}

std::string Model::InputWords(const Call& call) const {
  return absl::StrJoin(call.inputs, ", ", [this](std::string* out, size_t input) {
    absl::StrAppend(out, tensors_[input].shape.ToWords());
  });
}

// "kernel 3x3x1x32, bias 32": what the gradients of a layer's variables are.
std::string Model::VariableWords(const LayerInfo& info) {
  std::vector<std::string> words;
  for (const VariableSpec& variable : info.layer->variables()) {
    if (variable.trainable) {
      words.push_back(absl::StrCat(variable.name, " ", variable.shape.ToWords()));
    }
  }
  return absl::StrJoin(words, ", ");
}

void Model::RecordVariableGradients(StepBuilder& builder, const LayerInfo& info, const Layer& runs,
                                    const std::vector<LayerCall*>& calls,
                                    const BackwardRequest& request) {
  VariableGradients gradients{.buffers = request.gradients};
  for (size_t v = 0; v < info.layer->variables().size(); ++v) {
    if (!info.layer->variables()[v].trainable) continue;
    gradients.offsets.push_back(request.offsets[info.first_variable + v]);
  }
  if (gradients.offsets.empty()) return;
  if (!calls.empty()) {
    runs.BackwardVariables(builder, calls, gradients);
  } else {
    // An earlier phase may have left its own here.
    RecordZeroGradients(builder, info, gradients);
  }
}

void Model::RecordZeroGradients(StepBuilder& builder, const LayerInfo& info,
                                const VariableGradients& gradients) {
  std::vector<int64_t> counts;
  for (const VariableSpec& variable : info.layer->variables()) {
    if (variable.trainable) counts.push_back(variable.shape.elements());
  }
  builder.Call({.label = info.name + "/no_gradient"}, [=](const Binder& at) {
    std::vector<std::pair<float*, int64_t>> places;
    for (size_t t = 0; t < gradients.buffers.size(); ++t) {
      for (size_t v = 0; v < counts.size(); ++v) {
        places.emplace_back(at.At(gradients.At(t, v)), counts[v]);
      }
    }
    return BoundCall{1, [places](kernels::UnitRange) {
                       for (const auto& [first, count] : places) std::fill_n(first, count, 0.0f);
                     }};
  });
}

}  // namespace lockstep
