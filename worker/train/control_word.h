// ControlWord: what every rank tells the others once a step, so that all act at the same step:
// stop, checkpoint, non-finite values, parameter hashes, how a checkpoint is getting on. It travels
// with the sums of losses and metrics, after the gradients are reduced and before the update.
#ifndef LOCKSTEP_WORKER_TRAIN_CONTROL_WORD_H_
#define LOCKSTEP_WORKER_TRAIN_CONTROL_WORD_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"

#include "worker/comm/communicator.h"

namespace lockstep {

// Plain bytes on the wire; ranks run the same build.
struct ControlWord {
  enum Flag : uint32_t {
    kStop = 1,        // checkpoint after this step, then end
    kCheckpoint = 2,  // checkpoint after this step
    kNonFinite = 4,   // this rank's reduced gradient holds NaN or infinity
    kReady = 8,       // this rank's part of the checkpoint in flight is done
    kFailed = 16,     // ... or cannot be done
  };
  uint32_t flags = 0;
  uint32_t has_fingerprint = 0;
  uint64_t fingerprint = 0;  // of all values, where has_fingerprint
};

// What all ranks know after the exchange, alike on every rank.
struct StepOutcome {
  bool stop = false;
  bool checkpoint = false;
  bool non_finite = false;
  bool ready = false;        // every rank is
  bool failed = false;       // some rank has
  int odd_rank = -1;         // whose fingerprint differs from the majority's; -1: all agree
  std::vector<double> sums;  // the tree over all shards
};

// Exchanges control words and sums. Thread: trainer. Allocates only at construction.
class StepExchange {
 public:
  // `sum_count` doubles per subtree of this rank.
  StepExchange(Communicator& communicator, size_t sum_count);

  // `sums`: [subtrees of this rank][sum_count]. The outcome stays until the next call.
  absl::Status Exchange(const ControlWord& mine, const double* sums);
  const StepOutcome& outcome() const { return outcome_; }

 private:
  void Combine(const std::byte* parts);

  Communicator& communicator_;
  const size_t sum_count_;
  const size_t part_bytes_;       // of a subtree: its rank's control word, then its sums
  std::vector<std::byte> parts_;  // of this rank
  StepOutcome outcome_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_CONTROL_WORD_H_
