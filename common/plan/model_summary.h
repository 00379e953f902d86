// ModelSummary: what Keras users know from model.summary(): per layer its output shape, parameters,
// FLOPs and inputs; as text and as a Value for JSON. Pure.
#ifndef LOCKSTEP_COMMON_PLAN_MODEL_SUMMARY_H_
#define LOCKSTEP_COMMON_PLAN_MODEL_SUMMARY_H_

#include <string>
#include <vector>

#include "common/nn/model.h"
#include "common/spec/value.h"

namespace lockstep {

struct LayerSummary {
  std::string name;
  std::string type;
  Shape output_shape;
  int64_t parameters = 0;  // 0 for a further call of a shared layer
  double flops = 0;        // forward, one sample
  std::vector<std::string> inputs;
};

struct ModelSummary {
  std::string model;
  std::vector<LayerSummary> layers;  // calls, in forward order
  int64_t trainable_parameters = 0;
  int64_t fixed_parameters = 0;
  double flops = 0;
};

ModelSummary Summarize(const Model& model);
// A table with a line per layer and the totals, ending in a newline.
std::string ToText(const ModelSummary& summary);
Value ToValue(const ModelSummary& summary);

// "1.23 M", "694 k", "12": for counts and FLOPs. `unit` follows without a blank: "1.23 MFLOP".
std::string HumanCount(double count, absl::string_view unit = "");
// "2.65 MiB".
std::string HumanBytes(int64_t bytes);
// "693,962".
std::string GroupedDigits(int64_t count);

// Columns padded to their widest cell; numbers (`right`) to the right. The first row is the head,
// underlined.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows,
                        const std::vector<bool>& right);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_PLAN_MODEL_SUMMARY_H_
