#include "common/base/fingerprint.h"

#include <cstddef>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"

namespace lockstep {
namespace {

// Golden: XXH3_128bits and XXH3_64bits of libxxhash 0.8.1, also `printf lockstep | xxhsum -H2`.
TEST(Fingerprint, IsWhatXxhsumPrints) {
  EXPECT_EQ(ToHex(FingerprintOf128("")), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(ToHex(FingerprintOf128("lockstep")), "b4ead11c934f0a1e75345b2b871d8c38");
  EXPECT_EQ(FingerprintOf64("lockstep"), 0x2f270043200950ecu);
}

TEST(FingerprintStream, IsTheFingerprintOfThePiecesJoined) {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes.push_back(static_cast<char>(i * i));

  // XXH3 changes its way at 16, 128 and 240 bytes and keeps 256 of a stream back.
  for (const size_t piece_bytes : {1u, 7u, 240u, 256u, 1024u, 4999u, 5000u}) {
    FingerprintStream stream;
    for (size_t at = 0; at < bytes.size(); at += piece_bytes) {
      EXPECT_EQ(stream.Finish(), FingerprintOf128(bytes.substr(0, at)));
      stream.Update(absl::string_view(bytes).substr(at, piece_bytes));
    }
    EXPECT_EQ(stream.Finish(), FingerprintOf128(bytes)) << piece_bytes;
  }
}

TEST(Fingerprint, ReadsItsOwnHexadecimalFormOnly) {
  const Fingerprint128 fingerprint = FingerprintOf128("lockstep");
  const std::string hex = ToHex(fingerprint);
  Fingerprint128 parsed;

  ASSERT_TRUE(FromHex(hex, &parsed));
  EXPECT_EQ(parsed, fingerprint);
  for (const std::string& wrong :
       {hex.substr(1), hex + "0", "+" + hex.substr(1), "0x" + hex.substr(2), "F" + hex.substr(1),
        "g" + hex.substr(1), std::string()}) {
    EXPECT_FALSE(FromHex(wrong, &parsed)) << wrong;
    EXPECT_EQ(parsed, fingerprint);
  }
}

}  // namespace
}  // namespace lockstep
