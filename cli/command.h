// Command: one verb of the CLI. A command adds its options to a CLI11 subcommand and returns an
// exit code when it is run. One file of cli/commands is one entry of the room. Output for scripts
// goes to stdout, progress and errors to stderr.
#ifndef LOCKSTEP_CLI_COMMAND_H_
#define LOCKSTEP_CLI_COMMAND_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

#include "common/spec/value.h"

namespace CLI {
class App;
}  // namespace CLI

namespace lockstep::cli {

// What the shell sees (DESIGN 3.4).
enum CliExit : int {
  kSucceeded = 0,
  kJobFailed = 1,
  kRequestWrong = 2,  // nothing was started
  kCancelled = 3,
  kUnreachable = 69,
  kInterrupted = 130,  // after a checkpoint
};

struct CommandDef {
  const char* name;
  const char* summary;
  const char* example;  // shown in the help
  // Adds options to `app`; the result runs the command after parsing.
  std::function<int()> (*add)(CLI::App& app);
};

// "error: <what>" and, where the message has one, "hint: <what to do>" to stderr.
void PrintError(absl::string_view message);
// PrintError, then kRequestWrong.
int Refuse(const absl::Status& status);

// One JSON document, readable, to stdout.
void PrintJson(const Value& value);
void Print(absl::string_view text);  // to stdout

}  // namespace lockstep::cli

#endif  // LOCKSTEP_CLI_COMMAND_H_
