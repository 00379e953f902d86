#include "common/base/fingerprint.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <xxhash.h>

namespace lockstep {

uint64_t FingerprintOf64(absl::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Fingerprint128 FingerprintOf128(absl::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {.high = hash.high64, .low = hash.low64};
}

std::string ToHex(const Fingerprint128& fingerprint) {
  return absl::StrCat(absl::Hex(fingerprint.high, absl::kZeroPad16),
                      absl::Hex(fingerprint.low, absl::kZeroPad16));
}

bool FromHex(absl::string_view hex, Fingerprint128* fingerprint) {
  Fingerprint128 parsed;
  if (hex.size() != 32 || !absl::SimpleHexAtoi(hex.substr(0, 16), &parsed.high) ||
      !absl::SimpleHexAtoi(hex.substr(16), &parsed.low) || ToHex(parsed) != hex) {
    return false;
  }
  *fingerprint = parsed;
  return true;
}

}  // namespace lockstep
