// bench_tree_sum: the canonical sum and all-gather of n floats beside MPI_Allreduce of the same,
// under mpirun. Both leave the sum on every rank; only ours gives the same bits for any number of
// ranks. Usage: mpirun -np W bench_tree_sum
#include <algorithm>
#include <bit>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_format.h"
#include <mpi.h>

#include "bench/harness.h"
#include "common/env/clock.h"
#include "common/kernels/simd_target.h"
#include "worker/comm/communicator.h"
#include "worker/comm/mpi/mpi_session.h"

namespace lockstep::bench {
namespace {

// The middle over turns of the slowest rank's time.
double MedianOfSlowest(std::vector<double> seconds) {
  MPI_Allreduce(MPI_IN_PLACE, seconds.data(), static_cast<int>(seconds.size()), MPI_DOUBLE, MPI_MAX,
                MPI_COMM_WORLD);
  std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

class Bench {
 public:
  Bench(Communicator& communicator, int64_t elements)
      : communicator_(communicator), elements_(elements), pool_(1, Spin::kBrief) {
    Require(Allocate());
    const int64_t size = communicator.size();
    for (int64_t r = 0; r < size; ++r) {
      owned_.push_back({elements * r / size, elements * (r + 1) / size});
      places_.push_back({owned_.back().begin * 4, owned_.back().end * 4});
    }
    flat_.assign(static_cast<size_t>(elements), 1.0f);
    sum_.resize(flat_.size());
  }

  void TreeSum() {
    Require(communicator_.ReduceScatterTree({&*gradients_, elements_, owned_}, pool_));
    Require(communicator_.AllGather(*gradients_, places_, pool_));
    Require(communicator_.Barrier());  // the step's next exchange: buffers are free again
  }
  void Allreduce() {
    MPI_Allreduce(flat_.data(), sum_.data(), static_cast<int>(elements_), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
  }

 private:
  absl::Status Allocate() {
    int64_t own = 0;
    for (const SubtreePlace& place : communicator_.subtrees()) {
      if (place.rank == communicator_.rank()) ++own;
    }
    absl::StatusOr<SharedBuffer> buffer = communicator_.AllocateShared(own * elements_ * 4);
    if (!buffer.ok()) return buffer.status();
    gradients_ = *std::move(buffer);
    return absl::OkStatus();
  }

  Communicator& communicator_;
  const int64_t elements_;
  ComputePool pool_;
  std::optional<SharedBuffer> gradients_;
  std::vector<Range> owned_, places_;
  std::vector<float> flat_, sum_;
};

template <typename Work>
double TimeOf(Work work) {
  const absl::Duration begin = RealClock().Monotonic();
  work();
  return absl::ToDoubleSeconds(RealClock().Monotonic() - begin);
}

void BenchSize(Communicator& communicator, int64_t elements) {
  Bench bench(communicator, elements);
  const int turns = static_cast<int>(std::clamp<int64_t>((int64_t{1} << 26) / elements, 20, 2000));
  std::vector<double> ours, theirs;
  for (int turn = -5; turn < turns; ++turn) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double tree = TimeOf([&] { bench.TreeSum(); });
    MPI_Barrier(MPI_COMM_WORLD);
    const double all = TimeOf([&] { bench.Allreduce(); });
    if (turn < 0) continue;
    ours.push_back(tree);
    theirs.push_back(all);
  }
  const double tree = MedianOfSlowest(std::move(ours));
  const double all = MedianOfSlowest(std::move(theirs));
  if (communicator.rank() != 0) return;
  absl::PrintF("| %d | %.1f | %.1f | %.2f |\n", elements * 4 / 1024, tree * 1e6, all * 1e6,
               tree / all);
}

int Main() {
  Require(kernels::InitSimd());
  absl::StatusOr<std::unique_ptr<MpiSession>> session = MpiSession::Start();
  Require(session.status());
  const auto shards = static_cast<int32_t>(
      std::max<uint32_t>(8, std::bit_ceil(static_cast<uint32_t>((*session)->size()))));
  absl::StatusOr<std::unique_ptr<Transport>> transport = (*session)->MakeTransport();
  Require(transport.status());
  absl::StatusOr<std::unique_ptr<Communicator>> communicator =
      Communicator::Create(*std::move(transport), shards, Spin::kBrief);
  Require(communicator.status());
  if ((*session)->rank() == 0) {
    absl::PrintF(
        "%s; %d ranks, %d shards\n\n| KiB | tree sum, us | MPI_Allreduce, us | ratio |\n"
        "|---|---|---|---|\n",
        MachineLine(), (*session)->size(), shards);
  }
  for (int64_t elements = 256; elements <= int64_t{1} << 24; elements *= 8) {
    BenchSize(**communicator, elements);
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::bench

int main() { return lockstep::bench::Main(); }
