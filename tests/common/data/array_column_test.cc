#include "common/data/array_column.h"

#include "tests/common/data/data_testing.h"

namespace lockstep {
namespace {

using testing::BytesOf;
using ::testing::ElementsAre;
using testing::SampleOf;

class Text final : public MappedFile {
 public:
  Text(std::string text, bool* alive) : text_(std::move(text)), alive_(alive) { *alive_ = true; }
  ~Text() override { *alive_ = false; }
  absl::string_view bytes() const override { return text_; }

 private:
  const std::string text_;
  bool* const alive_;
};

// A column whose samples lie behind `front` bytes, hence on no alignment in general.
ArrayColumn ColumnOf(ElementType element, std::vector<int64_t> dims, const std::string& data,
                     size_t front = 0) {
  static bool alive = false;
  const auto owner = std::make_shared<Text>(std::string(front, '#') + data, &alive);
  const ArrayHeader header =
      MakeArrayHeader(element, std::move(dims), static_cast<int64_t>(front)).value();
  return ArrayColumn("x", header, owner->bytes(), owner);
}

template <typename T>
void ExpectBothByteOrders(kernels::SampleType type, T first, T second) {
  std::string native = BytesOf<T>({first, second, first});
  std::string swapped = native;
  for (auto at = swapped.begin(); at != swapped.end(); at += sizeof(T)) {
    std::reverse(at, at + sizeof(T));
  }
  for (const size_t front : {0u, 1u, 3u}) {
    const ArrayColumn plain = ColumnOf({type, ElementForm::kNative}, {3}, native, front);
    const ArrayColumn turned = ColumnOf({type, ElementForm::kSwapped}, {3}, swapped, front);
    EXPECT_EQ(plain.sample_bytes(), sizeof(T));
    EXPECT_THAT(SampleOf<T>(plain, 1), ElementsAre(second));
    EXPECT_THAT(SampleOf<T>(turned, 1), ElementsAre(second));
    EXPECT_THAT(SampleOf<T>(turned, 2), ElementsAre(first));
  }
}

TEST(ArrayColumn, ReadsEveryTypeInBothByteOrdersOnAnyAlignment) {
  ExpectBothByteOrders<uint16_t>(kernels::SampleType::kU16, 0x0102, 0xFFFE);
  ExpectBothByteOrders<int16_t>(kernels::SampleType::kI16, -2, 0x0102);
  ExpectBothByteOrders<int32_t>(kernels::SampleType::kI32, -2, 0x01020304);
  ExpectBothByteOrders<int64_t>(kernels::SampleType::kI64, -2, 0x0102030405060708);
  ExpectBothByteOrders<float>(kernels::SampleType::kF32, 0.1f, -3e-40f);
  ExpectBothByteOrders<double>(kernels::SampleType::kF64, 0.1, -3e-310);
}

TEST(ArrayColumn, ReadsBytesAndTruthValues) {
  const std::string bytes = {0, 1, 2, '\xFF'};
  EXPECT_THAT(SampleOf<int>(ColumnOf({kernels::SampleType::kU8}, {1, 4}, bytes), 0).size(), 1);
  EXPECT_THAT(SampleOf<uint8_t>(ColumnOf({kernels::SampleType::kU8}, {1, 4}, bytes), 0),
              ElementsAre(0, 1, 2, 255));
  EXPECT_THAT(SampleOf<int8_t>(ColumnOf({kernels::SampleType::kI8}, {1, 4}, bytes), 0),
              ElementsAre(0, 1, 2, -1));
  EXPECT_THAT(SampleOf<uint8_t>(
                  ColumnOf({kernels::SampleType::kU8, ElementForm::kTruth}, {1, 4}, bytes), 0),
              ElementsAre(0, 1, 1, 1));
}

TEST(ArrayColumn, CountsSamplesAlongTheFirstDimension) {
  const ArrayColumn column = ColumnOf({kernels::SampleType::kU8}, {2, 3, 1}, "abcdef");

  EXPECT_EQ(column.count(), 2);
  EXPECT_EQ(column.field(), (DataField{"x", kernels::SampleType::kU8, {3, 1}}));
  EXPECT_THAT(SampleOf<char>(column, 1), ElementsAre('d', 'e', 'f'));
  EXPECT_THAT(SampleOf<char>(column, 0), ElementsAre('a', 'b', 'c'));
}

TEST(ArrayColumn, KeepsItsFileOpen) {
  bool alive = false;
  auto owner = std::make_shared<Text>("abc", &alive);
  {
    const ArrayHeader header = MakeArrayHeader({kernels::SampleType::kU8}, {3}, 0).value();
    const ArrayColumn column("x", header, owner->bytes(), owner);
    owner.reset();
    EXPECT_TRUE(alive);
  }
  EXPECT_FALSE(alive);
}

}  // namespace
}  // namespace lockstep
