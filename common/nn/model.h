// Model: a graph of layer calls over named inputs: branches, several inputs and outputs, layers
// called more than once. It knows shapes and variables; Forward and Backward record a pass into a
// StepBuilder. Immutable after Create. Errors: INVALID_ARGUMENT naming the layer ("model.layers[3]
// 'conv2d_1': ...").
#ifndef LOCKSTEP_COMMON_NN_MODEL_H_
#define LOCKSTEP_COMMON_NN_MODEL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/nn/layer.h"
#include "common/spec/job_spec.h"

namespace lockstep {

class Model {
 public:
  struct Variable {
    std::string path;  // "layer/variable"
    Shape shape;
    Node initializer;
    bool trainable;
  };
  // A tensor of the graph; the inputs come first.
  struct Tensor {
    std::string name;
    Shape shape;
    bool needs_gradient = false;  // a trainable variable lies before it
  };
  // One call of a layer, in forward order.
  struct Call {
    size_t layer;
    std::vector<size_t> inputs;  // tensors
    size_t output;               // tensor
    // What is recorded: the layer itself, one that does its neighbours' work too (Layer::Absorb),
    // or null where an earlier call has absorbed this one.
    const Layer* runs = nullptr;
    size_t result = 0;  // tensor that `runs` makes: `output`, or that of the last call it absorbed
  };
  struct LayerInfo {
    std::string name;
    std::string type;
    std::unique_ptr<Layer> layer;
    bool trainable = true;
    size_t first_variable = 0;  // in variables()
    std::vector<size_t> calls;
  };

  static absl::StatusOr<std::unique_ptr<Model>> Create(const ModelSpec& spec);

  const std::string& name() const { return name_; }
  const std::vector<Variable>& variables() const { return variables_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::vector<Call>& calls() const { return calls_; }
  const std::vector<LayerInfo>& layers() const { return layers_; }
  size_t input_count() const { return input_count_; }
  const std::vector<size_t>& outputs() const { return outputs_; }  // tensors
  // The activation whose logits a loss on this output may take ("softmax", "sigmoid"), or empty:
  // also where the output feeds other layers, since they need the activation itself.
  absl::string_view LogitsActivation(size_t output) const;
  double flops() const;  // forward pass of one sample

  struct ForwardRequest {
    std::vector<Slice> inputs;
    Slice values;                  // the flat buffer of values
    std::vector<int64_t> offsets;  // of this model's variables in it
    std::vector<bool> logits;      // per output
    bool training = false;
    uint32_t first_node_call = 0;  // of this pass in the job
    std::string label_prefix;      // of its calls: "generator/"
  };
  struct Pass {
    std::vector<LayerCall> calls;
    std::vector<Slice> tensors;
    Slice output(const Model& model, size_t index) const { return tensors[model.outputs_[index]]; }
  };
  Pass Forward(StepBuilder& builder, const ForwardRequest& request) const;

  // A pass recorded with `training` and the gradients of its outputs.
  struct PassGradients {
    Pass* pass;
    std::vector<Slice> d_outputs;  // invalid: that output has no loss
  };
  struct BackwardRequest {
    std::vector<Slice>
        gradients;  // per subtree a flat gradient buffer; empty: no variable gradients
    std::vector<int64_t> offsets;  // of this model's variables
    bool want_inputs = false;
  };
  // Of passes in forward order: a layer's calls of the first, then of the next, have one gradient,
  // as a shared layer's have. Returns each pass's gradients of the inputs (invalid where not wanted
  // or none).
  std::vector<std::vector<Slice>> Backward(StepBuilder& builder,
                                           absl::Span<const PassGradients> passes,
                                           const BackwardRequest& request) const;
  std::vector<Slice> Backward(StepBuilder& builder, Pass& pass, std::vector<Slice> d_outputs,
                              const BackwardRequest& request) const {
    return Backward(builder, {{&pass, std::move(d_outputs)}}, request)[0];
  }

 private:
  friend class ModelBuilder;
  class BackwardPass;
  Model() = default;
  std::string InputWords(const Call& call) const;  // "28x28x1, 10"
  static std::string VariableWords(const LayerInfo& info);
  static void RecordVariableGradients(StepBuilder& builder, const LayerInfo& info,
                                      const Layer& runs, const std::vector<LayerCall*>& calls,
                                      const BackwardRequest& request);
  static void RecordZeroGradients(StepBuilder& builder, const LayerInfo& info,
                                  const VariableGradients& gradients);

  std::string name_;
  std::vector<Tensor> tensors_;
  std::vector<Call> calls_;
  std::vector<LayerInfo> layers_;
  std::vector<std::unique_ptr<Layer>> absorbing_;  // what calls run that have absorbed others
  std::vector<Variable> variables_;
  size_t input_count_ = 0;
  std::vector<size_t> outputs_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_MODEL_H_
