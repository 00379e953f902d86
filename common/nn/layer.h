// Layer: shapes, variables and plan calls of one operation. LayerDef: its schema, factory and test
// examples, one per file of the room common/nn/layers. Kernels do the arithmetic (common/kernels);
// a layer only records calls, so it owns no memory. Thread: the one that plans. Errors: only while
// a layer is made; past that, shapes are proven.
#ifndef LOCKSTEP_COMMON_NN_LAYER_H_
#define LOCKSTEP_COMMON_NN_LAYER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/kernels/pooling.h"
#include "common/nn/activations.h"
#include "common/nn/gradient_sink.h"
#include "common/nn/step_builder.h"
#include "common/spec/options.h"
#include "common/tensor/shape.h"

namespace lockstep {

// A variable that a layer asks for. Trainable ones come first, as in Keras.
struct VariableSpec {
  std::string name;  // "kernel"
  Shape shape;
  Node initializer;  // of common/nn/initializers.h
  bool trainable = true;
};

// One call of a layer in a model's graph; a shared layer has several.
struct LayerCall {
  std::string label;       // the node's name
  uint32_t node_call = 0;  // index of the call in the job: keys random numbers
  bool training = false;
  bool trainable = true;  // the layer's own switch: false freezes variables and batch statistics
  bool logits = false;    // leave the final softmax or sigmoid out: the loss takes the logits
  std::vector<Slice> inputs;     // [blocks][elements][16] each
  std::vector<Slice> variables;  // values, in the order of Layer::variables()
  Slice output;                  // set by Forward; may be an input where nothing is computed
  std::vector<Slice> saved;  // what Forward and Backward keep for later; the layer's own business
};

// Where gradients of a layer's variables go: one flat buffer per subtree of shards.
struct VariableGradients {
  std::vector<Slice> buffers;    // [subtrees], each the start of a flat gradient buffer
  std::vector<int64_t> offsets;  // [trainable variables], elements

  Slice At(size_t subtree, size_t variable) const {
    return buffers[subtree].Elements(offsets[variable]);
  }
};

// What the layer before this one may do in its own pass instead, with the same bits.
struct Absorbable {
  enum class Kind { kNothing, kActivation, kMaxPooling2d } kind = Kind::kNothing;
  ActivationKind activation = ActivationKind::kLinear;
  kernels::PoolGeometry pool = {};
};

class Layer {
 public:
  virtual ~Layer() = default;

  const Shape& output_shape() const { return output_shape_; }
  const std::vector<VariableSpec>& variables() const { return variables_; }
  // Multiply-adds count as two, of the forward pass of one sample.
  double flops() const { return flops_; }
  // Of forward and backward pass, one for variables and one for inputs where they need any.
  double training_flops(bool needs_input_gradient) const {
    return 3 * flops_ - (needs_input_gradient ? 0 : input_gradient_flops_.value_or(flops_));
  }
  // The activation whose logits a loss may take instead ("softmax", "sigmoid"), or empty.
  virtual absl::string_view logits_activation() const { return ""; }

  virtual Absorbable absorbable() const { return {}; }
  // This layer and the one behind it as one, with this one's variables; null where two passes are
  // as good.
  virtual std::unique_ptr<Layer> Absorb(const Absorbable& /*next*/) const { return nullptr; }

  // Records the forward calls and sets call.output.
  virtual void Forward(StepBuilder& builder, LayerCall& call) const = 0;
  // Records the gradients of the inputs that are wanted. `d_output` is final and must not be
  // written.
  virtual void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                        absl::Span<GradientSink* const> d_inputs) const = 0;
  // Records the gradients of the trainable variables, once, after Backward of every call. `calls`
  // are in forward order.
  virtual void BackwardVariables(StepBuilder& /*builder*/, absl::Span<LayerCall* const> /*calls*/,
                                 const VariableGradients& /*gradients*/) const {}

 protected:
  Shape output_shape_;
  std::vector<VariableSpec> variables_;
  double flops_ = 0;
  std::optional<double> input_gradient_flops_;  // where they are not flops_
};

// What the conformance suite runs: options in job-file form and the input shapes of one sample.
struct LayerExample {
  absl::string_view options;
  std::initializer_list<std::initializer_list<int64_t>> inputs;
};

struct LayerDef {
  absl::string_view name;
  absl::string_view summary;
  absl::Span<const OptionDoc> options;
  // `inputs`: at least one shape. Errors say what is wrong with which option; the caller adds
  // where.
  absl::StatusOr<std::unique_ptr<Layer>> (*make)(const Options& options,
                                                 absl::Span<const Shape> inputs);
  absl::Span<const LayerExample> examples;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_LAYER_H_
