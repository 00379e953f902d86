#include "common/checkpoint/model_hash.h"

#include "absl/strings/str_cat.h"

#include "common/base/sha256.h"

namespace lockstep {

std::string ModelSha256(absl::Span<const TensorView> variables) {
  Sha256 hash;
  for (const TensorView& variable : variables) {
    hash.Update(absl::StrCat(variable.name, " F32 ", variable.shape.ToJson(), "\n"));
    hash.Update(BytesOf(variable.values));
  }
  return hash.FinishHex();
}

}  // namespace lockstep
