#include "common/base/sha256.h"

#include "gmock/gmock.h"

namespace lockstep {
namespace {

// FIPS 180-4, examples of the secure hash standard.
TEST(Sha256, GivesTheStandardsExamples) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, DoesNotDependOnHowBytesArrive) {
  Sha256 hash;
  hash.Update("a");
  hash.Update("");
  hash.Update("bc");

  EXPECT_EQ(hash.FinishHex(), Sha256Hex("abc"));
}

}  // namespace
}  // namespace lockstep
