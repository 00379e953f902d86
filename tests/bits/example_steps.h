// Five steps of a job of examples/ over samples from memory, by any count of in-process ranks, and
// the two hashes that they leave. Thread: the test's. Errors: what parsing, planning or a rank
// says.
#ifndef LOCKSTEP_TESTS_BITS_EXAMPLE_STEPS_H_
#define LOCKSTEP_TESTS_BITS_EXAMPLE_STEPS_H_

#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lockstep::testing {

// Who computes; nothing of it may change a bit. An even count of ranks is on two hosts, so that
// sums go through messages too.
struct Split {
  int ranks = 1;
  int threads = 1;  // of each rank
};
inline std::ostream& operator<<(std::ostream& out, const Split& split) {
  return out << split.ranks << " ranks of " << split.threads << " threads";
}

// SHA-256, 64 lower-case digits.
struct StepHashes {
  std::string gradients;  // summed over the shards, of every step and every trainable variable
  std::string model;      // after the last step

  friend bool operator==(const StepHashes& a, const StepHashes& b) {
    return a.gradients == b.gradients && a.model == b.model;
  }
};
inline std::ostream& operator<<(std::ostream& out, const StepHashes& hashes) {
  return out << "gradients " << hashes.gradients << ", model " << hashes.model;
}

// `example`: "cnn" is examples/fashion_mnist_cnn.yaml as it stands, batch size, shards and
// optimizer too. Its data is replaced by random bytes: two whole batches and one that fills five
// of eight shards, a sixth in part, and none of the others; the fourth step is of the next epoch.
absl::StatusOr<StepHashes> TrainExample(absl::string_view example, const Split& split);

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_BITS_EXAMPLE_STEPS_H_
