// FirstInvalidUtf8: where a text stops being UTF-8 (RFC 3629: no surrogates, no overlong forms, at
// most U+10FFFF). Thread: pure. Errors: none.
#ifndef LOCKSTEP_COMMON_SPEC_UTF8_H_
#define LOCKSTEP_COMMON_SPEC_UTF8_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace lockstep {

// Index of the first byte that begins no valid character; text.size() if there is none.
inline size_t FirstInvalidUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xC2 ? 0
                          : lead < 0xE0 ? 2
                          : lead < 0xF0 ? 3
                          : lead < 0xF5 ? 4
                                        : 0;
    if (length == 0 || i + length > text.size()) return i;
    for (size_t k = 1; k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      // The second byte's range rules out overlong forms, surrogates and what lies past U+10FFFF.
      const unsigned low = k > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
      const unsigned high = k > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
      if (byte < low || byte > high) return i;
    }
    i += length;
  }
  return i;
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_UTF8_H_
