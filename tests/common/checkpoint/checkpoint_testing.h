// A small job's tensors, split over any number of owners, and the whole protocol of writing them in
// one call.
#ifndef LOCKSTEP_TESTS_COMMON_CHECKPOINT_CHECKPOINT_TESTING_H_
#define LOCKSTEP_TESTS_COMMON_CHECKPOINT_CHECKPOINT_TESTING_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/checkpoint/checkpoint_reader.h"
#include "common/env/file_system.h"

namespace lockstep::testing {

inline constexpr int kNumericsVersion = 7;
inline constexpr char kJobIdentity[] = R"({"data":"a","seed":1})";

inline const CheckpointLayout& SmallLayout() {
  static const CheckpointLayout* const layout = [] {
    absl::StatusOr<CheckpointLayout> created = CheckpointLayout::Create(
        {{"conv2d/kernel", {3, 3, 1, 2}},
         {"conv2d/bias", {2}},
         {"dense/kernel", {5, 3}},
         {"norm/moving_mean", {}}},
        {{"adam/m/conv2d/kernel", {3, 3, 1, 2}}, {"adam/v/dense/kernel", {5, 3}}});
    LOCKSTEP_CHECK(created.ok());
    return new CheckpointLayout(*std::move(created));
  }();
  return *layout;
}

// The values of every tensor at a step: all different, and different at every step.
class SmallState {
 public:
  explicit SmallState(int64_t step) {
    float next = static_cast<float>(step) * 1000.0f;
    for (const CheckpointFile name : {CheckpointFile::kValues, CheckpointFile::kOptimizer}) {
      for (const TensorSpec& spec : SmallLayout().file(name).tensors()) {
        std::vector<float> values(static_cast<size_t>(spec.shape.elements()));
        for (float& value : values) value = next += 0.25f;
        tensors_.push_back({name, spec.name, std::move(values)});
      }
    }
  }

  // What `owner` of `owners` holds: all elements of both files in one row are cut where nobody
  // thinks of tensors.
  OwnedSnapshot Owned(int owner, int owners) const {
    size_t total = 0;
    for (const Tensor& tensor : tensors_) total += tensor.values.size();
    const size_t begin = total * static_cast<size_t>(owner) / static_cast<size_t>(owners);
    const size_t end = total * static_cast<size_t>(owner + 1) / static_cast<size_t>(owners);
    OwnedSnapshot snapshot = {.owner = owner, .pieces = {}};
    size_t position = 0;
    for (const Tensor& tensor : tensors_) {
      const size_t size = tensor.values.size();
      const size_t first = std::clamp(begin, position, position + size) - position;
      const size_t last = std::clamp(end, position, position + size) - position;
      position += size;
      if (first == last) continue;
      snapshot.pieces.push_back(
          {.file = tensor.file,
           .tensor = tensor.name,
           .first_element = static_cast<int64_t>(first),
           .elements = absl::MakeConstSpan(tensor.values).subspan(first, last - first)});
    }
    return snapshot;
  }

  std::vector<float>& values(absl::string_view name) {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                    [name](const Tensor& tensor) { return tensor.name == name; });
    LOCKSTEP_CHECK(found != tensors_.end());
    return found->values;
  }

 private:
  struct Tensor {
    CheckpointFile file;
    std::string name;
    std::vector<float> values;
  };
  std::vector<Tensor> tensors_;
};

inline CheckpointInfo InfoAt(int64_t step) {
  CheckpointInfo info = {.numerics_version = kNumericsVersion,
                         .step = step,
                         .epoch = step / 10,
                         .job_identity = kJobIdentity,
                         .workers = 2,
                         .program = {}};
  info.program.reals["loss_sum"] = 0.1 * static_cast<double>(step);
  info.program.integers["loss_count"] = step;
  return info;
}

inline absl::StatusOr<PublishRequest> WriteUnpublished(FileSystem& fs, const std::string& root,
                                                       int64_t step, const SmallState& state,
                                                       int owners) {
  PublishRequest request = {
      .root = root, .directory = {}, .layout = &SmallLayout(), .info = InfoAt(step), .ranges = {}};
  LOCKSTEP_ASSIGN_OR_RETURN(request.directory, PrepareCheckpoint(fs, root, step, SmallLayout()));
  for (int owner = owners - 1; owner >= 0; --owner) {  // the order of arrival does not matter
    LOCKSTEP_ASSIGN_OR_RETURN(
        const RangeDigests ranges,
        WriteOwnedRanges(fs, request.directory, SmallLayout(), state.Owned(owner, owners)));
    request.ranges.insert(request.ranges.end(), ranges.begin(), ranges.end());
  }
  return request;
}

inline absl::StatusOr<PublishedCheckpoint> WriteCheckpoint(FileSystem& fs, const std::string& root,
                                                           int64_t step, int owners = 2) {
  LOCKSTEP_ASSIGN_OR_RETURN(const PublishRequest request,
                            WriteUnpublished(fs, root, step, SmallState(step), owners));
  return PublishCheckpoint(fs, request);
}

inline CheckpointExpectations SmallExpectations() {
  return {
      .numerics_version = kNumericsVersion, .job_identity = kJobIdentity, .layout = &SmallLayout()};
}

inline absl::StatusOr<LoadedCheckpoint> Load(FileSystem& fs, const std::string& root) {
  return LoadCheckpoint(fs, root, SmallExpectations());
}

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_COMMON_CHECKPOINT_CHECKPOINT_TESTING_H_
