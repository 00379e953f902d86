#include "worker/comm/communicator.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/kernels/tree_sum.h"

namespace lockstep {
namespace {

// Copies in pieces of this size, so that threads share the work.
constexpr int64_t kCopyBytes = 64 * 1024;

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> Communicator::Create(
    std::unique_ptr<Transport> transport, int32_t shards, Spin spin) {
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<HostGroup> host, HostGroup::Create(*transport, spin));
  return std::unique_ptr<Communicator>(
      new Communicator(std::move(transport), std::move(host), shards));
}

Communicator::Communicator(std::unique_ptr<Transport> transport, std::unique_ptr<HostGroup> host,
                           int32_t shards)
    : transport_(std::move(transport)),
      host_(std::move(host)),
      subtrees_(AllSubtrees(shards, transport_->size())),
      place_of_rank_(static_cast<size_t>(transport_->size()), -1),
      places_(static_cast<size_t>(transport_->size())),
      received_(subtrees_.size()),
      partials_(subtrees_.size()) {
  for (size_t place = 0; place < host_->ranks().size(); ++place) {
    place_of_rank_[static_cast<size_t>(host_->ranks()[place])] = static_cast<int>(place);
  }
  for (size_t s = 0; s < subtrees_.size(); ++s) {
    const int32_t holder = subtrees_[s].rank;
    leaves_.push_back(subtrees_[s].shards.count);
    if (holder == rank()) ++own_subtrees_;
    if (place_of_rank_[static_cast<size_t>(holder)] >= 0) continue;
    if (remotes_.empty() || remotes_.back().rank != holder) remotes_.push_back({holder, {}});
    remotes_.back().subtrees.push_back(static_cast<int32_t>(s));
  }
}

void Communicator::set_patience(absl::Duration patience) {
  patience_ = patience;
  host_->set_patience(patience);
}

absl::StatusOr<SharedBuffer> Communicator::AllocateShared(int64_t bytes) {
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<SharedMemory> memory,
                            transport_->AllocateShared(bytes));
  return SharedBuffer(std::move(memory), static_cast<size_t>(host_->index()));
}

absl::Status Communicator::StartRemoteExchange(absl::Span<const Range> places, std::byte* all) {
  const auto bytes_of = [&](int rank) {
    const Range& place = places[static_cast<size_t>(rank)];
    return absl::MakeSpan(all + place.begin, static_cast<size_t>(place.size()));
  };
  for (const Remote& remote : remotes_) {
    LOCKSTEP_RETURN_IF_ERROR(transport_->StartReceive(remote.rank, bytes_of(remote.rank)));
    LOCKSTEP_RETURN_IF_ERROR(transport_->StartSend(remote.rank, bytes_of(rank())));
  }
  return absl::OkStatus();
}

absl::Status Communicator::Exchange(absl::Span<const Range> places, std::byte* all) {
  LOCKSTEP_RETURN_IF_ERROR(StartRemoteExchange(places, all));
  LOCKSTEP_RETURN_IF_ERROR(host_->Exchange(places, all));
  return transport_->Finish(patience_);
}

absl::StatusOr<const std::byte*> Communicator::GatherParts(const std::byte* mine,
                                                           int64_t part_bytes) {
  const auto bytes = static_cast<size_t>(part_bytes) * subtrees_.size();
  if (parts_.size() < bytes) parts_.resize(bytes);
  std::fill(places_.begin(), places_.end(), Range{});
  for (size_t s = 0; s < subtrees_.size(); ++s) {
    Range& place = places_[static_cast<size_t>(subtrees_[s].rank)];
    const int64_t begin = static_cast<int64_t>(s) * part_bytes;
    if (subtrees_[s].index == 0) place.begin = begin;
    place.end = begin + part_bytes;
  }
  const Range& own = places_[static_cast<size_t>(rank())];
  std::memcpy(parts_.data() + own.begin, mine, static_cast<size_t>(own.size()));
  LOCKSTEP_RETURN_IF_ERROR(Exchange(places_, parts_.data()));
  return parts_.data();
}

