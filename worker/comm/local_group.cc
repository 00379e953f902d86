#include "worker/comm/local_group.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/thread.h"

namespace lockstep {
namespace {

struct FreeDeleter {
  void operator()(std::byte* bytes) const { std::free(bytes); }
};

std::shared_ptr<std::byte> ZeroedBlock(int64_t bytes) {
  constexpr size_t kAlign = 64;
  const size_t size =
      (static_cast<size_t>(std::max<int64_t>(bytes, 1)) + kAlign - 1) / kAlign * kAlign;
  auto* const block = static_cast<std::byte*>(std::aligned_alloc(kAlign, size));
  LOCKSTEP_CHECK(block != nullptr);
  std::memset(block, 0, size);
  return {block, FreeDeleter()};
}

// What the threads share: a meeting point for allocations, and the messages between "hosts".
class Switchboard {
 public:
  explicit Switchboard(int ranks) : blocks_(static_cast<size_t>(ranks)) {}

  // The blocks of `ranks`, once all of them have come with theirs. False: the group is broken.
  bool Share(const std::vector<int>& ranks, int rank, std::shared_ptr<std::byte> block,
             std::vector<std::shared_ptr<std::byte>>& all) {
    const MutexLock lock(mu_);
    std::deque<std::shared_ptr<std::byte>>& own = blocks_[static_cast<size_t>(rank)];
    own.push_back(std::move(block));
    const size_t round = own.size() - 1;
    changed_.NotifyAll();
    for (const int peer : ranks) {
      const std::deque<std::shared_ptr<std::byte>>& theirs = blocks_[static_cast<size_t>(peer)];
      while (theirs.size() <= round && !broken_) changed_.Wait(mu_);
      if (theirs.size() <= round) return false;
      all.push_back(theirs[round]);
    }
    return true;
  }

  void Send(int from, int to, absl::Span<const std::byte> bytes) {
    const MutexLock lock(mu_);
    messages_[{from, to}].emplace_back(bytes.begin(), bytes.end());
    changed_.NotifyAll();
  }

  absl::Status Receive(int from, int to, absl::Span<std::byte> bytes, absl::Duration patience) {
    const MutexLock lock(mu_);
    std::deque<std::vector<std::byte>>& queue = messages_[{from, to}];
    while (queue.empty() && !broken_) {
      if (patience == absl::InfiniteDuration()) {
        changed_.Wait(mu_);
      } else if (!changed_.WaitFor(mu_, patience) && queue.empty()) {
        return absl::DeadlineExceededError(absl::StrCat("no message from rank ", from));
      }
    }
    if (queue.empty()) return absl::UnavailableError("a rank has failed; its log says why");
    LOCKSTEP_CHECK(queue.front().size() == bytes.size());
    if (!bytes.empty()) std::memcpy(bytes.data(), queue.front().data(), bytes.size());
    queue.pop_front();
    return absl::OkStatus();
  }

  void Break() {
    const MutexLock lock(mu_);
    broken_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
  // By rank; kept as long as the group, as a process keeps its mappings.
  std::vector<std::deque<std::shared_ptr<std::byte>>> blocks_ ABSL_GUARDED_BY(mu_);
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> messages_ ABSL_GUARDED_BY(mu_);
};

class LocalMemory final : public SharedMemory {
 public:
  explicit LocalMemory(std::vector<std::shared_ptr<std::byte>> blocks)
      : blocks_(std::move(blocks)) {
    for (const std::shared_ptr<std::byte>& block : blocks_) addresses_.push_back(block.get());
  }

 private:
  std::vector<std::shared_ptr<std::byte>> blocks_;
};

class LocalTransport final : public Transport {
 public:
  LocalTransport(std::shared_ptr<Switchboard> switchboard, const LocalGroupOptions& options,
                 int rank)
      : switchboard_(std::move(switchboard)), rank_(rank), size_(options.ranks) {
    const auto host_of = [&](int r) { return r * options.hosts / options.ranks; };
    for (int r = 0; r < size_; ++r) {
      if (host_of(r) == host_of(rank)) host_ranks_.push_back(r);
    }
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::vector<int>& host_ranks() const override { return host_ranks_; }

  absl::StatusOr<std::unique_ptr<SharedMemory>> AllocateShared(int64_t bytes) override {
    std::vector<std::shared_ptr<std::byte>> blocks;
    if (!switchboard_->Share(host_ranks_, rank_, ZeroedBlock(bytes), blocks)) {
      return absl::UnavailableError("a rank has failed; its log says why");
    }
    return std::make_unique<LocalMemory>(std::move(blocks));
  }

  absl::Status StartSend(int rank, absl::Span<const std::byte> bytes) override {
    switchboard_->Send(rank_, rank, bytes);
    return absl::OkStatus();
  }
  absl::Status StartReceive(int rank, absl::Span<std::byte> bytes) override {
    receives_.push_back({rank, bytes});
    return absl::OkStatus();
  }
  absl::Status Finish(absl::Duration patience) override {
    for (const auto& [rank, bytes] : receives_) {
      LOCKSTEP_RETURN_IF_ERROR(switchboard_->Receive(rank, rank_, bytes, patience));
    }
    receives_.clear();
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<Switchboard> switchboard_;
  const int rank_;
  const int size_;
  std::vector<int> host_ranks_;
  std::vector<std::pair<int, absl::Span<std::byte>>> receives_;
};

absl::Status RunRank(const std::shared_ptr<Switchboard>& switchboard,
                     const LocalGroupOptions& options, int rank,
                     absl::FunctionRef<absl::Status(Communicator&)> body) {
  LOCKSTEP_ASSIGN_OR_RETURN(
      const std::unique_ptr<Communicator> communicator,
      Communicator::Create(std::make_unique<LocalTransport>(switchboard, options, rank),
                           options.shards, options.spin));
  communicator->set_patience(options.patience);
  absl::Status status = body(*communicator);
  if (!status.ok()) communicator->Break();
  return status;
}

}  // namespace

std::vector<absl::Status> RunLocalGroup(const LocalGroupOptions& options,
                                        absl::FunctionRef<absl::Status(Communicator&)> body) {
  const auto switchboard = std::make_shared<Switchboard>(options.ranks);
  std::vector<absl::Status> statuses(static_cast<size_t>(options.ranks));
  std::vector<Thread> threads;
  for (int rank = 0; rank < options.ranks; ++rank) {
    threads.emplace_back(absl::StrCat("rank-", rank), [&, rank] {
      absl::Status& status = statuses[static_cast<size_t>(rank)];
      status = RunRank(switchboard, options, rank, body);
      if (!status.ok()) switchboard->Break();
    });
  }
  threads.clear();
  return statuses;
}

absl::Status FirstFailure(const std::vector<absl::Status>& statuses) {
  absl::Status first;
  for (const absl::Status& status : statuses) {
    if (status.ok()) continue;
    if (first.ok() || (absl::IsUnavailable(first) && !absl::IsUnavailable(status))) first = status;
  }
  return first;
}

}  // namespace lockstep
