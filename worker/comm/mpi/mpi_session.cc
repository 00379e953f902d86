#include "worker/comm/mpi/mpi_session.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include <mpi.h>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace lockstep {
namespace {

constexpr int64_t kMessageBytesMax = int64_t{1} << 30;  // MPI 3.1 counts are int
constexpr int kTag = 1;
constexpr int kTestsBeforeYield = 1000;

bool& Abandoned() {
  static bool abandoned = false;
  return abandoned;
}

absl::Status ToStatus(int result, absl::string_view operation) {
  if (result == MPI_SUCCESS) return absl::OkStatus();
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(result, text, &length);
  return absl::InternalError(
      absl::StrCat(operation, ": ", absl::string_view(text, static_cast<size_t>(length))));
}

// A shared-memory window; load and store only, our own futexes synchronise.
class WindowMemory final : public SharedMemory {
 public:
  static absl::StatusOr<std::unique_ptr<SharedMemory>> Create(MPI_Comm host, int64_t bytes) {
    std::unique_ptr<WindowMemory> memory(new WindowMemory());
    MPI_Info info = MPI_INFO_NULL;
    MPI_Info_create(&info);
    MPI_Info_set(info, "alloc_shared_noncontig", "true");  // no two ranks in one page
    void* own = nullptr;
    const int result = MPI_Win_allocate_shared(static_cast<MPI_Aint>(bytes + kAlign), 1, info, host,
                                               &own, &memory->window_);
    MPI_Info_free(&info);
    if (result != MPI_SUCCESS) {
      memory->window_ = MPI_WIN_NULL;
      return absl::ResourceExhaustedError(absl::StrCat(
          ToStatus(result, "MPI_Win_allocate_shared").message(), "; is /dev/shm large enough?"));
    }
    std::memset(Aligned(own), 0, static_cast<size_t>(bytes));
    int size = 0;
    MPI_Comm_size(host, &size);
    for (int r = 0; r < size; ++r) {
      MPI_Aint length = 0;
      int unit = 0;
      void* address = nullptr;
      LOCKSTEP_RETURN_IF_ERROR(
          ToStatus(MPI_Win_shared_query(memory->window_, r, &length, &unit, &address),
                   "MPI_Win_shared_query"));
      memory->addresses_.push_back(Aligned(address));
    }
    LOCKSTEP_RETURN_IF_ERROR(
        ToStatus(MPI_Win_lock_all(MPI_MODE_NOCHECK, memory->window_), "MPI_Win_lock_all"));
    LOCKSTEP_RETURN_IF_ERROR(ToStatus(MPI_Barrier(host), "MPI_Barrier"));  // all are zero
    return memory;
  }
  ~WindowMemory() override {
    if (window_ == MPI_WIN_NULL || Abandoned()) return;
    MPI_Win_unlock_all(window_);
    MPI_Win_free(&window_);
  }

 private:
  static constexpr int64_t kAlign = 64;

  // Open MPI's parts start anywhere. Mappings start on pages, so all processes round alike.
  static std::byte* Aligned(void* address) {
    const uintptr_t rest = reinterpret_cast<uintptr_t>(address) % kAlign;
    return static_cast<std::byte*>(address) + (rest == 0 ? 0 : kAlign - rest);
  }

