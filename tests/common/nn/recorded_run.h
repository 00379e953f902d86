// RecordedRun: what a test has recorded into a StepBuilder, run call by call on memory of its own.
// For parts that are smaller than a model; tests/conformance runs whole ones.
#ifndef LOCKSTEP_TESTS_COMMON_NN_RECORDED_RUN_H_
#define LOCKSTEP_TESTS_COMMON_NN_RECORDED_RUN_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <vector>

#include "common/base/check.h"
#include "common/nn/step_builder.h"

namespace lockstep::testing {

// Every buffer holds NaN until somebody writes it.
class RecordedRun final : public Binder {
 public:
  explicit RecordedRun(const StepBuilder& builder) : builder_(builder) {}

  void Fill(Slice slice, const std::vector<float>& values) {
    float* const out = At(slice);
    for (size_t k = 0; k < values.size(); ++k) out[k] = values[k];
  }
  std::vector<float> Values(Slice slice, int64_t count) const {
    const float* const first = At(slice);
    return {first, first + count};
  }
  void Run() {
    for (const StepBuilder::Entry& entry : builder_.entries()) {
      LOCKSTEP_CHECK(entry.kind == StepBuilder::Entry::Kind::kCall);
      const BoundCall call = entry.bind(*this);
      call.run({0, call.units});
    }
  }

 protected:
  void* Resolve(Slice slice) const override {
    const auto buffer = static_cast<size_t>(slice.buffer - StepBuilder::kTemporaryBase);
    Buffer& place = buffers_[buffer];
    if (place.data == nullptr) {
      const auto count = static_cast<size_t>(builder_.buffer_bytes()[buffer]) / sizeof(float) + 1;
      place.data.reset(static_cast<float*>(
          ::operator new (count * sizeof(float), std::align_val_t{kAlignBytes})));
      for (size_t k = 0; k < count; ++k) {
        place.data.get()[k] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    return reinterpret_cast<std::byte*>(place.data.get()) + slice.offset_bytes;
  }

 private:
  static constexpr size_t kAlignBytes = 64;
  struct Release {
    void operator()(float* data) const { ::operator delete (data, std::align_val_t{kAlignBytes}); }
  };
  struct Buffer {
    std::unique_ptr<float, Release> data;
  };

  const StepBuilder& builder_;
  mutable std::map<size_t, Buffer> buffers_;
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_COMMON_NN_RECORDED_RUN_H_
