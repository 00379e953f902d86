#include "worker/profile/roofs.h"

#include <algorithm>
#include <cstddef>

#include "common/base/compute_pool.h"
#include "common/base/status_macros.h"
#include "common/env/clock.h"
#include "common/kernels/roof_loops.h"
#include "common/kernels/simd_target.h"

namespace lockstep {
namespace {

constexpr int64_t kFmaRounds = 200'000;  // about half a millisecond
// Floats of one of a thread's three arrays, by level: within the second-level cache, beside it, in
// shares of a third-level cache, beyond all.
constexpr int64_t kLevelFloats[] = {int64_t{32} << 10, int64_t{256} << 10, int64_t{1} << 20,
                                    int64_t{2} << 20, int64_t{8} << 20};
constexpr int64_t kFloatsPerTry = int64_t{8} << 20;

// The best rate of `work(thread)`, which returns how much it has done, over `tries`.
template <typename Work>
double BestRate(ComputePool& pool, int tries, Work work) {
  std::vector<double> done(static_cast<size_t>(pool.threads()));
  double best = 0;
  for (int i = 0; i < tries; ++i) {
    const absl::Duration begin = RealClock().Monotonic();
    pool.Run(pool.threads(), [&](int64_t first, int64_t last) {
      for (int64_t thread = first; thread < last; ++thread) {
        done[static_cast<size_t>(thread)] = work(thread);
      }
    });
    const double seconds = absl::ToDoubleSeconds(RealClock().Monotonic() - begin);
    double all = 0;
    for (const double one : done) all += one;
    best = std::max(best, all / seconds);
  }
  return best;
}

struct alignas(64) Line {
  float values[16];
};

double TriadRate(ComputePool& pool, int64_t count, int tries) {
  std::vector<Line> memory(static_cast<size_t>(3 * count * pool.threads()) / 16);
  const int64_t rounds = std::max<int64_t>(1, kFloatsPerTry / count);
  return BestRate(pool, tries, [&](int64_t thread) {
    float* const a = memory[static_cast<size_t>(3 * count * thread) / 16].values;
    double bytes = 0;
    for (int64_t i = 0; i < rounds; ++i) {
      bytes += kernels::TriadLoop(a, a + count, a + 2 * count, count);
    }
    return bytes;
  });
}

}  // namespace

double Roofs::BytesPerSecond(double bytes) const {
  for (const Level& level : levels) {
    if (bytes <= level.bytes) return level.bytes_per_second;
  }
  return levels.empty() ? 0 : levels.back().bytes_per_second;
}

absl::StatusOr<Roofs> MeasureRoofs(int threads, RoofEffort effort) {
  LOCKSTEP_RETURN_IF_ERROR(kernels::InitSimd());
  ComputePool pool(threads, Spin::kBrief);
  const int more = effort == RoofEffort::kThorough ? 4 : 1;
  std::vector<Line> sinks(static_cast<size_t>(threads));
  Roofs roofs;
  roofs.flops = BestRate(pool, 25 * more, [&](int64_t thread) {
    return kernels::FmaLoop(kFmaRounds, sinks[static_cast<size_t>(thread)].values);
  });
  for (const int64_t count : kLevelFloats) {
    roofs.levels.push_back(
        {12.0 * static_cast<double>(count * threads), TriadRate(pool, count, 6 * more)});
  }
  // A level further out is no faster; where it seems so, the nearer one was disturbed.
  for (size_t l = roofs.levels.size() - 1; l > 0; --l) {
    Roofs::Level& nearer = roofs.levels[l - 1];
    nearer.bytes_per_second = std::max(nearer.bytes_per_second, roofs.levels[l].bytes_per_second);
  }
  return roofs;
}

ExpectedTime ExpectedTimeOf(const Roofs& roofs, double flops, double bytes) {
  const double compute = roofs.flops > 0 ? flops / roofs.flops : 0;
  const double rate = roofs.BytesPerSecond(bytes);
  const double memory = rate > 0 ? bytes / rate : 0;
  return {std::max(compute, memory), memory > compute};
}

}  // namespace lockstep
