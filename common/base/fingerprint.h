// Fingerprints (XXH3) find damage at the speed of memory; they do not stop a forger: for that,
// sha256.h. Thread: pure. Errors: none. Invariant: equal on every machine; the hexadecimal form is
// what `xxhsum -H2` prints.
#ifndef LOCKSTEP_COMMON_BASE_FINGERPRINT_H_
#define LOCKSTEP_COMMON_BASE_FINGERPRINT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

struct XXH3_state_s;

namespace lockstep {

struct Fingerprint128 {
  uint64_t high = 0;
  uint64_t low = 0;
  friend bool operator==(const Fingerprint128&, const Fingerprint128&) = default;
};

uint64_t FingerprintOf64(absl::string_view bytes);
Fingerprint128 FingerprintOf128(absl::string_view bytes);

// FingerprintOf128 of bytes that come in pieces. Thread: one per object.
class FingerprintStream {
 public:
  FingerprintStream();
  void Update(absl::string_view bytes);
  // Of all bytes up to here; more may follow.
  Fingerprint128 Finish() const;

 private:
  std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> state_;
};

// 32 lower-case digits.
std::string ToHex(const Fingerprint128& fingerprint);
// False, and nothing written, for anything but 32 lower-case digits.
[[nodiscard]] bool FromHex(absl::string_view hex, Fingerprint128* fingerprint);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_FINGERPRINT_H_
