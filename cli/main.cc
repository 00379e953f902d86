// lockstep: the command line. Parses, dispatches, returns the exit code; the commands are in
// cli/commands.
#include <functional>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include <CLI/CLI.hpp>

#include "common/base/log.h"
#include "common/spec/options.h"
#include "coordinator/app/embedded_coordinator.h"

namespace lockstep::cli {

#define LOCKSTEP_ROOM_ENTRY(entry) \
  namespace commands::entry {      \
  extern const CommandDef kDef;    \
  }
#include "cli/commands.room.inc"
#undef LOCKSTEP_ROOM_ENTRY

namespace {

constexpr const CommandDef* kCommands[] = {
#define LOCKSTEP_ROOM_ENTRY(entry) &commands::entry::kDef,
#include "cli/commands.room.inc"
#undef LOCKSTEP_ROOM_ENTRY
};

// CLI11 would only say that a command is required.
std::optional<int> RefuseUnknownCommand(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return std::nullopt;
  std::vector<absl::string_view> names;
  for (const CommandDef* command : kCommands) {
    if (absl::string_view(argv[1]) == command->name) return std::nullopt;
    names.emplace_back(command->name);
  }
  return Refuse(absl::InvalidArgumentError(
      absl::StrCat("no command is called '", argv[1], "'", NearestNamesHint(argv[1], names))));
}

int Main(int argc, char** argv) {
  if (const std::optional<int> helper = MaybeLaunchHelper(argc, argv)) return *helper;
  // The terminal is the commands'; what the coordinator inside notes is in <out>/logs.
  StartLog({.level = LogLevel::kWarning});
  if (const std::optional<int> refused = RefuseUnknownCommand(argc, argv)) return *refused;
  CLI::App app{"Lockstep: data-parallel training on CPU clusters; the same bits at any scale"};
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of every command");
  app.set_version_flag("--version", "lockstep " LOCKSTEP_VERSION);
  app.footer("Start with: lockstep run examples/fashion_mnist_cnn.yaml");
  std::function<int()> run;
  for (const CommandDef* command : kCommands) {
    CLI::App* const sub = app.add_subcommand(command->name, command->summary);
    sub->footer(absl::StrCat("Example: ", command->example));
    sub->callback([&run, action = command->add(*sub)] { run = action; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; everything else is a wrong request.
    return app.exit(error) == 0 ? kSucceeded : kRequestWrong;
  }
  return run();
}

}  // namespace
}  // namespace lockstep::cli

int main(int argc, char** argv) { return lockstep::cli::Main(argc, argv); }
