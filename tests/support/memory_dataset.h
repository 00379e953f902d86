// MemoryDataset: samples made by a test, column by column.
#ifndef LOCKSTEP_TESTS_SUPPORT_MEMORY_DATASET_H_
#define LOCKSTEP_TESTS_SUPPORT_MEMORY_DATASET_H_

#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/philox.h"
#include "common/data/dataset.h"

namespace lockstep::testing {

template <typename T>
constexpr kernels::SampleType SampleTypeOf() {
  if constexpr (std::is_same_v<T, uint8_t>) return kernels::SampleType::kU8;
  if constexpr (std::is_same_v<T, int32_t>) return kernels::SampleType::kI32;
  if constexpr (std::is_same_v<T, int64_t>) return kernels::SampleType::kI64;
  if constexpr (std::is_same_v<T, float>) return kernels::SampleType::kF32;
  return kernels::SampleType::kF64;
}

template <typename T>
class MemoryColumn final : public Column {
 public:
  MemoryColumn(const std::string& name, const Shape& shape, std::vector<T> values)
      : Column({name, SampleTypeOf<T>(), shape},
               static_cast<int64_t>(values.size()) / shape.elements()),
        values_(std::move(values)) {}

  absl::Status Read(int64_t index, std::byte* out) const override {
    std::memcpy(out, values_.data() + index * field().shape.elements(),
                static_cast<size_t>(sample_bytes()));
    return absl::OkStatus();
  }
  std::vector<T>& values() { return values_; }

 private:
  std::vector<T> values_;
};

template <typename T>
std::unique_ptr<Column> MakeColumn(const std::string& name, const Shape& shape,
                                   std::vector<T> values) {
  return std::make_unique<MemoryColumn<T>>(name, shape, std::move(values));
}

// Floats in [-1, 1), a function of seed and place.
inline std::vector<float> RandomFloats(int64_t count, uint32_t seed) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(UniformOf(Philox({static_cast<uint32_t>(i), seed, 0, 0}, 99)[0]) * 2 - 1);
  }
  return values;
}

// Labels in [0, classes).
inline std::vector<int64_t> RandomLabels(int64_t count, int64_t classes, uint32_t seed) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    labels.push_back(Philox({static_cast<uint32_t>(i), seed, 1, 0}, 99)[0] % classes);
  }
  return labels;
}

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_MEMORY_DATASET_H_
