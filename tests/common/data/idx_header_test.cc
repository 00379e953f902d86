#include "common/data/idx_header.h"

#include "tests/common/data/data_testing.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IdxBytes;
using testing::StatusIs;

absl::StatusOr<ArrayHeader> Parse(int type, const std::vector<uint32_t>& dims) {
  return ParseIdxHeader(IdxBytes(type, dims, ""));
}

auto Refused(absl::StatusCode code, const std::string& what) {
  return StatusIs(code, HasSubstr(what));
}
constexpr absl::StatusCode kDamaged = absl::StatusCode::kDataLoss;
constexpr absl::StatusCode kOther = absl::StatusCode::kFailedPrecondition;

// The header of MNIST's training images, byte by byte as its author documents it.
TEST(IdxHeader, ReadsMnists) {
  ASSERT_OK_AND_ASSIGN(
      const ArrayHeader header,
      ParseIdxHeader(absl::string_view("\0\0\x08\x03\0\0\xEA\x60\0\0\0\x1C\0\0\0\x1C", 16)));

  EXPECT_EQ(header.ToString(), "u8 (60000, 28, 28)");
  EXPECT_EQ(header.element.form, ElementForm::kNative);
  EXPECT_EQ(header.count(), 60000);
  EXPECT_EQ(header.sample_shape(), (Shape{28, 28}));
  EXPECT_EQ(header.header_bytes, 16);
  EXPECT_EQ(header.data_bytes, 47'040'000);
}

TEST(IdxHeader, KnowsItsSixTypesOnly) {
  EXPECT_EQ(Parse(0x08, {1})->ToString(), "u8 (1,)");
  EXPECT_EQ(Parse(0x09, {1})->ToString(), "i8 (1,)");
  EXPECT_EQ(Parse(0x0B, {1})->ToString(), "i16 (1,)");
  EXPECT_EQ(Parse(0x0C, {1})->ToString(), "i32 (1,)");
  EXPECT_EQ(Parse(0x0D, {1})->ToString(), "f32 (1,)");
  EXPECT_EQ(Parse(0x0E, {1})->ToString(), "f64 (1,)");
  EXPECT_EQ(Parse(0x0B, {1})->element.form, ElementForm::kSwapped);
  EXPECT_THAT(Parse(0x07, {1}), Refused(kOther, "type byte is 07; known are 08"));
  EXPECT_THAT(Parse(0x0A, {1}), Refused(kOther, "type byte is 0a"));
  EXPECT_THAT(Parse(0x0F, {1}), Refused(kOther, "type byte is 0f"));
}

TEST(IdxHeader, TakesOneToEightDimensions) {
  EXPECT_THAT(Parse(8, std::vector<uint32_t>(8, 2))->dims, ElementsAre(2, 2, 2, 2, 2, 2, 2, 2));
  EXPECT_EQ(Parse(8, {7})->sample_shape(), Shape());
  EXPECT_THAT(Parse(8, {}), Refused(kOther, "0 dimensions"));
  EXPECT_THAT(Parse(8, std::vector<uint32_t>(9, 2)), Refused(kOther, "9 dimensions"));
}

TEST(IdxHeader, TakesOneSampleAndRefusesNone) {
  EXPECT_EQ(Parse(8, {1, 1})->data_bytes, 1);
  EXPECT_THAT(Parse(8, {0, 1}), Refused(kOther, "shape (0, 1) has no elements"));
  EXPECT_THAT(Parse(8, {1, 0}), Refused(kOther, "shape (1, 0) has no elements"));
}

TEST(IdxHeader, RefusesMoreThan63BitsOfBytes) {
  EXPECT_EQ(Parse(8, {1u << 31, 1u << 31})->data_bytes, int64_t{1} << 62);
  EXPECT_THAT(Parse(0x0B, {1u << 31, 1u << 31}), Refused(kDamaged, "more than 2^63 bytes"));
  EXPECT_THAT(Parse(8, {~0u, ~0u, ~0u}), Refused(kDamaged, "more than 2^63 bytes"));
  // 2^63 - 1 elements fit, but not behind a header.
  EXPECT_THAT(Parse(8, {7, 7, 73, 127, 337, 92737, 649657}),
              Refused(kDamaged, "more than 2^63 bytes"));
}

TEST(IdxHeader, RefusesWhatIsNotIdx) {
  EXPECT_THAT(ParseIdxHeader("\x89PNG\r\n\x1a\n"),
              Refused(kOther, "starts with the bytes 89504e47"));
  EXPECT_THAT(ParseIdxHeader(absl::string_view("\0\1\x08\1\0\0\0\1", 8)),
              Refused(kOther, "00010801"));
}

TEST(IdxHeader, RefusesAHeaderThatEndsEarly) {
  const std::string bytes = IdxBytes(8, {5, 3}, "");
  EXPECT_OK(ParseIdxHeader(bytes));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(ParseIdxHeader(bytes.substr(0, size)),
                Refused(kDamaged, absl::StrCat("ends after ", size, " bytes")));
  }
}

}  // namespace
}  // namespace lockstep
