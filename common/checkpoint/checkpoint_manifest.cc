#include "common/checkpoint/checkpoint_manifest.h"

#include <charconv>
#include <cmath>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

#include "common/base/sha256.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

constexpr char kChecksumKey[] = "manifest_xxh3_128";
constexpr int kDepthMax = 8;
constexpr char kVersionKey[] = "format_version";

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Every bit of the double, and readable: "-0x1.8p+1", "inf", "nan".
std::string HexReal(double real) { return absl::StrFormat("%a", real); }

bool ParseHexReal(absl::string_view text, double* real) {
  const bool negative = absl::ConsumePrefix(&text, "-");
  absl::ConsumePrefix(&text, "0x");
  const char* const end = text.data() + text.size();
  const std::from_chars_result result =
      std::from_chars(text.data(), end, *real, std::chars_format::hex);
  if (negative) *real = -*real;
  return result.ec == std::errc() && result.ptr == end;
}

Json EncodeFile(const CheckpointManifest::FileEntry& file) {
  Json ranges = Json::array();
  for (const RangeDigest& range : file.ranges) {
    ranges.push_back({{"offset", range.offset_bytes},
                      {"bytes", range.size_bytes},
                      {"xxh3_128", ToHex(range.fingerprint)},
                      {"owner", range.owner}});
  }
  return {{"bytes", file.size_bytes}, {"ranges", std::move(ranges)}};
}

// These throw nlohmann's exceptions for a wrong type or a missing key; DecodeManifest catches them.

bool DecodeFile(const Json& json, CheckpointFile name, CheckpointManifest::FileEntry* file) {
  file->size_bytes = json.at("bytes").get<int64_t>();
  int64_t covered = 0;
  for (const Json& entry : json.at("ranges")) {
    RangeDigest range = {.file = name,
                         .owner = entry.at("owner").get<int32_t>(),
                         .offset_bytes = entry.at("offset").get<int64_t>(),
                         .size_bytes = entry.at("bytes").get<int64_t>(),
                         .fingerprint = {}};
    if (!FromHex(entry.at("xxh3_128").get<std::string>(), &range.fingerprint)) return false;
    if (range.offset_bytes != covered || range.size_bytes <= 0 ||
        range.size_bytes > file->size_bytes - covered) {
      return false;
    }
    covered += range.size_bytes;
    file->ranges.push_back(range);
  }
  return covered == file->size_bytes;
}

bool DecodeProgram(const Json& json, ProgramState* program) {
  for (const auto& [key, value] : json.at("reals").items()) {
    if (!ParseHexReal(value.get<std::string>(), &program->reals[key])) return false;
  }
  program->integers = json.at("integers").get<std::map<std::string, int64_t>>();
  program->texts = json.at("texts").get<std::map<std::string, std::string>>();
  return true;
}

bool DecodeAll(const Json& json, CheckpointManifest* manifest) {
  CheckpointInfo& info = manifest->info;
  info.numerics_version = json.at("numerics_version").get<int>();
  info.step = json.at("step").get<int64_t>();
  info.epoch = json.at("epoch").get<int64_t>();
  info.job_identity = json.at("job_identity").get<std::string>();
  info.workers = json.at("workers").get<int>();
  manifest->model_sha256 = json.at("model_sha256").get<std::string>();
  for (int i = 0; i < kCheckpointFiles; ++i) {
    const CheckpointFile name = static_cast<CheckpointFile>(i);
    if (!DecodeFile(json.at("files").at(std::string(FileNameOf(name))), name, &manifest->files[i]))
      return false;
  }
  return info.step >= 0 && info.epoch >= 0 && DecodeProgram(json.at("program"), &info.program);
}

}  // namespace

absl::string_view FileNameOf(CheckpointFile file) {
  return file == CheckpointFile::kValues ? "values.safetensors" : "optimizer.safetensors";
}

std::string EncodeManifest(const CheckpointManifest& manifest) {
  const CheckpointInfo& info = manifest.info;
  Json reals = Json::object();
  for (const auto& [key, value] : info.program.reals) reals[key] = HexReal(value);
  Json files = Json::object();
  for (int i = 0; i < kCheckpointFiles; ++i) {
    files[std::string(FileNameOf(static_cast<CheckpointFile>(i)))] = EncodeFile(manifest.files[i]);
  }
  Json json = {{kVersionKey, kCheckpointFormatVersion},
               {"numerics_version", info.numerics_version},
               {"step", info.step},
               {"epoch", info.epoch},
               {"job_identity", info.job_identity},
               {"job_identity_sha256", Sha256Hex(info.job_identity)},
               {"workers", info.workers},
               {"model_sha256", manifest.model_sha256},
               {"files", std::move(files)},
               {"program",
                {{"reals", std::move(reals)},
                 {"integers", info.program.integers},
                 {"texts", info.program.texts}}}};
  json[kChecksumKey] = ToHex(FingerprintOf128(Dump(json)));
  return absl::StrCat(Dump(json), "\n");
}

absl::StatusOr<CheckpointManifest> DecodeManifest(absl::string_view text) {
  // Deeper values than ours are dropped while parsing: the library writes and frees by recursion.
  const auto keep = [](int depth, Json::parse_event_t, Json&) { return depth <= kDepthMax; };
  Json json = Json::parse(text.begin(), text.end(), keep, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains(kChecksumKey) || !json[kChecksumKey].is_string()) {
    return absl::DataLossError(
        absl::StrCat("MANIFEST: it is not a JSON object with '", kChecksumKey, "'"));
  }
  // The checksum comes first, in every version of the format: what it does not cover is damage, not
  // a later version.
  Json unsigned_json = json;
  unsigned_json.erase(kChecksumKey);
  if (json[kChecksumKey] != ToHex(FingerprintOf128(Dump(unsigned_json)))) {
    return absl::DataLossError("MANIFEST: its contents do not match its checksum");
  }
  const Json version = json.value(kVersionKey, Json());
  if (version != kCheckpointFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("MANIFEST: it has format version ", Dump(version), ", this build reads ",
                     kCheckpointFormatVersion, "; use the build that wrote it"));
  }
  CheckpointManifest manifest;
  try {
    if (!DecodeAll(json, &manifest)) {
      return absl::DataLossError(
          "MANIFEST: a number is out of range or the ranges do not tile a file");
    }
  } catch (const Json::exception& error) {
    return absl::DataLossError(absl::StrCat("MANIFEST: ", error.what()));
  }
  if (EncodeManifest(manifest) != text) {
    return absl::DataLossError("MANIFEST: it is not in the one form that is written");
  }
  return manifest;
}

}  // namespace lockstep
