// Safetensors: the header of a file to be written, and a reader that trusts nothing;
// docs/FORMATS.md#safetensors. Thread: any; a SafetensorsFile is immutable. Errors: DATA_LOSS
// naming the file and what is wrong in it. Invariant: of an accepted file, every tensor lies inside
// it, has dtype x shape bytes, and none overlap or leave a hole.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_SAFETENSORS_H_
#define LOCKSTEP_COMMON_CHECKPOINT_SAFETENSORS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/checkpoint/tensor_view.h"
#include "common/env/file_system.h"

namespace lockstep {

inline constexpr int64_t kSafetensorsHeaderBytesMax = 100'000'000;  // of the reference reader

using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

// The length word and the JSON, padded with blanks to a multiple of 8; the tensors' bytes follow in
// the order given. INVALID_ARGUMENT: a name twice, "__metadata__" or not UTF-8; more than 100 MB.
absl::StatusOr<std::string> EncodeSafetensorsHeader(absl::Span<const TensorSpec> tensors,
                                                    const SafetensorsMetadata& metadata);

class SafetensorsFile {
 public:
  struct Tensor {
    std::string name;
    std::string dtype;          // "F32", "BF16", ...: a known word
    std::vector<int64_t> dims;  // may hold zeros
    absl::string_view bytes;
  };

  static absl::StatusOr<SafetensorsFile> Open(FileSystem& fs, const std::string& path);
  // Of bytes that outlive the result; `name` stands in messages.
  static absl::StatusOr<SafetensorsFile> Parse(absl::string_view bytes, absl::string_view name);

  const std::vector<Tensor>& tensors() const { return tensors_; }  // by their place in the file
  const SafetensorsMetadata& metadata() const { return metadata_; }
  const Tensor* Find(absl::string_view name) const;  // null if absent
  // All tensors without copying. FAILED_PRECONDITION if one is not F32, empty, or not on 4 bytes.
  absl::StatusOr<std::vector<TensorView>> FloatViews() const;

 private:
  std::unique_ptr<MappedFile> mapping_;
  std::string name_;
  std::vector<Tensor> tensors_;
  SafetensorsMetadata metadata_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_SAFETENSORS_H_
