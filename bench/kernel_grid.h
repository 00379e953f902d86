// The grid of bench_kernel_grid: kernels on shapes, measured against their own roofs. Thread: one.
// Errors: none; a bench that cannot run ends the process.
#ifndef LOCKSTEP_BENCH_KERNEL_GRID_H_
#define LOCKSTEP_BENCH_KERNEL_GRID_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/harness.h"
#include "common/kernels/block.h"
#include "common/kernels/conv2d.h"
#include "common/tensor/arena.h"
#include "worker/profile/roofs.h"

namespace lockstep::kernels {

struct GridSettings {
  bool json = false;
  std::string only;
  double gflop_max = 1.0;  // of one call
};

// One kernel on one shape.
struct Probe {
  std::string kernel, shape;
  int64_t samples = 0, slots = 0;  // useful ones among those computed; 0: not by sample
  double flops = 0, bytes = 0;     // of all slots
  std::function<void()> run;
};

struct Finding {
  std::string kernel, shape;
  double seconds = 0, lanes = 0, useful = 0;
  bool by_memory = false;
};

// Values between -1 and 1, enough for the largest operand, cut into operands from its start.
class Memory {
 public:
  explicit Memory(int64_t floats) {
    absl::StatusOr<std::unique_ptr<Arena>> arena = Arena::Create(floats * 4);
    bench::Require(arena.status());
    arena_ = *std::move(arena);
    floats_ = reinterpret_cast<float*>(arena_->data());
    uint32_t state = 1;
    for (int64_t k = 0; k < floats; ++k) {
      state = state * 1664525 + 1013904223;
      floats_[k] = static_cast<float>(state >> 8) * 0x1p-23f - 1;
    }
    count_ = floats;
  }
  void Restart() { used_ = 0; }
  bool Fits(int64_t floats) const { return used_ + floats <= count_; }
  float* Take(int64_t floats) {
    float* const first = floats_ + used_;
    used_ += (floats + 15) / 16 * 16;
    if (used_ > count_)
      bench::Require(absl::ResourceExhaustedError("the grid's memory is too small"));
    return first;
  }

 private:
  std::unique_ptr<Arena> arena_;
  float* floats_ = nullptr;
  int64_t count_ = 0, used_ = 0;
};

class Grid {
 public:
  explicit Grid(const GridSettings& settings) : settings_(settings), memory_(int64_t{96} << 20) {
    absl::StatusOr<lockstep::Roofs> roofs = MeasureRoofs(1, RoofEffort::kThorough);
    bench::Require(roofs.status());
    roofs_ = *std::move(roofs);
  }

  void Run() {
    for (const int64_t batch : {1, 7, 33}) {
      Slots(batch);
      for (const int64_t channels : {1, 3, 10, 50, 100}) {
        for (const int64_t image : {5, 13, 28, 64, 224}) Images(image, channels);
        DenseLayers(channels);
      }
    }
    Flat();
  }
  void Print() const;

 private:
  // The slots of a batch in one shard.
  void Slots(int64_t batch) {
    samples_ = batch;
    blocks_ = (batch + kBlockLanes - 1) / kBlockLanes;
    shard_count_ = static_cast<int32_t>(batch);
    const auto slots = static_cast<int32_t>(blocks_ * kBlockLanes);
    slots_ = {static_cast<int32_t>(blocks_), 1, slots, static_cast<int32_t>(batch), &shard_count_};
  }
  double slots() const { return static_cast<double>(blocks_ * kBlockLanes); }
  void Measure(const Probe& probe);
  void Images(int64_t image, int64_t channels);
  void Convolution(const Conv2dGeometry& g, const std::string& shape);
  void Pooling(int64_t image, int64_t channels, const std::string& shape);
  void Normalization(int64_t positions, int64_t channels, const std::string& shape);
  void DenseLayers(int64_t inputs);
  void Elements(int64_t features, const std::string& shape);
  void Flat();

  const GridSettings settings_;
  Memory memory_;
  lockstep::Roofs roofs_;
  int64_t samples_ = 0, blocks_ = 0;
  int32_t shard_count_ = 0;
  SlotMap slots_;
  std::vector<Finding> findings_;
  volatile bool finite_ = false;  // keeps the work from being left out
};

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_BENCH_KERNEL_GRID_H_
