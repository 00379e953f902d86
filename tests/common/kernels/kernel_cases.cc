#include "tests/common/kernels/kernel_cases.h"

#include <bit>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace lockstep::kernels {
namespace {

uint32_t HashOf(absl::Span<const uint8_t> bytes) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const uint8_t byte : bytes) hash = (hash ^ byte) * 16777619u;
  return hash;
}

constexpr float kSpecials[] = {0.0f,
                               -0.0f,
                               std::numeric_limits<float>::quiet_NaN(),
                               std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::denorm_min(),
                               -0x1.8p-130f,
                               0x1p-126f,
                               std::numeric_limits<float>::max(),
                               -std::numeric_limits<float>::max(),
                               1.0f,
                               0x1.fffffep-1f};

}  // namespace

Choices::Choices(absl::Span<const uint8_t> bytes) : bytes_(bytes), random_(HashOf(bytes)) {}

uint32_t Choices::Next() {
  if (bytes_.empty()) return static_cast<uint32_t>(random_());
  // One byte decides; the bits above it come from the rest, so that seeds differ too.
  const uint32_t next = bytes_[0];
  bytes_.remove_prefix(1);
  return next | (HashOf(bytes_) << 8);
}

std::vector<float> Choices::Values(int64_t count) {
  const int64_t kind = Below(6);
  std::mt19937 generator(Next());
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    const float u = uniform(generator);
    value = kind == 2   ? std::round(u * 3)
            : kind == 4 ? std::ldexp(u, -120 - static_cast<int>(generator() % 28))
            : kind == 5 ? std::ldexp(u, 55 + static_cast<int>(generator() % 73))
                        : u;
    if (kind == 3 && generator() % 16 == 0) value = kSpecials[generator() % std::size(kSpecials)];
  }
  return values;
}

SlotLayout Choices::Slots() {
  SlotLayout layout;
  layout.shard_slots = static_cast<int32_t>(Of<int64_t>({1, 2, 4, 8, 16, 16, 32, 48}));
  layout.shards.positions = static_cast<int32_t>(From(1, layout.shard_slots));
  const int64_t shards = From(1, layout.shard_slots > 16 ? 3 : 9);
  for (int64_t s = 0; s < shards; ++s) {
    const int32_t most = layout.shards.positions;
    layout.shards.count.push_back(Below(3) == 0 ? static_cast<int32_t>(From(0, most)) : most);
  }
  return layout;
}

SubtreeRange Choices::Subtree(const SlotLayout& layout) {
  const auto shards = static_cast<int64_t>(layout.shards.count.size());
  int64_t size = 1;
  while (size * 2 <= shards && Below(4) != 0) size *= 2;
  return {static_cast<int32_t>(Below(shards / size) * size), static_cast<int32_t>(size)};
}

SubtreeSamples SamplesOf(const SlotLayout& layout, const SubtreeRange& subtree) {
  SubtreeSamples samples{.shards = {.positions = layout.shards.positions, .count = {}}};
  for (int32_t s = 0; s < subtree.first_shard + subtree.shards; ++s) {
    const int32_t count = layout.shards.count[static_cast<size_t>(s)];
    if (s < subtree.first_shard) samples.before += count;
    if (s >= subtree.first_shard) samples.shards.count.push_back(count);
  }
  return samples;
}

Difference Compare(absl::string_view what, const std::vector<float>& actual,
                   const std::vector<float>& expected) {
  const ::testing::AssertionResult same = SameBits(actual, expected);
  return same ? "" : absl::StrCat(what, ": ", same.message());
}

Difference Untouched(absl::string_view what, bool intact) {
  return intact ? "" : absl::StrCat(what, ": bytes beside the buffer were written");
}

Difference OnEveryTarget(const std::function<Difference()>& body) {
  for (const absl::string_view target : SupportedSimd()) {
    const ScopedSimdForTest forced(target);
    const Difference difference = body();
    if (!difference.empty()) return absl::StrCat(target, ": ", difference);
  }
  return "";
}

Difference FirstOf(std::initializer_list<Difference> all) {
  for (const Difference& difference : all) {
    if (!difference.empty()) return difference;
  }
  return "";
}

std::vector<KernelCase> AllKernelCases() {
  std::vector<KernelCase> all;
  for (const auto& room : {DenseCases(), Conv2dCases(), PoolingCases(), BatchNormCases(),
                           ElementCases(), LossCases()}) {
    all.insert(all.end(), room.begin(), room.end());
  }
  return all;
}

}  // namespace lockstep::kernels
