#include "common/checkpoint/checkpoint_manifest.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"

#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

CheckpointManifest SmallManifest() {
  CheckpointManifest manifest;
  manifest.info = {.numerics_version = 1,
                   .step = 12,
                   .epoch = 3,
                   .job_identity = "{\"a\": \"\xC3\xA4\"}",
                   .workers = 2,
                   .program = {}};
  manifest.info.program.reals = {
      {"loss", 0.1}, {"best", -std::numeric_limits<double>::infinity()}, {"tiny", 5e-324}};
  manifest.info.program.integers = {{"wait", -3}};
  manifest.info.program.texts = {{"turn", "generator"}};
  manifest.model_sha256 = "ab";
  manifest.files[0] = {
      .size_bytes = 10,
      .ranges = {{.size_bytes = 4}, {.owner = 1, .offset_bytes = 4, .size_bytes = 6}}};
  return manifest;
}

// `edit` is done on the JSON, and the checksum made right again: what only a program that lies
// could write.
template <typename Edit>
std::string Forge(Edit edit) {
  nlohmann::json json = nlohmann::json::parse(EncodeManifest(SmallManifest()));
  json.erase("manifest_xxh3_128");
  edit(json);
  json["manifest_xxh3_128"] = ToHex(FingerprintOf128(json.dump()));
  return absl::StrCat(json.dump(), "\n");
}

TEST(CheckpointManifest, ComesBackExactly) {
  const std::string text = EncodeManifest(SmallManifest());

  ASSERT_OK_AND_ASSIGN(const CheckpointManifest decoded, DecodeManifest(text));

  EXPECT_EQ(decoded.info.program, SmallManifest().info.program);
  EXPECT_EQ(decoded.info.job_identity, SmallManifest().info.job_identity);
  EXPECT_EQ(decoded.info.step, 12);
  EXPECT_EQ(decoded.info.epoch, 3);
  ASSERT_EQ(decoded.files[0].ranges.size(), 2);
  EXPECT_EQ(decoded.files[0].ranges[1].owner, 1);
  EXPECT_THAT(text, HasSubstr("0x1.999999999999ap-4"));  // 0.1
}

TEST(CheckpointManifest, RefusesALaterFormatVersionByName) {
  EXPECT_OK(DecodeManifest(Forge([](nlohmann::json&) {})));
  EXPECT_THAT(
      DecodeManifest(Forge([](nlohmann::json& json) { json["format_version"] = 2; })),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version 2, this build reads 1")));
}

TEST(CheckpointManifest, TakesADamagedVersionForDamage) {
  const std::string text = absl::StrReplaceAll(EncodeManifest(SmallManifest()),
                                               {{"\"format_version\":1", "\"format_version\":3"}});

  EXPECT_THAT(DecodeManifest(text), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("checksum")));
}

TEST(CheckpointManifest, RefusesEveryOtherTextOfTheSameContents) {
  const std::string text = EncodeManifest(SmallManifest());

  EXPECT_THAT(DecodeManifest(text + " "),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("one form")));
  EXPECT_THAT(DecodeManifest(absl::StrReplaceAll(text, {{"\"step\":12", "\"step\": 12"}})),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("one form")));
  EXPECT_THAT(
      DecodeManifest(absl::StrReplaceAll(text, {{"\"step\":12", "\"step\":11,\"step\":12"}})),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("one form")));
}

TEST(CheckpointManifest, RefusesContentsThatOnlyALiarWrites) {
  using Json = nlohmann::json;
  const auto decode = [](auto edit) { return DecodeManifest(Forge(edit)); };
  const auto range = [](Json& json, size_t i) -> Json& {
    return json["files"]["values.safetensors"]["ranges"][i];
  };
  const auto lost = [](absl::string_view what) {
    return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(std::string(what)));
  };

  EXPECT_THAT(decode([](Json& json) { json.erase("step"); }), lost("step"));
  EXPECT_THAT(decode([](Json& json) { json["step"] = "12"; }), lost("type"));
  EXPECT_THAT(decode([](Json& json) { json["step"] = 12.5; }), lost("one form"));
  EXPECT_THAT(decode([](Json& json) { json["step"] = -1; }), lost("out of range"));
  EXPECT_THAT(decode([](Json& json) { json["workers"] = int64_t{1} << 40; }), lost("one form"));
  EXPECT_THAT(decode([](Json& json) { json["more"] = 1; }), lost("one form"));
  EXPECT_THAT(decode([](Json& json) { json["program"]["reals"]["loss"] = "0.1x"; }),
              lost("out of range"));
  EXPECT_THAT(decode([&](Json& json) { range(json, 1)["offset"] = 5; }), lost("tile"));
  EXPECT_THAT(
      decode([&](Json& json) { range(json, 1)["bytes"] = std::numeric_limits<int64_t>::max(); }),
      lost("tile"));
  EXPECT_THAT(decode([&](Json& json) { range(json, 1)["xxh3_128"] = "00"; }), lost("tile"));
  EXPECT_THAT(decode([](Json& json) { json["files"]["values.safetensors"]["bytes"] = 11; }),
              lost("tile"));
}

TEST(CheckpointManifest, RefusesWhatIsNotJsonAndDeepNesting) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string("{\"manifest_xxh3_128\": 1}"), std::string(1 << 20, '['),
        absl::StrCat("{\"manifest_xxh3_128\":\"\",\"a\":", std::string(1 << 20, '['),
                     std::string(1 << 20, ']'), "}")}) {
    EXPECT_THAT(DecodeManifest(text), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("MANIFEST")));
  }
}

}  // namespace
}  // namespace lockstep
