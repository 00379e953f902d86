#include "tests/tidy/tidy_rules.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "tests/tidy/banned_tokens.h"

namespace lockstep::tidy {
namespace {

constexpr size_t kNone = std::string::npos;

bool Matches(absl::string_view pattern, absl::string_view text) {
  return fnmatch(std::string(pattern).c_str(), std::string(text).c_str(), 0) == 0;
}

bool MatchesAny(const std::vector<std::string>& patterns, absl::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [text](const std::string& pattern) { return Matches(pattern, text); });
}

std::vector<std::string> Words(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

std::string Folder(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == kNone ? "" : std::string(path.substr(0, slash));
}

std::string Stem(absl::string_view path) {
  const size_t slash = path.rfind('/');
  const absl::string_view name = slash == kNone ? path : path.substr(slash + 1);
  return std::string(name.substr(0, name.find('.')));
}

bool IsCpp(absl::string_view path) {
  return absl::EndsWith(path, ".h") || absl::EndsWith(path, ".cc");
}

// ---- includes

struct Include {
  std::string target;
  bool quoted = false;
};

// The include on line `index`, with an empty target where there is none.
Include IncludeOn(const SourceFile& file, size_t index) {
  absl::string_view code = absl::StripLeadingAsciiWhitespace(file.code[index]);
  if (!absl::ConsumePrefix(&code, "#")) return {};
  if (!absl::StartsWith(absl::StripLeadingAsciiWhitespace(code), "include")) return {};
  const absl::string_view line = file.lines[index];
  const size_t open = line.find_first_of("\"<");
  if (open == kNone) return {};
  const size_t close = line.find(line[open] == '<' ? '>' : '"', open + 1);
  if (close == kNone) return {};
  return {std::string(line.substr(open + 1, close - open - 1)), line[open] == '"'};
}

bool IsTopFolder(absl::string_view word) {
  constexpr absl::string_view kFolders[] = {"bench", "cli",   "common", "coordinator",
                                            "proto", "tests", "worker"};
  return std::find(std::begin(kFolders), std::end(kFolders), word) != std::end(kFolders);
}

// What is wrong with `include` as an edge between modules, or "".
std::string WrongEdge(const std::string& path, const Include& include, const Layers& layers) {
  const size_t slash = include.target.find('/');
  if (include.quoted && (slash == kNone || absl::StartsWith(include.target, "."))) {
    return absl::StrCat("\"", include.target, "\" does not start at the root; write \"",
                        Folder(path), "/", include.target, "\"");
  }
  if (slash == kNone || !IsTopFolder(absl::string_view(include.target).substr(0, slash))) return "";
  const std::string from = ModuleOf(path, layers);
  const std::string to = ModuleOf(include.target, layers);
  if (to.empty()) {
    return absl::StrCat(include.target,
                        " is in no module; add its folder to tests/tidy/layers.txt");
  }
  if (from == to || from.empty() || MatchesAny(layers.modules.at(from), to)) return "";
  return absl::StrCat(from, " may not include ", to, " (", include.target,
                      "); move the code or pass a value; the list is tests/tidy/layers.txt");
}

// Whether `module` may include itself through others. `seen`: modules from which the search came
// back empty-handed.
bool Reaches(const std::string& from, const std::string& module, const Layers& layers,
             std::set<std::string>& seen) {
  if (!seen.insert(from).second) return false;
  const std::vector<std::string>& edges = layers.modules.at(from);
  return std::any_of(layers.modules.begin(), layers.modules.end(), [&](const auto& next) {
    if (next.first == from || !MatchesAny(edges, next.first)) return false;
    return next.first == module || Reaches(next.first, module, layers, seen);
  });
}

// The places of `header`, added as a new rule where the list does not hold it yet.
std::vector<std::string>& PlacesOf(const std::string& header, Layers& layers) {
  const auto known =
      std::find_if(layers.headers.begin(), layers.headers.end(),
                   [&header](const Layers::Header& rule) { return rule.pattern == header; });
  if (known != layers.headers.end()) return known->places;
  return layers.headers.emplace_back(Layers::Header{header, {}}).places;
}

// ---- tokens

// Whether `token` stands in `line` as a word of its own.
bool HasToken(absl::string_view line, absl::string_view token) {
  const bool open_ended = absl::ConsumeSuffix(&token, "*");
  for (size_t at = line.find(token); at != kNone; at = line.find(token, at + 1)) {
    const size_t end = at + token.size();
    const bool starts = at == 0 || !IsIdentifier(line[at - 1]) || !IsIdentifier(token.front());
    const bool ends =
        open_ended || end >= line.size() || !IsIdentifier(line[end]) || !IsIdentifier(token.back());
    if (starts && ends) return true;
  }
  return false;
}

// TODO(#123) is the one accepted form.
bool IsNumberedTodo(absl::string_view line, absl::string_view token) {
  const size_t at = line.find(token);
  return token == "TODO" && absl::StartsWith(line.substr(at + token.size()), "(#");
}

// ---- sizes

constexpr int kHeaderLinesMax = 300;
constexpr int kSourceLinesMax = 600;
constexpr int kTestLinesMax = 800;
constexpr int kFunctionLinesMax = 70;
constexpr int kColumnsMax = 100;
constexpr int kParametersMax = 5;

int FileLinesMax(absl::string_view path) {
  if (absl::StartsWith(path, "tests/")) return kTestLinesMax;
  return absl::EndsWith(path, ".h") && !absl::EndsWith(path, "-inl.h") ? kHeaderLinesMax
                                                                       : kSourceLinesMax;
}

int Columns(absl::string_view line) {  // code points
  return static_cast<int>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool IsUnbreakable(absl::string_view line) {
  return absl::StrContains(line, "://") || absl::StartsWith(line, "#include");
}

// ---- documents

// "a.{h,cc}" -> "a.h", "a.cc"; several groups multiply.
std::vector<std::string> ExpandBraces(const std::string& word) {
  const size_t open = word.find('{');
  const size_t close = word.find('}', open == kNone ? 0 : open);
  if (open == kNone || close == kNone) return {word};
  std::vector<std::string> words;
  for (const absl::string_view choice :
       absl::StrSplit(word.substr(open + 1, close - open - 1), ',')) {
    const std::string chosen = absl::StrCat(word.substr(0, open), choice, word.substr(close + 1));
    for (std::string& expanded : ExpandBraces(chosen)) words.push_back(std::move(expanded));
  }
  return words;
}

// The parts of a Markdown line that are code: all of it in a block, else what stands between
// backticks.
std::string CodeOf(absl::string_view line, bool in_block) {
  if (in_block) return std::string(line);
  const std::vector<std::string> parts = absl::StrSplit(line, '`');
  std::string code;
  for (size_t i = 1; i < parts.size(); i += 2) absl::StrAppend(&code, parts[i], " ");
  return code;
}

// The words of `code` that name a path of this tree: they start with a folder of its top, and hold
// no placeholder.
std::vector<std::string> TreePaths(absl::string_view code) {
  static const auto* tops = new std::set<std::string>{
      "bench",    "cli",   "cmake",   "common", "coordinator", "deploy", "docs",
      "examples", "proto", "scripts", "tests",  "worker",      ".ci"};
  std::vector<std::string> paths;
  for (absl::string_view word :
       absl::StrSplit(code, absl::ByAnyChar(" \t\"'()[];|="), absl::SkipEmpty())) {
    word = word.substr(0, word.find_first_of("#:"));
    while (absl::ConsumeSuffix(&word, ".") || absl::ConsumeSuffix(&word, ",")) continue;
    absl::ConsumePrefix(&word, "./");
    const size_t slash = word.find('/');
    if (slash == kNone || !tops->contains(std::string(word.substr(0, slash)))) continue;
    if (word.find_first_of("<>*$\\") != kNone || absl::StrContains(word, "...")) continue;
    absl::ConsumeSuffix(&word, "/");
    for (std::string& path : ExpandBraces(std::string(word))) paths.push_back(std::move(path));
  }
  return paths;
}

// Targets of ](links) of a line, from the root of the tree; those to other sites and within the
// page left out.
std::vector<std::string> LinkedPaths(absl::string_view line, const std::string& folder) {
  std::vector<std::string> paths;
  for (size_t at = line.find("]("); at != kNone; at = line.find("](", at + 1)) {
    absl::string_view target = line.substr(at + 2, line.find(')', at) - at - 2);
    target = target.substr(0, target.find('#'));
    if (target.empty() || absl::StrContains(target, "://")) continue;
    std::string from = folder;
    while (absl::ConsumePrefix(&target, "../")) from = Folder(from);
    absl::ConsumePrefix(&target, "./");
    absl::ConsumeSuffix(&target, "/");
    paths.push_back(from.empty() ? std::string(target) : absl::StrCat(from, "/", target));
  }
  return paths;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Finding& finding) {
  return out << finding.path << ":" << finding.line << ": [" << finding.rule << "] "
             << finding.message;
}

absl::StatusOr<Layers> ParseLayers(absl::string_view text) {
  Layers layers;
  std::string section;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const size_t colon = line.find(':');
    if (line == "[modules]" || line == "[headers]") {
      section = std::string(line);
    } else if (section.empty() || colon == kNone) {
      return absl::InvalidArgumentError(absl::StrCat("layers.txt:", number, ": '", line,
                                                     "' is neither a section nor 'name: names'"));
    } else {
      const std::string name(line.substr(0, colon));
      std::vector<std::string> words = Words(line.substr(colon + 1));
      std::vector<std::string>& allowed =
          section == "[modules]" ? layers.modules[name] : PlacesOf(name, layers);
      allowed.insert(allowed.end(), words.begin(), words.end());
    }
  }
  return layers;
}

Findings CheckAcyclic(const Layers& layers) {
  Findings findings;
  for (const auto& [module, edges] : layers.modules) {
    std::set<std::string> seen;
    if (Reaches(module, module, layers, seen)) {
      findings.push_back(
          {"cycle", "tests/tidy/layers.txt", 0,
           absl::StrCat(module, " may include itself through others: remove an edge")});
    }
  }
  return findings;
}

std::string ModuleOf(absl::string_view path, const Layers& layers) {
  for (std::string module(path); !module.empty(); module = Folder(module)) {
    if (layers.modules.contains(module)) return module;
  }
  return "";
}

Findings CheckIncludes(const SourceFile& file, const Layers& layers) {
  Findings findings;
  if (!IsCpp(file.path)) return findings;
  if (ModuleOf(file.path, layers).empty()) {
    findings.push_back(
        {"layer", file.path, 0, "is in no module; add its folder to tests/tidy/layers.txt"});
  }
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const Include include = IncludeOn(file, i);
    if (include.target.empty()) continue;
    const int line = static_cast<int>(i) + 1;
    if (const std::string wrong = WrongEdge(file.path, include, layers); !wrong.empty()) {
      findings.push_back({"layer", file.path, line, wrong});
    }
    const auto header = std::find_if(
        layers.headers.begin(), layers.headers.end(),
        [&](const Layers::Header& rule) { return Matches(rule.pattern, include.target); });
    if (header != layers.headers.end() && !MatchesAny(header->places, file.path)) {
      const std::string places =
          header->places.empty() ? "nowhere" : absl::StrJoin(header->places, " ");
      findings.push_back(
          {"header", file.path, line,
           absl::StrCat("<", include.target, "> may be included only in: ", places)});
    }
  }
  return findings;
}

Findings CheckTokens(const SourceFile& file) {
  Findings findings;
  if (!IsCpp(file.path)) return findings;
  for (const Banned& banned : kBannedTokens) {
    if (!MatchesAny(Words(banned.only_in), file.path) ||
        MatchesAny(Words(banned.places), file.path))
      continue;
    const std::vector<std::string>& lines = banned.in_comments ? file.lines : file.code;
    for (size_t i = 0; i < lines.size(); ++i) {
      if (!HasToken(lines[i], banned.token) || IsNumberedTodo(lines[i], banned.token)) continue;
      findings.push_back({"token", file.path, static_cast<int>(i) + 1,
                          absl::StrCat("'", banned.token, "' is banned; use ", banned.instead)});
    }
  }
  return findings;
}

Findings CheckSizes(const SourceFile& file) {
  Findings findings;
  if (!IsCpp(file.path)) return findings;
  const int lines = static_cast<int>(file.lines.size());
  if (const int most = FileLinesMax(file.path); lines > most) {
    findings.push_back(
        {"file-lines", file.path, 0, absl::StrCat(lines, " lines; at most ", most, ": split it")});
  }
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const int columns = Columns(file.lines[i]);
    if (columns > kColumnsMax && !IsUnbreakable(file.lines[i])) {
      findings.push_back(
          {"columns", file.path, static_cast<int>(i) + 1,
           absl::StrCat(columns, " columns; at most ", kColumnsMax, ": run clang-format-14")});
    }
  }
  for (const Function& function : FindFunctions(file)) {
    if (function.lines > kFunctionLinesMax) {
      findings.push_back({"function-lines", file.path, function.line,
                          absl::StrCat(function.name, " has ", function.lines, " lines; at most ",
                                       kFunctionLinesMax, ": name its parts")});
    }
    if (function.parameters > kParametersMax) {
      findings.push_back(
          {"parameters", file.path, function.line,
           absl::StrCat(function.name, " has ", function.parameters, " parameters; at most ",
                        kParametersMax, ": pass an option struct")});
    }
  }
  return findings;
}

