#include "common/data/npy_header.h"

#include "tests/common/data/npz_testing.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::NpyBytes;
using testing::NpyWithDict;
using testing::StatusIs;

absl::StatusOr<ArrayHeader> ParseDict(absl::string_view dict) {
  return ParseNpyHeader(NpyWithDict(dict));
}
absl::StatusOr<ArrayHeader> ParseDescr(absl::string_view descr) {
  return ParseNpyHeader(NpyBytes(absl::StrCat("'", descr, "'"), "(3,)", ""));
}
absl::StatusOr<ArrayHeader> ParseShape(absl::string_view shape) {
  return ParseNpyHeader(NpyBytes("'<f4'", shape, ""));
}

auto Refused(absl::StatusCode code, const std::string& what) {
  return StatusIs(code, HasSubstr(what));
}
constexpr absl::StatusCode kDamaged = absl::StatusCode::kDataLoss;
constexpr absl::StatusCode kOther = absl::StatusCode::kFailedPrecondition;

// NumPy 1.24.2: np.save(f, np.array([[1, 2], [3, 4]], np.float32)), up to the elements.
TEST(NpyHeader, ReadsNumPysOwn) {
  const std::string bytes = absl::StrCat(
      absl::string_view("\x93NUMPY\x01\0\x76\0", 10),
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", std::string(58, ' '), "\n");
  ASSERT_EQ(bytes.size(), 128);

  ASSERT_OK_AND_ASSIGN(const ArrayHeader header, ParseNpyHeader(bytes));

  EXPECT_EQ(header.ToString(), "f32 (2, 2)");
  EXPECT_EQ(header.element.form, ElementForm::kNative);
  EXPECT_EQ(header.header_bytes, 128);
  EXPECT_EQ(header.data_bytes, 16);
}

TEST(NpyHeader, KnowsItsTypesInBothByteOrders) {
  const std::pair<absl::string_view, absl::string_view> kWide[] = {
      {"u2", "u16"}, {"i2", "i16"}, {"i4", "i32"}, {"i8", "i64"}, {"f4", "f32"}, {"f8", "f64"}};
  for (const auto& [code, name] : kWide) {
    const std::string text = absl::StrCat(name, " (3,)");
    EXPECT_EQ(ParseDescr(absl::StrCat("<", code))->ToString(), text);
    EXPECT_EQ(ParseDescr(absl::StrCat("<", code))->element.form, ElementForm::kNative);
    EXPECT_EQ(ParseDescr(absl::StrCat("=", code))->element.form, ElementForm::kNative);
    EXPECT_EQ(ParseDescr(absl::StrCat(">", code))->ToString(), text);
    EXPECT_EQ(ParseDescr(absl::StrCat(">", code))->element.form, ElementForm::kSwapped);
    EXPECT_THAT(ParseDescr(absl::StrCat("|", code)), Refused(kOther, "has the dtype"));
    EXPECT_THAT(ParseDescr(code), Refused(kOther, "has the dtype"));
  }
}

TEST(NpyHeader, KnowsItsBytesInAnyOrder) {
  for (const absl::string_view order : {"|", "<", ">", "="}) {
    EXPECT_EQ(ParseDescr(absl::StrCat(order, "u1"))->ToString(), "u8 (3,)");
    EXPECT_EQ(ParseDescr(absl::StrCat(order, "i1"))->ToString(), "i8 (3,)");
    EXPECT_EQ(ParseDescr(absl::StrCat(order, "u1"))->element.form, ElementForm::kNative);
  }
  EXPECT_EQ(ParseDescr("|b1")->ToString(), "u8 (3,)");
  EXPECT_EQ(ParseDescr("|b1")->element.form, ElementForm::kTruth);
  EXPECT_THAT(ParseDescr("u1"), Refused(kOther, "has the dtype 'u1'"));
}

TEST(NpyHeader, SaysHowToSaveWhatIsNotRead) {
  EXPECT_THAT(ParseDescr("|O"), Refused(kOther, "pickled objects are never read"));
  EXPECT_THAT(ParseDescr("|O"), Refused(kOther, "np.savez(path, x=np.stack(x)"));
  EXPECT_THAT(ParseDescr("<c8"), Refused(kOther, "save x.real and x.imag"));
  EXPECT_THAT(ParseDescr("<f2"), Refused(kOther, "x.astype(np.float32)"));
  EXPECT_THAT(ParseDescr("<u4"), Refused(kOther, "x.astype(np.int64)"));
  EXPECT_THAT(ParseDescr("<u8"), Refused(kOther, "'<u8'; read are b1, u1, i1, u2, i2, i4, i8"));
  EXPECT_THAT(ParseDescr("<U5"), Refused(kOther, "'<U5'"));
  EXPECT_THAT(ParseDescr("<M8[ns]"), Refused(kOther, "'<M8[ns]'"));
  EXPECT_THAT(ParseDescr("<f3"), Refused(kOther, "'<f3'"));
  EXPECT_THAT(ParseDescr(""), Refused(kOther, "''"));
  EXPECT_THAT(ParseDict("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}\n"),
              Refused(kOther, "structured dtype; save each field"));
  EXPECT_THAT(ParseDict("{'descr': '<f4', 'fortran_order': True, 'shape': (3,)}\n"),
              Refused(kOther, "np.ascontiguousarray"));
}

TEST(NpyHeader, ReadsShapesAsPythonWritesThem) {
  EXPECT_THAT(ParseShape("(3,)")->dims, ElementsAre(3));
  EXPECT_THAT(ParseShape("( 3 , )")->dims, ElementsAre(3));
  EXPECT_THAT(ParseShape("(3, 28, 28)")->dims, ElementsAre(3, 28, 28));
  EXPECT_THAT(ParseShape("(3,28,28,)")->dims, ElementsAre(3, 28, 28));
  EXPECT_THAT(ParseShape("()"), Refused(kOther, "holds one number"));
  for (const absl::string_view wrong :
       {"(3)", "(,)", "(3,,4)", "(3 4)", "(-3,)", "(+3,)", "(03,)", "(3L,)", "(3.0,)", "[3]", "3",
        "(3,", "(0x3,)", "(9223372036854775808,)", "(len('abc'),)"}) {
    EXPECT_THAT(ParseShape(wrong), Refused(kDamaged, "of its header is not")) << wrong;
  }
}

TEST(NpyHeader, BoundsItsShape) {
  const auto shape_of = [](int ndim) {
    std::string shape = "(";
    for (int i = 0; i < ndim; ++i) shape += "1,";
    return shape + ")";
  };
  EXPECT_EQ(ParseShape(shape_of(32))->dims.size(), 32);
  EXPECT_THAT(ParseShape(shape_of(33)), Refused(kOther, "more than 32 dimensions"));
  EXPECT_OK(ParseShape("(1, 1)"));
  EXPECT_THAT(ParseShape("(0, 1)"), Refused(kOther, "shape (0, 1) has no elements"));
  EXPECT_THAT(ParseShape("(1, 0)"), Refused(kOther, "shape (1, 0) has no elements"));
  EXPECT_OK(ParseShape("(1152921504606846976,)"));
  EXPECT_THAT(ParseShape("(2305843009213693952,)"), Refused(kDamaged, "more than 2^63"));
  EXPECT_THAT(ParseShape("(4294967296, 4294967296)"), Refused(kDamaged, "more than 2^63"));
}

TEST(NpyHeader, TakesTheDictInPythonsFormOnly) {
  EXPECT_OK(ParseDict("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"));
  EXPECT_OK(ParseDict("{\"shape\":(3,),\"fortran_order\":False,\"descr\":\"<f4\",}   \n"));
  for (const absl::string_view wrong :
       {"", "{", "[]", "{}", "\n", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': false, 'shape': (3,)}",
        "{'descr': <f4, 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}}",
        "dict(descr='<f4', fortran_order=False, shape=(3,))"}) {
    EXPECT_THAT(ParseDict(wrong), Refused(kDamaged, "its header")) << wrong;
  }
}

TEST(NpyHeader, TakesItsThreeKeysOnce) {
  EXPECT_THAT(ParseDict("{'descr': '<f4', 'descr': '<f4', 'shape': (3,)}"),
              Refused(kDamaged, "the key 'descr' twice"));
  EXPECT_THAT(ParseDict("{'order': False, 'shape': (3,)}"),
              Refused(kDamaged, "the key 'order'; it takes descr, fortran_order and shape"));
  EXPECT_THAT(ParseDict("{'descr': '<f4', 'shape': (3,)}"),
              Refused(kDamaged, "lacks one of descr, fortran_order and shape"));
}

TEST(NpyHeader, ReadsVersionsOneToThree) {
  constexpr absl::string_view kDict = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n";
  EXPECT_EQ(ParseNpyHeader(NpyWithDict(kDict, 1))->header_bytes, 10 + kDict.size());
  EXPECT_EQ(ParseNpyHeader(NpyWithDict(kDict, 2))->header_bytes, 12 + kDict.size());
  EXPECT_EQ(ParseNpyHeader(NpyWithDict(kDict, 3))->header_bytes, 12 + kDict.size());
  EXPECT_THAT(ParseNpyHeader(NpyWithDict(kDict, 0)), Refused(kOther, "version 0.0"));
  EXPECT_THAT(ParseNpyHeader(NpyWithDict(kDict, 4)), Refused(kOther, "version 4.0"));
  std::string minor = NpyWithDict(kDict, 1);
  minor[7] = 1;
  EXPECT_THAT(ParseNpyHeader(minor), Refused(kOther, "version 1.1"));
}

TEST(NpyHeader, BoundsTheLengthOfItsDict) {
  const auto padded_to = [](size_t bytes) {
    std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
    dict.resize(bytes, ' ');
    return NpyWithDict(dict, 2);
  };
  EXPECT_EQ(ParseNpyHeader(padded_to(65535))->header_bytes, kNpyHeaderBytesMax);
  EXPECT_THAT(ParseNpyHeader(padded_to(65536)),
              Refused(kDamaged, "a header of 65536 bytes, at most 65535"));
}

TEST(NpyHeader, RefusesAHeaderThatEndsEarly) {
  const std::string bytes = NpyBytes("'<f4'", "(3,)", "");
  EXPECT_OK(ParseNpyHeader(bytes));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(ParseNpyHeader(bytes.substr(0, size)).status().code(), kDamaged) << size;
  }
  EXPECT_THAT(ParseNpyHeader("\x93NUMPZ"),
              Refused(kDamaged, "does not start as an array of NumPy"));
}

}  // namespace
}  // namespace lockstep
