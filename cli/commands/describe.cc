// lockstep describe: every layer, optimizer, loss, format and program with its options, from the
// registries themselves.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/command.h"
#include <CLI/CLI.hpp>

#include "common/data/format_registry.h"
#include "common/nn/initializers.h"
#include "common/nn/layer_registry.h"
#include "common/nn/loss_registry.h"
#include "common/optim/optimizer_registry.h"
#include "common/plan/model_summary.h"
#include "common/plan/program.h"

namespace lockstep::cli::commands::describe {
namespace {

struct Entry {
  absl::string_view name;
  absl::string_view summary;
  absl::Span<const OptionDoc> options;
};
struct Room {
  absl::string_view name;
  std::vector<Entry> entries;
};

template <typename Def>
std::vector<Entry> EntriesOf(absl::Span<const Def* const> room) {
  std::vector<Entry> entries;
  for (const Def* def : room) entries.push_back({def->name, def->summary, def->options});
  return entries;
}

std::vector<Room> Rooms() {
  return {{"layers", EntriesOf(Layers())},          {"optimizers", EntriesOf(Optimizers())},
          {"losses", EntriesOf(Losses())},          {"initializers", EntriesOf(Initializers())},
          {"formats", EntriesOf(DatasetFormats())}, {"programs", EntriesOf(Programs())}};
}

std::string TypeOf(const OptionDoc& option) {
  std::string type(OptionTypeName(option.type));
  if (option.length > 0) absl::StrAppend(&type, " (", option.length, ")");
  return type;
}

void PrintEntry(const Entry& entry) {
  Print(absl::StrCat(entry.name, ": ", entry.summary, "\n"));
  if (entry.options.empty()) return;
  std::vector<std::vector<std::string>> rows = {{"option", "type", "default", "meaning"}};
  for (const OptionDoc& option : entry.options) {
    std::string help(option.help);
    if (!option.choices.empty()) {
      absl::StrAppend(&help, " (", absl::StrJoin(absl::StrSplit(option.choices, ' '), ", "), ")");
    }
    rows.push_back({std::string(option.name), TypeOf(option),
                    option.required() ? "required" : std::string(option.fallback), help});
  }
  Print(FormatTable(rows, {false, false, false, false}));
}

Value ToValue(const Entry& entry) {
  Value::List options;
  for (const OptionDoc& doc : entry.options) {
    Value option = Value::MakeMap();
    option.Set("name", Value::String(doc.name));
    option.Set("type", Value::String(OptionTypeName(doc.type)));
    option.Set("required", Value::Bool(doc.required()));
    if (!doc.required()) option.Set("default", Value::String(doc.fallback));
    if (!doc.choices.empty()) option.Set("choices", Value::String(doc.choices));
    option.Set("help", Value::String(doc.help));
    options.push_back(std::move(option));
  }
  Value value = Value::MakeMap();
  value.Set("name", Value::String(entry.name));
  value.Set("summary", Value::String(entry.summary));
  value.Set("options", Value::MakeList(std::move(options)));
  return value;
}

struct Request {
  std::string room;
  std::string name;
  bool json = false;
};

// The room asked for; a bare entry name ("dense") finds its room.
absl::StatusOr<Room> Select(const Request& request) {
  std::vector<absl::string_view> known;
  std::vector<Room> rooms = Rooms();
  for (Room& room : rooms) {
    known.push_back(room.name);
    if (request.room == room.name || absl::StrCat(request.room, "s") == room.name) {
      return std::move(room);
    }
  }
  for (Room& room : rooms) {
    for (const Entry& entry : room.entries) {
      known.push_back(entry.name);
      if (entry.name == request.room && request.name.empty()) return Room{room.name, {entry}};
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("describe: nothing is called '", request.room, "'",
                                                 NearestNamesHint(request.room, known)));
}

int Run(const Request& request) {
  absl::StatusOr<Room> room = Select(request);
  if (!room.ok()) return Refuse(room.status());
  std::vector<Entry> shown;
  std::vector<absl::string_view> names;
  for (const Entry& entry : room->entries) {
    names.push_back(entry.name);
    if (request.name.empty() || request.name == entry.name) shown.push_back(entry);
  }
  if (shown.empty()) {
    return Refuse(absl::InvalidArgumentError(
        absl::StrCat("describe ", room->name, ": nothing is called '", request.name, "'",
                     NearestNamesHint(request.name, names))));
  }
  if (request.json) {
    Value::List list;
    for (const Entry& entry : shown) list.push_back(ToValue(entry));
    PrintJson(Value::MakeList(std::move(list)));
    return kSucceeded;
  }
  for (size_t i = 0; i < shown.size(); ++i) {
    if (i > 0) Print("\n");
    PrintEntry(shown[i]);
  }
  return kSucceeded;
}

std::function<int()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("what", request->room,
                 "layers, optimizers, losses, initializers, formats or programs, or one name")
      ->required();
  app.add_option("name", request->name, "one entry of it");
  app.add_flag("--json", request->json, "as JSON");
  return [request] { return Run(*request); };
}

}  // namespace

extern const CommandDef kDef;
constinit const CommandDef kDef = {"describe", "every option of a layer, optimizer, loss, ...",
                                   "lockstep describe layers conv2d", &Add};

}  // namespace lockstep::cli::commands::describe
