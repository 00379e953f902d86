#include "common/checkpoint/checkpoint_layout.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/checkpoint/safetensors.h"

namespace lockstep {

absl::StatusOr<TensorFileLayout> TensorFileLayout::Create(std::vector<TensorSpec> tensors) {
  TensorFileLayout layout;
  LOCKSTEP_ASSIGN_OR_RETURN(layout.header_, EncodeSafetensorsHeader(tensors, {}));
  int64_t offset = static_cast<int64_t>(layout.header_.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    layout.index_[tensors[i].name] = i;
    layout.offsets_.push_back(offset);
    offset += tensors[i].shape.elements() * static_cast<int64_t>(sizeof(float));
  }
  layout.offsets_.push_back(offset);
  layout.tensors_ = std::move(tensors);
  return layout;
}

absl::StatusOr<int64_t> TensorFileLayout::OffsetOf(absl::string_view name, int64_t first,
                                                   int64_t count) const {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint: the layout has no tensor '", name, "'"));
  }
  const int64_t elements = tensors_[found->second].shape.elements();
  if (first < 0 || count < 0 || first > elements || count > elements - first) {
    return absl::InvalidArgumentError(absl::StrCat("checkpoint: ", count, " elements from ", first,
                                                   " pass the end of tensor '", name,
                                                   "', which has ", elements));
  }
  return offsets_[found->second] + first * static_cast<int64_t>(sizeof(float));
}

absl::StatusOr<CheckpointLayout> CheckpointLayout::Create(std::vector<TensorSpec> variables,
                                                          std::vector<TensorSpec> state) {
  CheckpointLayout layout;
  for (std::vector<TensorSpec>* tensors : {&variables, &state}) {
    LOCKSTEP_ASSIGN_OR_RETURN(TensorFileLayout file, TensorFileLayout::Create(std::move(*tensors)));
    layout.files_.push_back(std::move(file));
  }
  return layout;
}

}  // namespace lockstep
