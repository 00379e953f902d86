// The house rules, each a pure function of file texts; tidy_test.cc runs them over the tree.
// A rule returns what it finds and never repairs. Every message says what to do instead.
#ifndef LOCKSTEP_TESTS_TIDY_TIDY_RULES_H_
#define LOCKSTEP_TESTS_TIDY_TIDY_RULES_H_

#include <map>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "tests/tidy/source_text.h"

namespace lockstep::tidy {

struct Finding {
  std::string rule;
  std::string path;
  int line = 0;  // from 1; 0 for the file as a whole
  std::string message;
};
std::ostream& operator<<(std::ostream& out, const Finding& finding);  // "path:line: [rule] message"
using Findings = std::vector<Finding>;

// tests/tidy/layers.txt.
struct Layers {
  struct Header {
    std::string pattern;
    std::vector<std::string> places;
  };
  std::map<std::string, std::vector<std::string>>
      modules;                  // module -> patterns of modules it may include
  std::vector<Header> headers;  // the first pattern that matches counts
};
absl::StatusOr<Layers> ParseLayers(absl::string_view text);

// "cycle": data flows one way; the modules that others may include form no cycle.
Findings CheckAcyclic(const Layers& layers);

// The longest module of `layers` that holds `path`, or "".
std::string ModuleOf(absl::string_view path, const Layers& layers);

// "layer" and "header": every include is an edge of layers.txt, from the root of the tree.
Findings CheckIncludes(const SourceFile& file, const Layers& layers);

// "token": words with a better replacement, each with the places where they may stand.
Findings CheckTokens(const SourceFile& file);

// "file-lines", "columns", "function-lines", "parameters": the budgets.
Findings CheckSizes(const SourceFile& file);

// "guard", "card": a header opens with its room card and carries the guard LOCKSTEP_PATH_FILE_H_.
Findings CheckHeader(const SourceFile& file);

// "test-name": TEST(TypeOrFile, DoesWhatWhenCondition), no underscores.
Findings CheckTestNames(const SourceFile& file);

// What the CMake files say: which sources are listed, which folders are rooms.
class BuildFiles {
 public:
  void Add(const SourceFile& cmake_file);
  bool Lists(absl::string_view source_path) const;
  bool IsRoom(absl::string_view folder) const { return rooms_.contains(std::string(folder)); }

 private:
  std::map<std::string, std::set<std::string>>
      words_;  // folder -> words of its CMake files, comments left out
  std::set<std::string> rooms_;
};

// "unlisted": a .cc that no target names. "room": a room file that does not define kDef in a
// namespace of its name.
Findings CheckBuild(const SourceFile& file, const BuildFiles& build);

// "doc-path": a path in `backticks`, a code block or a link of a .md file that is neither a file
// nor a folder of the tree.
Findings CheckDocPaths(const SourceFile& document, const std::set<std::string>& paths);

// tests/tidy/allow.txt, lines `rule path count`: removes what is allowed; adds "allow" where a line
// allows too much.
Findings ApplyAllowList(Findings findings, absl::string_view allow_list);

}  // namespace lockstep::tidy

#endif  // LOCKSTEP_TESTS_TIDY_TIDY_RULES_H_
