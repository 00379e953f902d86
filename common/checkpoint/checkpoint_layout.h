// CheckpointLayout: which byte of which file holds an element. Thread: any; immutable.
// Errors: INVALID_ARGUMENT for names that clash.
// Invariant: depends on the job alone, never on who owns what; docs/FORMATS.md#checkpoints.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_LAYOUT_H_
#define LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/checkpoint/checkpoint_manifest.h"
#include "common/checkpoint/tensor_view.h"

namespace lockstep {

// One safetensors file: the header, then each tensor after the one before.
class TensorFileLayout {
 public:
  static absl::StatusOr<TensorFileLayout> Create(std::vector<TensorSpec> tensors);

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  const std::string& header() const { return header_; }
  int64_t size_bytes() const { return offsets_.back(); }
  // Of element `first` of tensor `name`, where `count` elements from it are to stand;
  // INVALID_ARGUMENT if there is no such tensor or it has not that many.
  absl::StatusOr<int64_t> OffsetOf(absl::string_view name, int64_t first, int64_t count) const;

 private:
  std::vector<TensorSpec> tensors_;
  std::string header_;
  std::vector<int64_t> offsets_;  // in bytes; one more than tensors: the end
  absl::flat_hash_map<std::string, size_t> index_;
};

class CheckpointLayout {
 public:
  // `variables`: all variables, models by name, each in Keras' weight order. `state`:
  // `<slot>/<variable path>`, e.g. "m/conv2d/kernel", and whatever else the optimizer keeps,
  // in any order that depends on the job alone.
  static absl::StatusOr<CheckpointLayout> Create(std::vector<TensorSpec> variables,
                                                 std::vector<TensorSpec> state);

  const TensorFileLayout& file(CheckpointFile file) const {
    return files_[static_cast<size_t>(file)];
  }
  int64_t size_bytes() const { return files_[0].size_bytes() + files_[1].size_bytes(); }

 private:
  std::vector<TensorFileLayout> files_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_LAYOUT_H_
