#include "common/nn/parameters.h"

#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

constexpr int64_t kVariableAlignElements = 16;

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

ParameterSet::ParameterSet(const std::vector<const Model*>& models) {
  for (size_t m = 0; m < models.size(); ++m) {
    const std::string prefix = models.size() > 1 ? absl::StrCat(models[m]->name(), "/") : "";
    for (const Model::Variable& variable : models[m]->variables()) {
      variables_.push_back({.path = absl::StrCat(prefix, variable.path),
                            .shape = variable.shape,
                            .initializer = variable.initializer,
                            .trainable = variable.trainable,
                            .model = m});
    }
  }
  const auto place = [this](Variable& variable) {
    variable.offset = elements_;
    elements_ += RoundUp(variable.shape.elements(), kVariableAlignElements);
  };
  for (size_t m = 0; m < models.size(); ++m) {
    const int64_t begin = elements_;
    for (Variable& variable : variables_) {
      if (variable.model == m && variable.trainable) place(variable);
    }
    elements_ = RoundUp(elements_, kParameterBlockElements);
    ranges_.push_back({begin, elements_});
  }
  trainable_elements_ = elements_;
  for (Variable& variable : variables_) {
    if (!variable.trainable) place(variable);
  }
}

std::vector<int64_t> ParameterSet::OffsetsOf(size_t model) const {
  std::vector<int64_t> offsets;
  for (const Variable& variable : variables_) {
    if (variable.model == model) offsets.push_back(variable.offset);
  }
  return offsets;
}

int64_t ParameterSet::parameter_count() const {
  int64_t count = 0;
  for (const Variable& variable : variables_) count += variable.shape.elements();
  return count;
}

}  // namespace lockstep
