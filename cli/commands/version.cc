// lockstep version: of the program and of its numerics.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include <CLI/CLI.hpp>

#include "common/base/numerics_version.h"

namespace lockstep::cli::commands::version {
namespace {

int Run(bool json) {
  if (json) {
    Value value = Value::MakeMap();
    value.Set("version", Value::String(LOCKSTEP_VERSION));
    value.Set("numerics_version", Value::Int(kNumericsVersion));
    PrintJson(value);
  } else {
    Print(absl::StrCat("lockstep ", LOCKSTEP_VERSION, ", numerics ", kNumericsVersion, "\n"));
  }
  return kSucceeded;
}

std::function<int()> Add(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "as JSON");
  return [json] { return Run(*json); };
}

}  // namespace

extern const CommandDef kDef;
constinit const CommandDef kDef = {"version", "print the version", "lockstep version --json", &Add};

}  // namespace lockstep::cli::commands::version
