#include "common/checkpoint/safetensors.h"

#include <cstring>

#include "absl/strings/str_cat.h"

#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::StatusIs;

using Specs = std::vector<TensorSpec>;

std::string FileOf(absl::string_view json, size_t data_bytes, uint64_t length) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return absl::StrCat(file, json, std::string(data_bytes, '\x01'));
}

absl::StatusOr<SafetensorsFile> ParseJson(absl::string_view json, size_t data_bytes) {
  // Kept for the views of the result.
  static std::string* const bytes = new std::string;
  *bytes = FileOf(json, data_bytes, json.size());
  return SafetensorsFile::Parse(*bytes, "m.safetensors");
}

auto Refused(const std::string& what) {
  return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(what));
}

// The example of the format's own documentation: 72 bytes in all.
TEST(Safetensors, HeaderIsPaddedToEightBytesAndReadsBack) {
  ASSERT_OK_AND_ASSIGN(const std::string header, EncodeSafetensorsHeader(Specs{{"w", {2}}}, {}));

  EXPECT_EQ(header,
            absl::StrCat(absl::string_view("\x38\0\0\0\0\0\0\0", 8),
                         R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "  "));
  EXPECT_OK(SafetensorsFile::Parse(header + std::string(8, 'x'), "w"));
}

TEST(Safetensors, KeepsTheOrderOfTensorsAndOfMetadata) {
  ASSERT_OK_AND_ASSIGN(std::string file,
                       EncodeSafetensorsHeader(Specs{{"z", {2}}, {"a", {}}, {"m", {1, 3}}},
                                               {{"y", "1"}, {"b", "2"}}));
  file.append(24, '\0');

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile parsed, SafetensorsFile::Parse(file, "f"));

  ASSERT_EQ(parsed.tensors().size(), 3);
  EXPECT_EQ(parsed.tensors()[0].name, "z");
  EXPECT_EQ(parsed.tensors()[1].name, "a");
  EXPECT_EQ(parsed.Find("m")->bytes.size(), 12);
  EXPECT_EQ(parsed.Find("n"), nullptr);
  EXPECT_THAT(parsed.metadata(), ElementsAre(Pair("y", "1"), Pair("b", "2")));
  EXPECT_EQ(file.size() % 8, 0);
}