Findings CheckHeader(const SourceFile& file) {
  Findings findings;
  if (!absl::EndsWith(file.path, ".h")) return findings;
  if (file.lines.empty() || !absl::StartsWith(file.lines[0], "// ")) {
    findings.push_back(
        {"card", file.path, 1, "open with a room card: purpose, thread, errors, invariants"});
  }
  std::string guard = absl::StrCat(
      "LOCKSTEP_",
      absl::AsciiStrToUpper(absl::StrReplaceAll(file.path, {{"/", "_"}, {".", "_"}, {"-", "_"}})),
      "_");
  const auto first = std::find_if(file.code.begin(), file.code.end(), [](const std::string& line) {
    return absl::StartsWith(line, "#");
  });
  // A header that Highway includes once per target toggles a guard of its own.
  const bool per_target = absl::EndsWith(file.path, "-inl.h");
  if (!per_target && (first == file.code.end() || *first != absl::StrCat("#ifndef ", guard))) {
    findings.push_back({"guard", file.path, 1, absl::StrCat("guard it with ", guard)});
  }
  return findings;
}

Findings CheckTestNames(const SourceFile& file) {
  Findings findings;
  if (!IsCpp(file.path)) return findings;
  for (size_t i = 0; i < file.code.size(); ++i) {
    absl::string_view line = file.code[i];
    const bool test =
        absl::ConsumePrefix(&line, "TEST(") || absl::ConsumePrefix(&line, "TEST_F(") ||
        absl::ConsumePrefix(&line, "TEST_P(") || absl::ConsumePrefix(&line, "TYPED_TEST(");
    if (test && absl::StrContains(line.substr(0, line.find(')')), "_")) {
      findings.push_back({"test-name", file.path, static_cast<int>(i) + 1,
                          "no underscores: TEST(TypeOrFile, DoesWhatWhenCondition)"});
    }
  }
  return findings;
}

