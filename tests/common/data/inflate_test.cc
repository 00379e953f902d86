#include "common/data/inflate.h"

#include "tests/common/data/data_testing.h"

namespace lockstep {
namespace {

using testing::GzipBytes;
using ::testing::HasSubstr;
using testing::MemoryFile;
using testing::StatusIs;

auto Damaged(const std::string& what) {
  return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(what));
}

// All that the reader gives, in reads of `piece_bytes`.
absl::StatusOr<std::string> ReadAll(absl::string_view gzip, size_t piece_bytes = 1000) {
  GzipReader reader(gzip);
  std::string all, piece(piece_bytes, '\0');
  for (;;) {
    const absl::StatusOr<size_t> count = reader.Read(absl::MakeSpan(piece));
    if (!count.ok()) return count.status();
    all += piece.substr(0, *count);
    if (*count < piece_bytes) return all;
  }
}

std::string SomeBytes(size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i * i >> 3));
  return bytes;
}

TEST(GzipReader, GivesTheBytesInPiecesOfAnySize) {
  const std::string bytes = SomeBytes(5000);
  const std::string gzip = GzipBytes(bytes);
  for (const size_t piece_bytes : {1u, 7u, 4999u, 5000u, 5001u}) {
    EXPECT_EQ(ReadAll(gzip, piece_bytes).value(), bytes) << piece_bytes;
  }
  EXPECT_EQ(ReadAll(GzipBytes("")).value(), "");
}

TEST(GzipReader, JoinsMembers) {
  const std::string gzip = GzipBytes("one, ") + GzipBytes("") + GzipBytes("two");
  EXPECT_EQ(ReadAll(gzip).value(), "one, two");
  EXPECT_EQ(ReadAll(gzip, 1).value(), "one, two");
  EXPECT_EQ(ReadAll(gzip, 5).value(), "one, two");
}

TEST(GzipReader, RefusesWhatFollowsTheLastMember) {
  const std::string gzip = GzipBytes("one");
  EXPECT_OK(ReadAll(gzip));
  EXPECT_THAT(ReadAll(gzip + "x"), Damaged("1 bytes follow the end of its gzip stream"));
  EXPECT_THAT(ReadAll(gzip + std::string(512, '\0')), Damaged("512 bytes follow"));
  EXPECT_THAT(ReadAll(gzip + "\x1f"), Damaged("1 bytes follow"));
  EXPECT_THAT(ReadAll(gzip + "\x1f\x8b"), Damaged("cut off"));
}

TEST(GzipReader, RefusesEveryTruncation) {
  const std::string gzip = GzipBytes(SomeBytes(500)) + GzipBytes("two");
  const size_t first_member = GzipBytes(SomeBytes(500)).size();
  for (size_t size = 0; size < gzip.size(); ++size) {
    if (size == first_member) continue;  // a whole file of its own
    EXPECT_FALSE(ReadAll(gzip.substr(0, size)).ok()) << size;
  }
  EXPECT_THAT(ReadAll(gzip.substr(0, gzip.size() - 1)),
              Damaged("is cut off after " + std::to_string(gzip.size() - 1) + " bytes"));
}

TEST(GzipReader, RefusesAWrongChecksumOrLength) {
  const std::string gzip = GzipBytes("hello");
  std::string crc = gzip, length = gzip, block = gzip;
  crc[gzip.size() - 8] ^= 1;
  length[gzip.size() - 4] ^= 1;
  block[10] |= 6;  // a type of block that does not exist
  EXPECT_OK(ReadAll(gzip));
  EXPECT_THAT(ReadAll(crc), Damaged("(incorrect data check)"));
  EXPECT_THAT(ReadAll(length), Damaged("(incorrect length check)"));
  EXPECT_THAT(ReadAll(block), Damaged("(invalid block type)"));
}

TEST(GzipReader, KnowsGzipByItsContent) {
  EXPECT_TRUE(IsGzip(GzipBytes("x")));
  EXPECT_TRUE(IsGzip("\x1f\x8b"));
  EXPECT_FALSE(IsGzip("\x1f"));
  EXPECT_FALSE(IsGzip("\x1f\x8c rest"));
  EXPECT_FALSE(IsGzip(""));
}

TEST(CheckPromise, RefusesMoreThanDeflateCanHold) {
  EXPECT_OK(CheckPromise(1000, 1'032'000));
  EXPECT_THAT(CheckPromise(1000, 1'033'032), Damaged("promises 1033032 bytes, more than 1000"));
  EXPECT_THAT(CheckPromise(100, int64_t{1} << 62), Damaged("promises"));
  // The best that zlib does stays below the bound.
  const std::string zeros(1 << 22, '\0');
  EXPECT_OK(CheckPromise(static_cast<int64_t>(GzipBytes(zeros).size()), 1 << 22));
}

absl::Status CopyGzip(absl::string_view gzip, int64_t bytes, MemoryFile& memory) {
  GzipReader reader(gzip);
  return CopyExactly(
      bytes, [&reader](absl::Span<char> piece) { return reader.Read(piece); }, memory);
}

TEST(CopyExactly, CopiesAsManyBytesAsPromised) {
  for (const size_t size :
       {1u, 1000u, 1u << 18, (1u << 18) + 1, 1'000'000u}) {  // pieces are of 2^18
    MemoryFile memory;
    EXPECT_OK(CopyGzip(GzipBytes(SomeBytes(size)), static_cast<int64_t>(size), memory));
    EXPECT_EQ(memory.written, SomeBytes(size));
  }
}

TEST(CopyExactly, RefusesMoreOrFewerAndWritesNoMore) {
  const std::string gzip = GzipBytes(SomeBytes(1000));
  MemoryFile fewer, more;
  EXPECT_THAT(CopyGzip(gzip, 1001, fewer),
              Damaged("holds 1000 bytes where its header promises 1001"));
  EXPECT_THAT(CopyGzip(gzip, 999, more), Damaged("holds more than the 999 bytes"));
  EXPECT_EQ(more.written, SomeBytes(999));
}

TEST(CopyExactly, SeesAWrongChecksumBehindTheLastByte) {
  std::string gzip = GzipBytes(SomeBytes(1000));
  gzip[gzip.size() - 5] ^= 1;
  MemoryFile memory;
  EXPECT_THAT(CopyGzip(gzip, 1000, memory), Damaged("incorrect data check"));
}

}  // namespace
}  // namespace lockstep