TEST(Safetensors, RefusesToWriteNamesThatClash) {
  EXPECT_THAT(EncodeSafetensorsHeader(Specs{{"a", {2}}, {"a", {3}}}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'a' is taken")));
  EXPECT_THAT(EncodeSafetensorsHeader(Specs{{"__metadata__", {2}}}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("taken")));
  EXPECT_THAT(EncodeSafetensorsHeader(Specs{{"a\xff", {2}}}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8")));
}

TEST(Safetensors, ReadsOtherWritersFilesToo) {
  EXPECT_OK(ParseJson("{}", 0));
  EXPECT_OK(ParseJson("{}      ", 0));
  // Not in the order of the bytes, with a tensor of no elements.
  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       ParseJson(R"({"b":{"shape":[2],"dtype":"BF16","data_offsets":[4,8]},)"
                                 R"("e":{"shape":[0,7],"dtype":"I64","data_offsets":[4,4]},)"
                                 R"("a":{"shape":[],"dtype":"F32","data_offsets":[0,4]}})",
                                 8));
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[2].name, "b");
  EXPECT_THAT(file.FloatViews(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                          HasSubstr("only F32 with elements, on 4 bytes")));
}

TEST(Safetensors, RefusesALengthThatTheFileDoesNotHave) {
  EXPECT_THAT(SafetensorsFile::Parse("1234567", "m"), Refused("'m': it has 7 bytes"));
  EXPECT_THAT(SafetensorsFile::Parse(FileOf("{}", 0, 3), "m"),
              Refused("claims a header of 3 bytes but has 10"));
  EXPECT_THAT(SafetensorsFile::Parse(FileOf("{}", 0, 100'000'000), "m"), Refused("but has 10"));
  EXPECT_THAT(SafetensorsFile::Parse(FileOf("{}", 0, 100'000'001), "m"),
              Refused("at most 100000000"));
  EXPECT_THAT(SafetensorsFile::Parse(FileOf("{}", 0, ~uint64_t{0}), "m"),
              Refused("at most 100000000"));
  EXPECT_THAT(SafetensorsFile::Parse(FileOf("", 0, 0), "m"), Refused("start with '{'"));
}

TEST(Safetensors, RefusesAHeaderOfAnotherShape) {
  EXPECT_THAT(ParseJson("[]", 0), Refused("start with '{'"));
  EXPECT_THAT(ParseJson(" {}", 0), Refused("start with '{'"));
  EXPECT_THAT(ParseJson("{", 0), Refused("not JSON"));
  EXPECT_THAT(ParseJson("{}x", 0), Refused("not JSON"));
  EXPECT_THAT(ParseJson("{\"a\xff\":1}", 0), Refused("not JSON"));
  EXPECT_THAT(ParseJson(R"({"a":1})", 0), Refused("'a' holds a number"));
  EXPECT_THAT(ParseJson(R"({"a":null})", 0), Refused("'a' holds null"));
  EXPECT_THAT(ParseJson(R"({"a":"x"})", 0), Refused("'a' holds a string"));
  EXPECT_THAT(ParseJson(R"({"a":[]})", 0), Refused("'a' holds an array"));
  EXPECT_THAT(ParseJson(R"({"a":{"dtype":{}}})", 0), Refused("'a' holds an object"));
  EXPECT_THAT(ParseJson(R"({"a":{"dtype":true}})", 0), Refused("truth value"));
  EXPECT_THAT(ParseJson(R"({"a":{"shape":[[1]]}})", 0), Refused("array where none belongs"));
  EXPECT_THAT(ParseJson(R"({"a":{"shape":[1.5]}})", 0), Refused("fraction"));
  EXPECT_THAT(ParseJson(R"({"a":{"shape":[-1]}})", 0), Refused("negative"));
  EXPECT_THAT(ParseJson(R"({"a":{"shape":[9223372036854775808]}})", 0), Refused("above 2^63"));
  EXPECT_THAT(ParseJson(R"({"a":{"other":1}})", 0), Refused("unknown key 'other'"));
  EXPECT_THAT(ParseJson(R"({"a":{"dtype":"F32","shape":[]}})", 0), Refused("'a' lacks one of"));
  EXPECT_THAT(ParseJson(R"({"__metadata__":{"a":1}})", 0), Refused("number"));
  EXPECT_THAT(ParseJson(R"({"__metadata__":{"a":{}}})", 0), Refused("object"));
  EXPECT_THAT(ParseJson(std::string(1 << 20, '{'), 0), Refused("not JSON"));
  EXPECT_THAT(ParseJson(absl::StrCat(R"({"a":{"shape":)", std::string(1 << 20, '[')), 0),
              Refused("array"));
}

TEST(Safetensors, RefusesAKeyTwice) {
  EXPECT_THAT(ParseJson(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                        R"("a":{"dtype":"F32","shape":[],"data_offsets":[4,8]}})",
                        8),
              Refused("'a' stands twice"));
  EXPECT_THAT(
      ParseJson(R"({"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4),
      Refused("'a' has the key 'dtype' twice"));
  EXPECT_THAT(ParseJson(R"({"__metadata__":{"k":"1","k":"2"}})", 0), Refused("the key 'k' twice"));
  EXPECT_THAT(ParseJson(R"({"__metadata__":{},"__metadata__":{}})", 0), Refused("twice"));
}

TEST(Safetensors, RefusesTensorsThatDoNotFitTheirBytes) {
  const auto parse = [](absl::string_view dtype, absl::string_view shape,
                        absl::string_view offsets) {
    return ParseJson(absl::StrCat(R"({"a":{"dtype":")", dtype, R"(","shape":)", shape,
                                  R"(,"data_offsets":)", offsets, "}}"),
                     8);
  };
  EXPECT_OK(parse("F32", "[2]", "[0,8]"));
  EXPECT_THAT(parse("F31", "[2]", "[0,8]"), Refused("unknown dtype 'F31'"));
  EXPECT_THAT(parse("F32", "[3]", "[0,8]"), Refused("is F32 [3], that is 12 bytes"));
  EXPECT_THAT(parse("F32", "[3]", "[0,12]"), Refused("outside the 8 bytes"));
  EXPECT_THAT(parse("F32", "[2]", "[8,0]"), Refused("outside"));
  EXPECT_THAT(parse("F32", "[2]", "[0]"), Refused("1 data_offsets"));
  EXPECT_THAT(parse("F32", "[2]", "[0,4,8]"), Refused("3 data_offsets"));
  EXPECT_THAT(parse("F32", "[4611686018427387904,4]", "[0,8]"), Refused("more than 2^63"));
  EXPECT_THAT(parse("F32", "[1]", "[0,4]"), Refused("take 4 bytes, but 8 follow"));
  EXPECT_THAT(parse("F32", "[1]", "[4,8]"), Refused("starts at byte 4"));
}

TEST(Safetensors, RefusesHolesAndOverlaps) {
  const auto parse = [](absl::string_view second) {
    return ParseJson(
        absl::StrCat(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)",
                     R"("b":{"dtype":"F32","shape":[1],"data_offsets":)", second, "}}"),
        12);
  };
  EXPECT_OK(parse("[8,12]"));
  EXPECT_THAT(parse("[4,8]"), Refused("'b' starts at byte 4"));
  EXPECT_THAT(parse("[0,4]"), Refused("starts at byte 0"));
}

}  // namespace
}  // namespace lockstep