void BuildFiles::Add(const SourceFile& cmake_file) {
  std::set<std::string>& words = words_[Folder(cmake_file.path)];
  std::string previous;
  for (const std::string& line : cmake_file.lines) {
    const absl::string_view code = absl::string_view(line).substr(0, line.find('#'));
    for (const absl::string_view word :
         absl::StrSplit(code, absl::ByAnyChar(" \t();\""), absl::SkipEmpty())) {
      if (previous == "DIR") rooms_.emplace(word);
      previous = std::string(word);
      words.emplace(absl::StripPrefix(absl::StripPrefix(word, "${CMAKE_CURRENT_SOURCE_DIR}/"),
                                      "${PROJECT_SOURCE_DIR}/"));
    }
  }
}

bool BuildFiles::Lists(absl::string_view source_path) const {
  if (IsRoom(Folder(source_path))) return true;
  std::string folder(source_path);
  do {
    folder = Folder(folder);
    const auto found = words_.find(folder);
    if (found == words_.end()) continue;
    const std::string relative(source_path.substr(folder.empty() ? 0 : folder.size() + 1));
    for (const std::string& word : found->second) {
      if (word == relative) return true;
      // "${name}_test.cc" of a loop: what stands for the variable must be a word of the same files.
      const size_t open = word.find("${");
      const size_t close = word.find('}', open == kNone ? 0 : open);
      if (open == kNone || close == kNone) continue;
      absl::string_view value = relative;
      if (absl::ConsumePrefix(&value, word.substr(0, open)) &&
          absl::ConsumeSuffix(&value, word.substr(close + 1)) &&
          found->second.contains(std::string(value))) {
        return true;
      }
    }
  } while (!folder.empty());
  return false;
}

