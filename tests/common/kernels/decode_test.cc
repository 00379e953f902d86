#include "common/kernels/decode.h"

#include "gtest/gtest.h"

#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

using Decoding = SimdTest;
LOCKSTEP_EVERY_SIMD(Decoding);

// Values over the whole range of T: float(x) * scale + offset with one rounding after the
// conversion's.
template <class T>
void ExpectDecoded(SampleType type) {
  ASSERT_EQ(SampleTypeBytes(type), static_cast<int64_t>(sizeof(T)));
  const SlotLayout layout{.shard_slots = 8, .shards = {.positions = 5, .count = {5, 2, 0, 4}}};
  const int64_t features = 259;
  std::mt19937_64 generator(1);
  std::vector<T> rows(static_cast<size_t>(layout.blocks() * kBlockLanes * features));
  for (T& value : rows) value = static_cast<T>(static_cast<int64_t>(generator()) / 3);
  std::vector<float> expected;
  for (const int64_t slot : layout.slots()) {
    for (int64_t f = 0; f < features; ++f) {
      const T value = rows[static_cast<size_t>(slot * features + f)];
      expected.push_back(std::fma(static_cast<float>(value), 1.0f / 255, -0.5f));
    }
  }
  Blocks y = NanBlocks(layout.blocks() * features * kBlockLanes);
  const DecodeArgs args{layout.blocks(), features,   layout.map(), type,
                        rows.data(),     1.0f / 255, -0.5f,        y.data()};
  RunInPieces(DecodeUnits(args), 2, [&](UnitRange units) { Decode(args, units); });
  EXPECT_TRUE(SameBits(Unpack(layout, features, y), expected));
  int64_t zeros = 0;
  for (const float value : y) zeros += std::bit_cast<uint32_t>(value) == 0;
  EXPECT_GE(zeros, (layout.blocks() * kBlockLanes - 11) * features)
      << "slots without a sample are +0";
}

TEST_P(Decoding, RoundsEveryTypeToFloatThenScalesWithOneFma) {
  ExpectDecoded<uint8_t>(SampleType::kU8);
  ExpectDecoded<int8_t>(SampleType::kI8);
  ExpectDecoded<uint16_t>(SampleType::kU16);
  ExpectDecoded<int16_t>(SampleType::kI16);
  ExpectDecoded<int32_t>(SampleType::kI32);
  ExpectDecoded<int64_t>(SampleType::kI64);
  ExpectDecoded<float>(SampleType::kF32);
  ExpectDecoded<double>(SampleType::kF64);
}

}  // namespace
}  // namespace lockstep::kernels
