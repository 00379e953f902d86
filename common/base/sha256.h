// Sha256: the hash behind every promise (`model_sha256`, job identities); use fingerprint.h where
// only damage must be seen. Thread: one per object. Errors: none.
#ifndef LOCKSTEP_COMMON_BASE_SHA256_H_
#define LOCKSTEP_COMMON_BASE_SHA256_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace lockstep {

class Sha256 {
 public:
  Sha256();
  void Update(absl::string_view bytes);
  // 64 lower-case digits; once, and nothing after it.
  std::string FinishHex();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

std::string Sha256Hex(absl::string_view bytes);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_SHA256_H_
