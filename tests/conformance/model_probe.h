// ModelProbe: one model as a function: from inputs, variables and the gradients of its outputs to
// its outputs and the gradients of its inputs and trainable variables. Over any split, by the same
// plan, executor and collectives as in training.
#ifndef LOCKSTEP_TESTS_CONFORMANCE_MODEL_PROBE_H_
#define LOCKSTEP_TESTS_CONFORMANCE_MODEL_PROBE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "common/nn/model.h"
#include "tests/conformance/probe.h"

namespace lockstep::testing {

// S shards of ceil(B / S) positions, of which `samples` have one.
struct BatchShape {
  int64_t batch_size = 0;
  int64_t shards = 0;
  int64_t samples = 0;
};
// What every split is tried on: shards that share a block, the last one empty; most shards empty;
// shards of more than one block.
inline constexpr BatchShape kBatchShapes[] = {{20, 8, 20}, {40, 8, 11}, {136, 8, 130}};

// Rows in batch order, tensor after tensor.
using Tensors = std::vector<std::vector<float>>;

struct ModelPoint {
  Tensors inputs;
  NamedValues variables;
  Tensors d_outputs;
};

struct ModelOutcome {
  Tensors outputs;
  Tensors d_inputs;         // of a training pass, as all gradients
  NamedValues d_variables;  // of the trainable ones
  NamedValues variables;    // after the pass
};
::testing::AssertionResult SameBits(const Tensors& actual, const Tensors& expected);
::testing::AssertionResult SameBits(const ModelOutcome& actual, const ModelOutcome& expected);

class ModelProbe {
 public:
  // `model`: as under `model:` in a job file.
  static absl::StatusOr<ModelProbe> Create(const std::string& model, const BatchShape& batch);

  const Model& model() const { return *model_; }
  int64_t samples() const { return batch_.samples; }
  // Another count of samples in the same batch.
  ModelProbe WithSamples(int64_t samples) const;

  // Inputs: in each sample its own scale, in (0.5, 1], times a random permutation of evenly spaced
  // values in (-1, 1). Trainable variables: in [-1, 1). Others in [0.5, 1.5): variances are among
  // them.
  ModelPoint RandomPoint(uint32_t seed) const;
  // No two values of one sample's input, and none of them and zero, are nearer than this.
  static double InputGap(int64_t elements) { return 0.25 / static_cast<double>(elements + 1); }

  absl::StatusOr<ModelOutcome> Run(const ModelPoint& point, Pass pass, const Split& split) const;

 private:
  explicit ModelProbe(const BatchShape& batch) : batch_(batch) {}
  const Shape& OutputShape(size_t output) const {
    return model_->tensors()[model_->outputs()[output]].shape;
  }

  BatchShape batch_;
  std::string job_;
  std::shared_ptr<const Model> model_;
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_CONFORMANCE_MODEL_PROBE_H_
