// Manifest: what a data set is: counts, types, shapes, the range of its labels, a hash of its
// decoded values. Rank 0 makes it and all ranks check what they opened against it; checkpoints keep
// the hash. Thread: pure but for reading. Errors: the data set's.
#ifndef LOCKSTEP_COMMON_DATA_MANIFEST_H_
#define LOCKSTEP_COMMON_DATA_MANIFEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "common/base/fingerprint.h"
#include "common/data/dataset.h"

namespace lockstep {

struct ColumnManifest {
  DataField field;
  Fingerprint128 hash;  // of all samples in order, as Column::Read gives them
  // Of columns of integers with one element a sample.
  std::optional<int64_t> min;
  std::optional<int64_t> max;
  int64_t min_sample = 0;  // the first sample with that value
  int64_t max_sample = 0;
  friend bool operator==(const ColumnManifest&, const ColumnManifest&) = default;
};

struct Manifest {
  int64_t count = 0;
  std::vector<ColumnManifest> inputs;
  std::vector<ColumnManifest> targets;
  std::optional<ColumnManifest> weights;
  // 32 hexadecimal digits over all of the above but names: two data sets with equal values have
  // equal hashes, wherever and however they are stored.
  std::string ContentHash() const;
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// Reads every sample once.
absl::StatusOr<Manifest> MakeManifest(const Dataset& dataset);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_MANIFEST_H_
