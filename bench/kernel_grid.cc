// bench_kernel_grid: efficiency of every kernel against its own roof over a grid of odd shapes, so
// that no shape a user can write is slow unseen. Usage: bench_kernel_grid [--json] [--only WORD]
// [--gflop LIMIT]. A call's roof is the FMA peak or the triad's rate for as many bytes as it
// touches, whichever takes longer. "useful" counts the samples, "lanes" all 16 slots of a block: a
// batch of 1 can be useful to a sixteenth only.
#include "bench/kernel_grid.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/env/clock.h"
#include "common/kernels/dense.h"
#include "common/kernels/optimizers.h"
#include "common/kernels/simd_target.h"
#include "common/kernels/tree_sum.h"

namespace lockstep::kernels {
namespace {

using bench::MachineLine;
using bench::Require;

constexpr double kThreshold = 0.35;
constexpr double kLeastSeconds = 4e-6;  // of one measurement: a hundred times the clock's own

double SecondsOf(const std::function<void()>& run, int calls) {
  const absl::Duration begin = RealClock().Monotonic();
  for (int i = 0; i < calls; ++i) run();
  return absl::ToDoubleSeconds(RealClock().Monotonic() - begin);
}

}  // namespace

// A call, of short ones the mean of several: the best of measurements that take two milliseconds
// together, three at least.
void Grid::Measure(const Probe& probe) {
  if (!settings_.only.empty() && !absl::StrContains(probe.kernel, settings_.only)) return;
  if (probe.flops > settings_.gflop_max * 1e9) return;
  int calls = 1;
  while (SecondsOf(probe.run, calls) < kLeastSeconds && calls < 1024) calls *= 2;
  double best = 1e9, all = 0;
  for (int i = 0; i < 3 || (all < 2e-3 && i < 2000); ++i) {
    const double seconds = SecondsOf(probe.run, calls);
    best = std::min(best, seconds / calls);
    all += seconds;
  }
  const ExpectedTime expected = ExpectedTimeOf(roofs_, probe.flops, probe.bytes);
  const double part =
      probe.slots == 0 ? 1 : static_cast<double>(probe.samples) / static_cast<double>(probe.slots);
  findings_.push_back({probe.kernel, probe.shape, best, expected.seconds / best,
                       expected.seconds / best * part, expected.by_memory});
}

void Grid::DenseLayers(int64_t inputs) {
  for (const int64_t outputs : {1, 3, 10, 50, 100, 1000}) {
    memory_.Restart();
    float* const x = memory_.Take(blocks_ * inputs * kBlockLanes);
    float* const y = memory_.Take(blocks_ * outputs * kBlockLanes);
    float* const d_y = memory_.Take(blocks_ * outputs * kBlockLanes);
    float* const w = memory_.Take(inputs * outputs);
    float* const b = memory_.Take(outputs);
    float* const d_w = memory_.Take(inputs * outputs);
    const GradientCall call = {x, d_y};
    const double macs = static_cast<double>(inputs * outputs);
    Probe probe{.shape = absl::StrCat(samples_, " x ", inputs, " -> ", outputs),
                .samples = samples_,
                .slots = blocks_ * kBlockLanes,
                .flops = 2 * slots() * macs,
                .bytes = 4 * (slots() * static_cast<double>(inputs + outputs) + macs)};
    const DenseForwardArgs forward{blocks_, 1, inputs, outputs, x, w, b, y, Activation::kRelu};
    probe.kernel = "dense_forward";
    probe.run = [&] { DenseForward(forward, {0, DenseForwardUnits(forward)}); };
    Measure(probe);
    DenseBackwardWeightsArgs gradient{1,     inputs, outputs, slots_, {0, 1},
                                      &call, 1,      nullptr, d_w,    b};
    float* const rows = memory_.Take(DenseBackwardWeightsScratch(gradient));
    gradient.d_y_rows = rows;
    const DenseTransposeGradientArgs transpose{1, outputs, slots_, &call, 1, rows};
    probe.kernel = "dense_backward_weights";
    probe.run = [&] {
      DenseTransposeGradient(transpose, {0, DenseTransposeGradientUnits(transpose)});
      DenseBackwardWeights(gradient, {0, DenseBackwardWeightsUnits(gradient)});
    };
    Measure(probe);
    const DenseBackwardDataArgs data{blocks_, 1, inputs, outputs, d_y, w, x, false};
    probe.kernel = "dense_backward_data";
    probe.run = [&] { DenseBackwardData(data, {0, DenseBackwardDataUnits(data)}); };
    Measure(probe);
  }
}

void Grid::Flat() {
  for (const int64_t count : {int64_t{1000}, int64_t{100'000}, int64_t{4'000'000}}) {
    memory_.Restart();
    float* const gradient = memory_.Take(count);
    float* const value = memory_.Take(count);
    float* const m = memory_.Take(count);
    float* const v = memory_.Take(count);
    std::fill_n(v, count, 0.5f);
    const double values = static_cast<double>(count);
    Probe probe{.shape = absl::StrCat(count, " parameters")};
    const AdamArgs adam{count, 1e-6f, 0.1f, 0.001f, 1e-7f, gradient, m, v, value};
    probe.kernel = "adam";
    probe.bytes = 28 * values;
    probe.run = [&] { Adam(adam, {0, FlatUnits(count)}); };
    Measure(probe);
    const SgdArgs sgd{count, 1e-6f, 0.9f, false, gradient, m, value};
    probe.kernel = "sgd_momentum";
    probe.bytes = 20 * values;
    probe.run = [&] { Sgd(sgd, {0, FlatUnits(count)}); };
    Measure(probe);
    const float* const partials[] = {gradient, value, m, v};
    const int32_t leaves[] = {1, 1, 1, 1};
    const TreeSumArgs sum{count, partials, leaves, 4, gradient};
    probe.kernel = "tree_sum_of_4";
    probe.bytes = 20 * values;
    probe.run = [&] { TreeSum(sum, {0, FlatUnits(count)}); };
    Measure(probe);
    probe.kernel = "all_finite";
    probe.bytes = 4 * values;
    probe.run = [&] { finite_ = AllFinite(v, count); };
    Measure(probe);
  }
}

void Grid::Print() const {
  if (settings_.json) {
    absl::PrintF("{\"machine\": \"%s\", \"flops_per_second\": %.4g, \"results\": [", MachineLine(),
                 roofs_.flops);
    for (const Finding& f : findings_) {
      absl::PrintF(
          "%s\n{\"kernel\": \"%s\", \"shape\": \"%s\", \"seconds\": %.4g, \"roof\": \"%s\", "
          "\"lanes\": %.4f, \"useful\": %.4f, \"slow\": %s}",
          &f == findings_.data() ? "" : ",", f.kernel, f.shape, f.seconds,
          f.by_memory ? "memory" : "FMA", f.lanes, f.useful,
          f.lanes < kThreshold ? "true" : "false");
    }
    absl::PrintF("\n]}\n");
    return;
  }
  absl::PrintF(
      "%s\n| kernel | shape | us | roof | lanes | useful | |\n|---|---|---|---|---|---|---|\n",
      MachineLine());
  for (const Finding& f : findings_) {
    absl::PrintF("| %s | %s | %.1f | %s | %.0f %% | %.0f %% | %s |\n", f.kernel, f.shape,
                 f.seconds * 1e6, f.by_memory ? "memory" : "FMA", f.lanes * 100, f.useful * 100,
                 f.lanes < kThreshold ? "slow" : "");
  }
}

namespace {

int Main(int argc, char** argv) {
  GridSettings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json") {
      settings.json = true;
    } else if (word == "--only" && i + 1 < argc) {
      settings.only = argv[++i];
    } else if (word == "--gflop" && i + 1 < argc) {
      settings.gflop_max = std::atof(argv[++i]);
    } else {
      std::fprintf(stderr, "usage: bench_kernel_grid [--json] [--only WORD] [--gflop LIMIT]\n");
      return 2;
    }
  }
  Require(kernels::InitSimd());
  Grid grid(settings);
  grid.Run();
  grid.Print();
  return 0;
}

}  // namespace
}  // namespace lockstep::kernels

int main(int argc, char** argv) { return lockstep::kernels::Main(argc, argv); }
