#include "coordinator/launch/launcher.h"

#include "absl/strings/str_cat.h"

namespace lockstep {

std::string LaunchPlan::ToText() const {
  std::string text;
  const auto add = [&text](absl::string_view what, const std::vector<std::string>& items) {
    for (const std::string& item : items) absl::StrAppend(&text, what, " ", item, "\n");
  };
  add("argv", argv);
  add("environment", environment);
  add("directory", directories);
  absl::StrAppend(&text, "log ", log_file, "\nprogress ", progress_fifo, "\nrun ", run_directory,
                  "\n");
  add("warning", warnings);
  return text;
}

}  // namespace lockstep