absl::Status Communicator::StartRemotePartials(const TreeReduction& reduction) {
  const Range& own = reduction.owned[static_cast<size_t>(rank())];
  const auto* const arrays = reinterpret_cast<const float*>(reduction.buffer->data());
  for (const Remote& remote : remotes_) {
    for (const int32_t s : remote.subtrees) {
      std::vector<float>& received = received_[static_cast<size_t>(s)];
      if (std::ssize(received) < own.size()) received.resize(static_cast<size_t>(own.size()));
      LOCKSTEP_RETURN_IF_ERROR(
          transport_->StartReceive(remote.rank, {reinterpret_cast<std::byte*>(received.data()),
                                                 static_cast<size_t>(own.size()) * sizeof(float)}));
    }
    const Range& theirs = reduction.owned[static_cast<size_t>(remote.rank)];
    for (int32_t k = 0; k < own_subtrees_; ++k) {
      const float* const first = arrays + k * reduction.stride + theirs.begin;
      LOCKSTEP_RETURN_IF_ERROR(
          transport_->StartSend(remote.rank, {reinterpret_cast<const std::byte*>(first),
                                              static_cast<size_t>(theirs.size()) * sizeof(float)}));
    }
  }
  return absl::OkStatus();
}

absl::Status Communicator::ReduceScatterTree(const TreeReduction& reduction, ComputePool& pool) {
  if (subtrees_.size() == 1) return absl::OkStatus();  // one partial is the sum
  const Range& own = reduction.owned[static_cast<size_t>(rank())];
  LOCKSTEP_RETURN_IF_ERROR(StartRemotePartials(reduction));
  for (size_t s = 0; s < subtrees_.size(); ++s) {
    const int place = place_of_rank_[static_cast<size_t>(subtrees_[s].rank)];
    partials_[s] =
        place < 0
            ? received_[s].data()
            : reinterpret_cast<const float*>(reduction.buffer->peer(static_cast<size_t>(place))) +
                  subtrees_[s].index * reduction.stride + own.begin;
  }
  LOCKSTEP_RETURN_IF_ERROR(host_->Meet());
  LOCKSTEP_RETURN_IF_ERROR(transport_->Finish(patience_));
  const kernels::TreeSumArgs args{
      .count = own.size(),
      .partials = partials_.data(),
      .leaves = leaves_.data(),
      .partial_count = static_cast<int32_t>(partials_.size()),
      .out = reinterpret_cast<float*>(reduction.buffer->data()) + own.begin};
  pool.Run(kernels::FlatUnits(own.size()), [&](int64_t begin, int64_t end) {
    kernels::TreeSum(args, {begin, end});
  });
  return absl::OkStatus();
}

absl::Status Communicator::AllGather(const SharedBuffer& buffer, absl::Span<const Range> places,
                                     ComputePool& pool) {
  if (size() == 1) return absl::OkStatus();
  LOCKSTEP_RETURN_IF_ERROR(StartRemoteExchange(places, buffer.data()));
  LOCKSTEP_RETURN_IF_ERROR(host_->Meet());
  for (size_t place = 0; place < host_->ranks().size(); ++place) {
    if (static_cast<int>(place) == host_->index()) continue;
    const Range& range = places[static_cast<size_t>(host_->ranks()[place])];
    pool.Run((range.size() + kCopyBytes - 1) / kCopyBytes, [&](int64_t begin, int64_t end) {
      const int64_t first = range.begin + begin * kCopyBytes;
      const int64_t last = std::min(range.begin + end * kCopyBytes, range.end);
      std::memcpy(buffer.data() + first, buffer.peer(place) + first,
                  static_cast<size_t>(last - first));
    });
  }
  return transport_->Finish(patience_);
}

absl::Status Communicator::Broadcast(absl::Span<std::byte> bytes, int root) {
  std::fill(places_.begin(), places_.end(), Range{});
  places_[static_cast<size_t>(root)] = {0, static_cast<int64_t>(bytes.size())};
  return Exchange(places_, bytes.data());
}

}  // namespace lockstep
