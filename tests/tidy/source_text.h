// SourceFile: one file of the tree as text and as code, for the tidy rules.
// FindFunctions: definitions and declarations by a small scanner, not a compiler: good for sizes,
// blind to macros.
#ifndef LOCKSTEP_TESTS_TIDY_SOURCE_TEXT_H_
#define LOCKSTEP_TESTS_TIDY_SOURCE_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lockstep::tidy {

struct SourceFile {
  std::string path;                // from the root of the tree: "common/base/check.h"
  std::vector<std::string> lines;  // as they stand
  std::vector<std::string>
      code;  // C++ only: comments, and what literals hold, are blanks; same lines and columns
};

// Splits `text`; `code` is filled for C++ files (.h, .cc), else it equals `lines`.
SourceFile MakeSourceFile(absl::string_view path, absl::string_view text);

struct Function {
  std::string name;
  int line = 0;   // of its first line, from 1
  int lines = 0;  // from the first line of its signature to its closing brace; 0 for a declaration
  int parameters = 0;
};

// Functions of namespaces and classes, in order; lambdas and local classes count as part of their
// function.
std::vector<Function> FindFunctions(const SourceFile& file);

bool IsIdentifier(char c);

}  // namespace lockstep::tidy

#endif  // LOCKSTEP_TESTS_TIDY_SOURCE_TEXT_H_
