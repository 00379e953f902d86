// Dataset: samples by index, column by column. Thread: immutable after it is opened; any threads
// may read at once. Errors: DATA_LOSS, naming file and sample, where one sample cannot be decoded;
// all else has been refused when the data set was opened.
#ifndef LOCKSTEP_COMMON_DATA_DATASET_H_
#define LOCKSTEP_COMMON_DATA_DATASET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "common/data/data_signature.h"

namespace lockstep {

// One array of samples.
class Column {
 public:
  Column(DataField field, int64_t count) : field_(std::move(field)), count_(count) {}
  virtual ~Column() = default;

  const DataField& field() const { return field_; }
  int64_t count() const { return count_; }
  int64_t sample_bytes() const {
    return field_.shape.elements() * kernels::SampleTypeBytes(field_.type);
  }
  // Copies sample `index`, row-major, in this machine's byte order, to `out` (sample_bytes()).
  virtual absl::Status Read(int64_t index, std::byte* out) const = 0;

 private:
  DataField field_;
  int64_t count_;
};

struct Dataset {
  int64_t count = 0;                             // of samples, in every column
  std::vector<std::unique_ptr<Column>> inputs;   // in the order they were asked for
  std::vector<std::unique_ptr<Column>> targets;  // likewise
  std::unique_ptr<Column> weights;               // one floating-point number a sample, or null

  DataSignature signature() const {
    DataSignature signature;
    for (const auto& column : inputs) signature.inputs.push_back(column->field());
    for (const auto& column : targets) signature.targets.push_back(column->field());
    return signature;
  }
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_DATASET_H_
