#include "cli/command.h"

#include <cstdio>

#include "absl/strings/string_view.h"

namespace lockstep::cli {

void PrintError(absl::string_view message) {
  // Messages end in "; what to do" (docs: where: what is wrong, with values; what to do).
  const size_t split = message.rfind("; ");
  const absl::string_view what = message.substr(0, split);
  std::fprintf(stderr, "error: %.*s\n", static_cast<int>(what.size()), what.data());
  if (split == absl::string_view::npos) return;
  const absl::string_view hint = message.substr(split + 2);
  std::fprintf(stderr, "hint: %.*s\n", static_cast<int>(hint.size()), hint.data());
}

int Refuse(const absl::Status& status) {
  PrintError(status.message());
  return kRequestWrong;
}

void PrintJson(const Value& value) { Print(ToJson(value) + "\n"); }

void Print(absl::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace lockstep::cli
