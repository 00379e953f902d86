// ParameterSet: every variable of a job in one flat buffer of values, in Keras' weight order per
// model. Trainable variables come first, model after model; the gradient buffers cover just that
// prefix. A model's range starts on an ownership block, a variable on 16 floats; the gaps are zero
// and stay zero. Immutable after construction. docs/NUMERICS.md#8-the-hash.
#ifndef LOCKSTEP_COMMON_NN_PARAMETERS_H_
#define LOCKSTEP_COMMON_NN_PARAMETERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/range.h"
#include "common/nn/model.h"

namespace lockstep {

// Ownership ranges and the block tree are cut in blocks of this many elements.
inline constexpr int64_t kParameterBlockElements = 4096;

class ParameterSet {
 public:
  struct Variable {
    std::string path;  // "conv2d/kernel", "generator/dense/kernel" where a job has several models
    Shape shape;
    Node initializer;
    bool trainable = true;
    size_t model = 0;
    int64_t offset = 0;  // elements, in the flat buffer of values
  };

  // `models` by name order; they must outlive nothing: shapes are copied.
  explicit ParameterSet(const std::vector<const Model*>& models);

  // All variables, models in order, each in weight order: the order of the hash and of random
  // numbers.
  const std::vector<Variable>& variables() const { return variables_; }
  // Offsets of one model's variables in its own weight order.
  std::vector<int64_t> OffsetsOf(size_t model) const;
  // A model's trainable elements in the flat buffer, padded to whole blocks.
  Range TrainableRange(size_t model) const { return ranges_[model]; }
  int64_t trainable_elements() const { return trainable_elements_; }  // gradient buffer length
  int64_t elements() const { return elements_; }                      // value buffer length
  int64_t parameter_count() const;  // without gaps, trainable and not

 private:
  std::vector<Variable> variables_;
  std::vector<Range> ranges_;
  int64_t trainable_elements_ = 0;
  int64_t elements_ = 0;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_PARAMETERS_H_
