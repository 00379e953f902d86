// GradientSink: the gradient of one tensor, collected from its consumers in the order backward
// meets them (the last consumer's first; docs/NUMERICS.md#5-layers). Thread: the one that plans.
#ifndef LOCKSTEP_COMMON_NN_GRADIENT_SINK_H_
#define LOCKSTEP_COMMON_NN_GRADIENT_SINK_H_

#include <string>

#include "common/nn/step_builder.h"

namespace lockstep {

class GradientSink {
 public:
  // `elements` of one sample. A tensor nobody needs the gradient of is not `wanted`; nothing may be
  // recorded for it.
  GradientSink(int64_t elements, bool wanted) : elements_(elements), wanted_(wanted) {}

  bool wanted() const { return wanted_; }
  // The finished gradient; invalid where no consumer contributed.
  Slice gradient() const { return gradient_; }

  // The consumer's kernel writes `slice`, or adds to what it holds.
  struct Target {
    Slice slice;
    bool accumulate;
  };
  Target Write(StepBuilder& builder);

  // The consumer's contribution is `d` itself, which it does not own (Flatten, Add).
  void Pass(StepBuilder& builder, Slice d);

 private:
  int64_t elements_;
  bool wanted_;
  bool owned_ = false;  // whether the buffer may be added to
  Slice gradient_;
};

// Records out = in_0 + in_1 + ..., or relu of it; one input is a copy.
struct Addition {
  std::string label;
  std::vector<Slice> inputs;
  Slice out;
  int64_t elements;  // of one sample
  bool relu = false;
};
void RecordAdd(StepBuilder& builder, const Addition& addition);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_GRADIENT_SINK_H_
