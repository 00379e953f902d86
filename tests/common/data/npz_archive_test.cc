#include "common/data/npz_archive.h"

#include "common/base/status_macros.h"
#include "tests/common/data/npz_testing.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MemoryFile;
using testing::NpyBytes;
using testing::StatusIs;
using testing::ZipBytes;
using testing::ZipForm;
using testing::ZipMember;

auto Refused(absl::StatusCode code, const std::string& what) {
  return StatusIs(code, HasSubstr(what));
}
constexpr absl::StatusCode kDamaged = absl::StatusCode::kDataLoss;
constexpr absl::StatusCode kOther = absl::StatusCode::kFailedPrecondition;

const std::string& Abc() {
  static const std::string* const bytes = new std::string(NpyBytes("'|u1'", "(3,)", "abc"));
  return *bytes;
}

// What becomes of the array x of an archive with just this member.
absl::StatusOr<NpzArchive::Array> FindIn(const ZipMember& member) {
  const std::string bytes = ZipBytes({member});
  LOCKSTEP_ASSIGN_OR_RETURN(const NpzArchive archive, NpzArchive::Open(bytes));
  absl::StatusOr<NpzArchive::Array> array = archive.Find("x");
  if (array.ok()) array->bytes = {};  // those of `bytes`, which end here
  return array;
}

// Its bytes, through Copy.
absl::StatusOr<std::string> CopyFrom(const ZipMember& member) {
  const std::string bytes = ZipBytes({member});
  LOCKSTEP_ASSIGN_OR_RETURN(const NpzArchive archive, NpzArchive::Open(bytes));
  LOCKSTEP_ASSIGN_OR_RETURN(const NpzArchive::Array array, archive.Find("x"));
  MemoryFile memory;
  LOCKSTEP_RETURN_IF_ERROR(archive.Copy(array, memory));
  return memory.written;
}

TEST(NpzArchive, ListsItsArraysByName) {
  const std::string bytes =
      ZipBytes({{"y.npy", Abc()}, {"x.npy", Abc(), 8}, {"other", Abc()}, {"folder/z.npy", Abc()}});
  ASSERT_OK_AND_ASSIGN(const NpzArchive archive, NpzArchive::Open(bytes));

  EXPECT_THAT(archive.names(), ElementsAre("folder/z", "other", "x", "y"));
  EXPECT_OK(archive.Find("x"));
  EXPECT_OK(archive.Find("x.npy"));
  EXPECT_OK(archive.Find("other"));
  EXPECT_THAT(archive.Find("z"), Refused(absl::StatusCode::kNotFound, "no array 'z'"));
}

TEST(NpzArchive, FindsUncompressedBytesWhereTheyLie) {
  // A local header may be longer than the list of the archive says.
  const std::string extra("\xFE\xCA\x04\0four", 8);
  for (const ZipForm& form : {ZipForm{}, ZipForm{.gap = extra}, ZipForm{.front = "12345"}}) {
    const std::string bytes = ZipBytes({{"a.npy", Abc()}, {"x.npy", Abc()}}, form);
    ASSERT_OK_AND_ASSIGN(const NpzArchive archive, NpzArchive::Open(bytes));

    ASSERT_OK_AND_ASSIGN(const NpzArchive::Array array, archive.Find("x"));

    EXPECT_EQ(array.bytes, Abc());
    EXPECT_EQ(array.bytes.data(), bytes.data() + bytes.rfind(Abc()));
  }
}

TEST(NpzArchive, CopiesCompressedAndUncompressedBytes) {
  EXPECT_EQ(CopyFrom({"x.npy", Abc(), 8}).value(), Abc());
  EXPECT_EQ(CopyFrom({"x.npy", Abc(), 0}).value(), Abc());
  const std::string large = NpyBytes("'|u1'", "(1000000,)", std::string(1'000'000, 'x'));
  EXPECT_EQ(CopyFrom({"x.npy", large, 8}).value(), large);
  EXPECT_EQ(FindIn({"x.npy", large, 8})->header.ToString(), "u8 (1000000,)");
}

TEST(NpzArchive, ReadsSixtyFourBitArchives) {
  const std::string bytes =
      ZipBytes({{"a.npy", Abc()}, {"x.npy", Abc()}, {"y.npy", Abc(), 8}}, {.zip64 = true});
  ASSERT_OK_AND_ASSIGN(const NpzArchive archive, NpzArchive::Open(bytes));

  ASSERT_OK_AND_ASSIGN(const NpzArchive::Array x, archive.Find("x"));
  ASSERT_OK_AND_ASSIGN(const NpzArchive::Array y, archive.Find("y"));

  MemoryFile memory;
  EXPECT_EQ(x.bytes, Abc());
  EXPECT_OK(archive.Copy(y, memory));
  EXPECT_EQ(memory.written, Abc());
}

