#include "worker/train/control_word.h"

#include <cstring>

#include "common/base/status_macros.h"
#include "worker/comm/tree_exchange.h"

namespace lockstep {
namespace {

size_t OwnSubtrees(const Communicator& communicator) {
  size_t count = 0;
  for (const SubtreePlace& place : communicator.subtrees()) {
    if (place.rank == communicator.rank()) ++count;
  }
  return count;
}

}  // namespace

StepExchange::StepExchange(Communicator& communicator, size_t sum_count)
    : communicator_(communicator),
      sum_count_(sum_count),
      part_bytes_(sizeof(ControlWord) + sum_count * sizeof(double)),
      parts_(OwnSubtrees(communicator) * part_bytes_) {
  outcome_.sums.resize(sum_count);
}

absl::Status StepExchange::Exchange(const ControlWord& mine, const double* sums) {
  for (size_t t = 0; t * part_bytes_ < parts_.size(); ++t) {
    std::byte* const part = parts_.data() + t * part_bytes_;
    std::memcpy(part, &mine, sizeof(mine));
    if (sum_count_ == 0) continue;
    std::memcpy(part + sizeof(mine), sums + t * sum_count_, sum_count_ * sizeof(double));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(
      const std::byte* const parts,
      communicator_.GatherParts(parts_.data(), static_cast<int64_t>(part_bytes_)));
  Combine(parts);
  return absl::OkStatus();
}

void StepExchange::Combine(const std::byte* parts) {
  uint32_t any = 0;
  bool ready = true;
  uint64_t agreed = 0;
  int votes = 0;  // of Boyer and Moore: a majority, where there is one, survives
  const auto word_of = [&](size_t subtree) {
    ControlWord word;
    std::memcpy(&word, parts + subtree * part_bytes_, sizeof(word));
    return word;
  };
  const std::vector<SubtreePlace>& subtrees = communicator_.subtrees();
  for (size_t s = 0; s < subtrees.size(); ++s) {
    const ControlWord word = word_of(s);
    any |= word.flags;
    ready = ready && (word.flags & ControlWord::kReady) != 0;
    if (word.has_fingerprint == 0 || subtrees[s].index != 0) continue;
    if (votes == 0) agreed = word.fingerprint;
    votes += word.fingerprint == agreed ? 1 : -1;
  }
  outcome_.odd_rank = -1;
  for (size_t s = 0; s < subtrees.size() && outcome_.odd_rank < 0; ++s) {
    const ControlWord word = word_of(s);
    if (word.has_fingerprint != 0 && word.fingerprint != agreed)
      outcome_.odd_rank = subtrees[s].rank;
  }
  outcome_.stop = (any & ControlWord::kStop) != 0;
  outcome_.checkpoint = (any & ControlWord::kCheckpoint) != 0;
  outcome_.non_finite = (any & ControlWord::kNonFinite) != 0;
  outcome_.failed = (any & ControlWord::kFailed) != 0;
  outcome_.ready = ready;
  for (size_t i = 0; i < sum_count_; ++i) {
    const auto value = [&](size_t subtree) {
      double sum = 0;
      std::memcpy(&sum, parts + subtree * part_bytes_ + sizeof(ControlWord) + i * sizeof(double),
                  sizeof(sum));
      return sum;
    };
    outcome_.sums[i] =
        CombineSubtrees<double>(subtrees, value, [](double a, double b) { return a + b; });
  }
}

}  // namespace lockstep
