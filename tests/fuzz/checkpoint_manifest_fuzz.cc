// Any text is a manifest or an error; an accepted one encodes to the same text. The text is tried
// once as it is and once with its checksum made right, or no mutation would come past it.
#include <string>

#include "nlohmann/json.hpp"

#include "common/base/check.h"
#include "common/checkpoint/checkpoint_manifest.h"

namespace {

using Json = nlohmann::json;

constexpr char kChecksumKey[] = "manifest_xxh3_128";

void Try(const std::string& text) {
  const absl::StatusOr<lockstep::CheckpointManifest> manifest = lockstep::DecodeManifest(text);
  if (manifest.ok()) LOCKSTEP_CHECK(lockstep::EncodeManifest(*manifest) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  Try(text);
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= 8; };
  Json json = Json::parse(text, shallow, /*allow_exceptions=*/false);
  if (!json.is_object()) return 0;
  json.erase(kChecksumKey);
  const std::string body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  json[kChecksumKey] = lockstep::ToHex(lockstep::FingerprintOf128(body));
  Try(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  return 0;
}