  WindowMemory() = default;
  MPI_Win window_ = MPI_WIN_NULL;
};

class MpiTransport final : public Transport {
 public:
  static absl::StatusOr<std::unique_ptr<Transport>> Create(int ranks_per_host) {
    std::unique_ptr<MpiTransport> transport(new MpiTransport());
    LOCKSTEP_RETURN_IF_ERROR(transport->Connect(ranks_per_host));
    return transport;
  }
  ~MpiTransport() override {
    if (Abandoned()) return;
    if (host_ != MPI_COMM_NULL) MPI_Comm_free(&host_);
    if (world_ != MPI_COMM_NULL) MPI_Comm_free(&world_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::vector<int>& host_ranks() const override { return host_ranks_; }

  absl::StatusOr<std::unique_ptr<SharedMemory>> AllocateShared(int64_t bytes) override {
    return WindowMemory::Create(host_, bytes);
  }

  absl::Status StartSend(int rank, absl::Span<const std::byte> bytes) override {
    int64_t offset = 0;
    do {
      const int64_t count = std::min(kMessageBytesMax, std::ssize(bytes) - offset);
      requests_.push_back(MPI_REQUEST_NULL);
      LOCKSTEP_RETURN_IF_ERROR(ToStatus(MPI_Isend(bytes.data() + offset, static_cast<int>(count),
                                                  MPI_BYTE, rank, kTag, world_, &requests_.back()),
                                        absl::StrCat("MPI_Isend to rank ", rank)));
      offset += count;
    } while (offset < std::ssize(bytes));
    return absl::OkStatus();
  }

  absl::Status StartReceive(int rank, absl::Span<std::byte> bytes) override {
    int64_t offset = 0;
    do {
      const int64_t count = std::min(kMessageBytesMax, std::ssize(bytes) - offset);
      requests_.push_back(MPI_REQUEST_NULL);
      LOCKSTEP_RETURN_IF_ERROR(ToStatus(MPI_Irecv(bytes.data() + offset, static_cast<int>(count),
                                                  MPI_BYTE, rank, kTag, world_, &requests_.back()),
                                        absl::StrCat("MPI_Irecv from rank ", rank)));
      offset += count;
    } while (offset < std::ssize(bytes));
    return absl::OkStatus();
  }

  absl::Status Finish(absl::Duration patience) override {
    if (requests_.empty()) return absl::OkStatus();
    const double seconds_max = absl::ToDoubleSeconds(patience);
    const double start = MPI_Wtime();
    for (int tests = 0;; ++tests) {
      int done = 0;
      LOCKSTEP_RETURN_IF_ERROR(ToStatus(MPI_Testall(static_cast<int>(requests_.size()),
                                                    requests_.data(), &done, MPI_STATUSES_IGNORE),
                                        "MPI_Testall"));
      if (done != 0) break;
      if (tests < kTestsBeforeYield) continue;
      if (MPI_Wtime() - start > seconds_max) {
        return absl::DeadlineExceededError(absl::StrCat(
            "messages of other hosts did not come within ", absl::FormatDuration(patience)));
      }
      sched_yield();
    }
    requests_.clear();
    return absl::OkStatus();
  }

 private:
  MpiTransport() = default;

  absl::Status Connect(int ranks_per_host) {
    LOCKSTEP_RETURN_IF_ERROR(ToStatus(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup"));
    MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world_, &rank_);
    MPI_Comm_size(world_, &size_);
    LOCKSTEP_RETURN_IF_ERROR(
        ToStatus(MPI_Comm_split_type(world_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host_),
                 "MPI_Comm_split_type"));
    if (ranks_per_host > 0) {
      int place = 0;
      MPI_Comm_rank(host_, &place);
      MPI_Comm part = MPI_COMM_NULL;
      LOCKSTEP_RETURN_IF_ERROR(
          ToStatus(MPI_Comm_split(host_, place / ranks_per_host, place, &part), "MPI_Comm_split"));
      MPI_Comm_free(&host_);
      host_ = part;
    }
    MPI_Comm_set_errhandler(host_, MPI_ERRORS_RETURN);
    int count = 0;
    MPI_Comm_size(host_, &count);
    host_ranks_.resize(static_cast<size_t>(count));
    return ToStatus(MPI_Allgather(&rank_, 1, MPI_INT, host_ranks_.data(), 1, MPI_INT, host_),
                    "MPI_Allgather");
  }

  MPI_Comm world_ = MPI_COMM_NULL;
  MPI_Comm host_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  std::vector<int> host_ranks_;
  std::vector<MPI_Request> requests_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MpiSession>> MpiSession::Start() {
  int provided = MPI_THREAD_SINGLE;
  LOCKSTEP_RETURN_IF_ERROR(ToStatus(
      MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread"));
  if (provided < MPI_THREAD_FUNNELED) {
    return absl::FailedPreconditionError(
        "this MPI library allows no threads at all; use one with MPI_THREAD_FUNNELED");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  return std::unique_ptr<MpiSession>(new MpiSession());
}

MpiSession::~MpiSession() {
  if (!Abandoned()) MPI_Finalize();
}

int MpiSession::rank() const {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int MpiSession::size() const {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

absl::StatusOr<std::unique_ptr<Transport>> MpiSession::MakeTransport(int ranks_per_host) {
  return MpiTransport::Create(ranks_per_host);
}

void MpiSession::Abandon() { Abandoned() = true; }

}  // namespace lockstep