TEST(NpzArchive, RefusesWhatIsNoArchive) {
  EXPECT_THAT(NpzArchive::Open(Abc()), Refused(kOther, "a single array (.npy); save it with"));
  EXPECT_THAT(NpzArchive::Open("x"), Refused(kOther, "no zip archive"));
  EXPECT_THAT(NpzArchive::Open(ZipBytes({{"x.npy", Abc()}}).substr(0, 100)),
              Refused(kDamaged, "list of arrays cannot be read"));
  EXPECT_OK(NpzArchive::Open(ZipBytes({})));
}

TEST(NpzArchive, RefusesMoreMembersThanItsListHolds) {
  for (const uint64_t count : {uint64_t{2}, uint64_t{60'000}, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_THAT(NpzArchive::Open(ZipBytes({{"x.npy", Abc()}}, {.count = count, .zip64 = true})),
                Refused(kDamaged, "list of arrays cannot be read"))
        << count;
  }
}

TEST(NpzArchive, RefusesNamesOfPathsAndNamesTwice) {
  const auto open = [](const std::vector<ZipMember>& members) {
    return NpzArchive::Open(ZipBytes(members)).status();
  };
  EXPECT_OK(open({{"a/x.npy", Abc()}, {"b..npy", Abc()}}));
  EXPECT_THAT(open({{"/x.npy", Abc()}}), Refused(kOther, "'/x.npy' with the name of a path"));
  EXPECT_THAT(open({{"../x.npy", Abc()}}), Refused(kOther, "name of a path"));
  EXPECT_THAT(open({{"a/../x.npy", Abc()}}), Refused(kOther, "name of a path"));
  EXPECT_THAT(open({{"a\\..\\x.npy", Abc()}}), Refused(kOther, "name of a path"));
  EXPECT_THAT(open({{"x.npy", Abc()}, {"x.npy", Abc()}}), Refused(kOther, "two members 'x.npy'"));
}

TEST(NpzArchive, RefusesEncryptionAndOtherMethods) {
  EXPECT_OK(FindIn({"x.npy", Abc()}));
  EXPECT_THAT(FindIn({"x.npy", Abc(), 0, /*flags=*/1}), Refused(kOther, "is encrypted"));
  EXPECT_THAT(FindIn({"x.npy", Abc(), /*method=*/12}), Refused(kOther, "with method 12"));
  EXPECT_THAT(FindIn({"x.npy", Abc(), /*method=*/9}), Refused(kOther, "np.savez_compressed"));
}

TEST(NpzArchive, RefusesSizesThatDoNotAgree) {
  const uint64_t size = Abc().size();
  EXPECT_THAT(FindIn({.name = "x.npy", .data = Abc(), .bytes = size + 1}),
              Refused(kDamaged, "uncompressed bytes stored in"));
  EXPECT_THAT(FindIn({"x.npy", Abc() + "d"}),
              Refused(kDamaged, absl::StrCat("has ", size + 1, " bytes; u8 (3,) after a header of ",
                                             size - 3, " makes ", size)));
  EXPECT_THAT(FindIn({"x.npy", Abc().substr(0, size - 1)}), Refused(kDamaged, "bytes; u8 (3,)"));
  EXPECT_THAT(FindIn({"x.npy", Abc() + "d", 8}), Refused(kDamaged, "bytes; u8 (3,)"));
  EXPECT_THAT(FindIn({"x.npy", ""}), Refused(kDamaged, "does not start as an array"));
}

// A bomb is one in its header and its list entry alike, or is seen before anything is inflated.
TEST(NpzArchive, RefusesMoreBytesThanTheCompressedOnesCanHold) {
  const std::string bomb = NpyBytes("'|u1'", "(100000000000,)", "x");
  EXPECT_THAT(FindIn({.name = "x.npy", .data = bomb, .method = 8, .bytes = 100'000'000'000}),
              Refused(kDamaged, "promises"));
}

TEST(NpzArchive, RefusesDamageInTheCompressedBytes) {
  const uint64_t size = Abc().size();
  EXPECT_OK(CopyFrom({"x.npy", Abc(), 8}));
  EXPECT_THAT(CopyFrom({.name = "x.npy", .data = Abc(), .method = 8, .crc = 1}),
              Refused(kDamaged, "CRC"));
  EXPECT_THAT(CopyFrom({.name = "x.npy", .data = Abc(), .method = 0, .crc = 1}),
              Refused(kDamaged, "CRC"));
  // The stream holds one byte less, or one more, than header and list entry agree on.
  EXPECT_THAT(
      CopyFrom({.name = "x.npy", .data = Abc().substr(0, size - 1), .method = 8, .bytes = size}),
      Refused(kDamaged, "it "));
  EXPECT_THAT(CopyFrom({.name = "x.npy", .data = Abc() + "d", .method = 8, .bytes = size}),
              Refused(kDamaged, "it "));
}

}  // namespace
}  // namespace lockstep
