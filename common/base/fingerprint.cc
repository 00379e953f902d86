#include "common/base/fingerprint.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <xxhash.h>

#include "common/base/check.h"

namespace lockstep {
namespace {

void FreeState(XXH3_state_t* state) { XXH3_freeState(state); }

}  // namespace

uint64_t FingerprintOf64(absl::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Fingerprint128 FingerprintOf128(absl::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {.high = hash.high64, .low = hash.low64};
}

FingerprintStream::FingerprintStream() : state_(XXH3_createState(), &FreeState) {
  LOCKSTEP_CHECK(state_ != nullptr && XXH3_128bits_reset(state_.get()) == XXH_OK);
}

void FingerprintStream::Update(absl::string_view bytes) {
  LOCKSTEP_CHECK(XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()) == XXH_OK);
}

Fingerprint128 FingerprintStream::Finish() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
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
