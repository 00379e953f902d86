// The house rules over the whole tree. Run by every gate and by .githooks/pre-commit; takes about a
// second.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"
#include "tests/tidy/source_text.h"
#include "tests/tidy/tidy_rules.h"

namespace lockstep::tidy {
namespace {

namespace fs = std::filesystem;

std::string ReadText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Every file and folder of the tree as it would be committed: no build, no caches, no version
// control.
std::set<std::string> ListTree(const fs::path& root) {
  std::set<std::string> paths;
  for (auto entry = fs::recursive_directory_iterator(root);
       entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string name = entry->path().filename();
    if (name == ".git" || name == ".cache" || name == "__pycache__" ||
        absl::StartsWith(name, "build")) {
      entry.disable_recursion_pending();
      continue;
    }
    paths.insert(entry->path().lexically_relative(root));
  }
  return paths;
}

bool HasSuffix(const std::string& path, std::initializer_list<const char*> suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&path](const char* suffix) { return absl::EndsWith(path, suffix); });
}

TEST(Tidy, TheTreeKeepsTheHouseRules) {
  const fs::path root = LOCKSTEP_SOURCE_DIR;
  ASSERT_OK_AND_ASSIGN(const Layers layers, ParseLayers(ReadText(root / "tests/tidy/layers.txt")));
  const std::set<std::string> paths = ListTree(root);
  BuildFiles build;
  std::vector<SourceFile> files;
  for (const std::string& path : paths) {
    if (HasSuffix(path, {"CMakeLists.txt", ".cmake"}))
      build.Add(MakeSourceFile(path, ReadText(root / path)));
    if (HasSuffix(path, {".h", ".cc", ".md"}))
      files.push_back(MakeSourceFile(path, ReadText(root / path)));
  }
  ASSERT_GT(files.size(), 20u) << "found almost nothing below " << root;

  Findings all = CheckAcyclic(layers);
  const auto add = [&all](const Findings& some) {
    all.insert(all.end(), some.begin(), some.end());
  };
  for (const SourceFile& file : files) {
    if (absl::EndsWith(file.path, ".md")) {
      add(CheckDocPaths(file, paths));
      continue;
    }
    add(CheckIncludes(file, layers));
    add(CheckTokens(file));
    add(CheckSizes(file));
    add(CheckHeader(file));
    add(CheckTestNames(file));
    add(CheckBuild(file, build));
  }

  std::ostringstream report;
  const Findings findings = ApplyAllowList(all, ReadText(root / "tests/tidy/allow.txt"));
  for (const Finding& finding : findings) report << finding << "\n";
  EXPECT_EQ(findings.size(), 0u) << report.str();
}

}  // namespace
}  // namespace lockstep::tidy
