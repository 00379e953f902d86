#include "common/base/compute_pool.h"

#include "absl/strings/str_cat.h"

#include "common/base/check.h"

namespace lockstep {

ComputePool::ComputePool(int threads, Spin spin) : threads_(threads), spin_(spin) {
  LOCKSTEP_CHECK(threads >= 1);
  for (int part = 1; part < threads; ++part) {
    workers_.emplace_back(absl::StrCat("compute-", part), [this, part] { Serve(part); });
  }
}

ComputePool::~ComputePool() {
  ending_ = true;
  round_.AddAndWake(1);
}

void ComputePool::RunShared(int64_t units, Work work) {
  units_ = units;
  work_ = &work;
  const uint32_t target = arrived_.Load() + static_cast<uint32_t>(threads_) - 1;
  round_.AddAndWake(1);
  RunPart(0);
  for (uint32_t arrived = arrived_.Load(); arrived != target; arrived = arrived_.Load()) {
    arrived_.WaitWhile(arrived, spin_, absl::InfiniteDuration());
  }
}

void ComputePool::RunPart(int part) const {
  const int64_t begin = units_ * part / threads_;
  const int64_t end = units_ * (part + 1) / threads_;
  if (begin < end) (*work_)(begin, end);
}

void ComputePool::Serve(int part) {
  for (uint32_t round = 0;; ++round) {
    while (round_.Load() == round) round_.WaitWhile(round, spin_, absl::InfiniteDuration());
    if (ending_) return;
    RunPart(part);
    arrived_.AddAndWake(1);
  }
}

}  // namespace lockstep
