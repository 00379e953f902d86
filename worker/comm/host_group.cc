#include "worker/comm/host_group.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

// How long a sleeper may overlook that a rank has broken the group.
constexpr absl::Duration kSleep = absl::Milliseconds(100);

// Nothing may come from nowhere, which memcpy does not allow.
void Copy(std::byte* to, const std::byte* from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostGroup>> HostGroup::Create(Transport& transport, Spin spin) {
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<SharedMemory> memory,
                            transport.AllocateShared(int64_t{sizeof(Board)}));
  return std::unique_ptr<HostGroup>(new HostGroup(transport, std::move(memory), spin));
}

HostGroup::HostGroup(Transport& transport, std::unique_ptr<SharedMemory> memory, Spin spin)
    : transport_(transport), memory_(std::move(memory)), spin_(spin) {
  for (std::byte* address : memory_->addresses()) {
    boards_.push_back(reinterpret_cast<Board*>(address));
  }
  const std::vector<int>& ranks = transport.host_ranks();
  index_ =
      static_cast<int>(std::find(ranks.begin(), ranks.end(), transport.rank()) - ranks.begin());
}

absl::Status HostGroup::Meet() {
  if (size() == 1) return status_;
  LOCKSTEP_RETURN_IF_ERROR(status_);
  ++meetings_;
  boards_[static_cast<size_t>(index_)]->arrivals.StoreAndWake(meetings_);
  for (size_t peer = 0; peer < boards_.size(); ++peer) {
    if (absl::Status awaited = Await(peer); !awaited.ok()) return Fail(std::move(awaited));
  }
  return absl::OkStatus();
}

// A rank may be one meeting ahead: it has then been at this one.
absl::Status HostGroup::Await(size_t peer) {
  const Futex& arrivals = boards_[peer]->arrivals;
  absl::Duration waited;
  for (uint32_t seen = arrivals.Load(); seen == meetings_ - 1; seen = arrivals.Load()) {
    for (size_t other = 0; other < boards_.size(); ++other) {
      if (boards_[other]->broken.load(std::memory_order_acquire) == 0) continue;
      return absl::UnavailableError(
          absl::StrCat("rank ", ranks()[other], " has failed; its log says why"));
    }
    if (waited >= patience_) {
      return absl::DeadlineExceededError(absl::StrCat(
          "rank ", ranks()[peer], " did not come within ", absl::FormatDuration(patience_)));
    }
    arrivals.WaitWhile(seen, spin_, kSleep);
    if (arrivals.Load() == seen) waited += kSleep;  // roughly: patience is minutes
  }
  return absl::OkStatus();
}

absl::Status HostGroup::Exchange(absl::Span<const Range> places, std::byte* all) {
  if (size() == 1) return status_;
  int64_t longest = 0;
  for (const int rank : ranks()) {
    longest = std::max(longest, places[static_cast<size_t>(rank)].size());
  }
  // Two mails in turn: a rank writes one again only after all have met over the other.
  for (int64_t done = 0; done < longest || done == 0; done += kMailBytes) {
    const size_t turn = (meetings_ + 1) % 2;
    const auto part = [&](size_t place) {
      const Range& range = places[static_cast<size_t>(ranks()[place])];
      return Range{std::min(range.begin + done, range.end),
                   std::min(range.begin + done + kMailBytes, range.end)};
    };
    const Range mine = part(static_cast<size_t>(index_));
    Copy(boards_[static_cast<size_t>(index_)]->mail[turn], all + mine.begin, mine.size());
    LOCKSTEP_RETURN_IF_ERROR(Meet());
    for (size_t peer = 0; peer < boards_.size(); ++peer) {
      if (static_cast<int>(peer) == index_) continue;
      const Range range = part(peer);
      Copy(all + range.begin, boards_[peer]->mail[turn], range.size());
    }
  }
  return absl::OkStatus();
}

void HostGroup::Break() {
  if (status_.ok()) status_ = absl::UnavailableError("the group was broken by this rank");
  Board& board = *boards_[static_cast<size_t>(index_)];
  board.broken.store(1, std::memory_order_release);
  board.arrivals.WakeAll();
}

absl::Status HostGroup::Fail(absl::Status status) {
  status_ = std::move(status);
  Break();
  return status_;
}

}  // namespace lockstep