Findings CheckBuild(const SourceFile& file, const BuildFiles& build) {
  Findings findings;
  if (!absl::EndsWith(file.path, ".cc")) return findings;
  if (!build.Lists(file.path)) {
    findings.push_back(
        {"unlisted", file.path, 0, "no target of a CMakeLists.txt names it: it is never built"});
  }
  if (build.IsRoom(Folder(file.path))) {
    const std::string space = absl::StrCat("::", Stem(file.path));
    const auto has = [&file](absl::string_view what) {
      return std::any_of(file.code.begin(), file.code.end(),
                         [what](const std::string& line) { return HasToken(line, what); });
    };
    if (!has("kDef") || !has(space)) {
      findings.push_back(
          {"room", file.path, 0,
           absl::StrCat("a room file defines kDef in a namespace that ends in ", space)});
    }
  }
  return findings;
}

Findings CheckDocPaths(const SourceFile& document, const std::set<std::string>& paths) {
  Findings findings;
  bool in_block = false;
  for (size_t i = 0; i < document.lines.size(); ++i) {
    const std::string& line = document.lines[i];
    if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "```")) {
      in_block = !in_block;
      continue;
    }
    std::vector<std::string> named = TreePaths(CodeOf(line, in_block));
    if (!in_block) {
      for (std::string& link : LinkedPaths(line, Folder(document.path)))
        named.push_back(std::move(link));
    }
    for (const std::string& path : named) {
      if (paths.contains(path)) continue;
      findings.push_back({"doc-path", document.path, static_cast<int>(i) + 1,
                          absl::StrCat(path, " does not exist")});
    }
  }
  return findings;
}

Findings ApplyAllowList(Findings findings, absl::string_view allow_list) {
  std::map<std::pair<std::string, std::string>, int> counts;
  for (const Finding& finding : findings) ++counts[{finding.rule, finding.path}];
  std::set<std::pair<std::string, std::string>> allowed;
  Findings excess;
  for (absl::string_view line : absl::StrSplit(allow_list, '\n')) {
    const std::vector<std::string> words = Words(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    int most = 0;
    if (words.size() != 3 || !absl::SimpleAtoi(words[2], &most) || most < 1) {
      excess.push_back({"allow", "tests/tidy/allow.txt", 0,
                        absl::StrCat("'", line, "' is not: rule path count")});
      continue;
    }
    const std::pair<std::string, std::string> key(words[0], words[1]);
    const int count = counts[key];
    if (count < most) {
      excess.push_back({"allow", words[1], 0,
                        absl::StrCat("allows ", most, " of ", words[0], ", there are ", count,
                                     ": lower the line")});
    }
    if (count <= most) allowed.insert(key);
  }
  std::erase_if(findings, [&](const Finding& f) { return allowed.contains({f.rule, f.path}); });
  findings.insert(findings.end(), excess.begin(), excess.end());
  return findings;
}

}  // namespace lockstep::tidy
