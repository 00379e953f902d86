#include "tests/tidy/source_text.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace lockstep::tidy {
namespace {

constexpr size_t kNone = std::string::npos;

// Overwrites [begin, end) with blanks and keeps the line breaks.
void Blank(std::string& text, size_t begin, size_t end) {
  for (size_t i = begin; i < std::min(end, text.size()); ++i) {
    if (text[i] != '\n') text[i] = ' ';
  }
}

// The end of the literal that opens at `begin` with a quote: one past its closing quote.
size_t QuotedEnd(absl::string_view text, size_t begin) {
  size_t i = begin + 1;
  while (i < text.size() && text[i] != text[begin] && text[i] != '\n') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

// The end of the raw literal whose quote is at `quote`: R"delimiter( ... )delimiter".
size_t RawEnd(absl::string_view text, size_t quote) {
  const size_t open = text.find('(', quote);
  if (open == kNone) return text.size();
  const std::string close = absl::StrCat(")", text.substr(quote + 1, open - quote - 1), "\"");
  const size_t end = text.find(close, open);
  return end == kNone ? text.size() : end + close.size();
}

bool IsDigitSeparator(absl::string_view text, size_t i) {
  return i > 0 && absl::ascii_isxdigit(static_cast<unsigned char>(text[i - 1])) &&
         i + 1 < text.size() && absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1]));
}

std::string BlankCommentsAndLiterals(std::string text) {
  size_t i = 0;
  while (i < text.size()) {
    const absl::string_view rest = absl::string_view(text).substr(i);
    size_t end = i + 1;
    if (absl::StartsWith(rest, "//")) {
      end = std::min(text.find('\n', i), text.size());
      Blank(text, i, end);
    } else if (absl::StartsWith(rest, "/*")) {
      const size_t close = text.find("*/", i + 2);
      end = close == kNone ? text.size() : close + 2;
      Blank(text, i, end);
    } else if (absl::StartsWith(rest, "R\"") && (i == 0 || !IsIdentifier(text[i - 1]))) {
      end = RawEnd(text, i + 1);
      Blank(text, i + 2, end - 1);
    } else if (text[i] == '"' || (text[i] == '\'' && !IsDigitSeparator(text, i))) {
      end = QuotedEnd(text, i);
      Blank(text, i + 1, end - 1);
    }
    i = end;
  }
  return text;
}

std::vector<std::string> Lines(absl::string_view text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

// The code as one text, with preprocessor lines and their continuations blanked.
std::string WithoutPreprocessor(const SourceFile& file) {
  std::vector<std::string> lines = file.code;
  bool directive = false;
  for (std::string& line : lines) {
    directive = directive || absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "#");
    const bool continues = absl::EndsWith(line, "\\");
    if (directive) line.clear();
    directive = directive && continues;
  }
  return absl::StrJoin(lines, "\n");
}

// The index of the bracket that closes the one at `open`, or the last index.
size_t Matching(absl::string_view text, size_t open) {
  const char opening = text[open];
  const char closing = opening == '(' ? ')' : opening == '<' ? '>' : '}';
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == opening) ++depth;
    if (text[i] == closing && --depth == 0) return i;
  }
  return text.size() - 1;
}

bool OpensTemplate(absl::string_view text, size_t i) {
  return text[i] == '<' && i > 0 && IsIdentifier(text[i - 1]);
}

absl::string_view LastWord(absl::string_view text) {
  text = absl::StripTrailingAsciiWhitespace(text);
  size_t begin = text.size();
  while (begin > 0 && (IsIdentifier(text[begin - 1]) || text[begin - 1] == '~')) --begin;
  return text.substr(begin);
}

absl::string_view FirstWord(absl::string_view text) {
  size_t end = 0;
  while (end < text.size() && IsIdentifier(text[end])) ++end;
  return text.substr(0, end);
}

int CountParameters(absl::string_view list) {
  list = absl::StripAsciiWhitespace(list);
  if (list.empty() || list == "void") return 0;
  int count = 1;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '(' || list[i] == '{' || OpensTemplate(list, i)) {
      i = Matching(list, i);
    } else if (list[i] == ',') {
      ++count;
    }
  }
  return count;
}

struct Signature {
  std::string name;
  int parameters = 0;
  size_t end = 0;  // one past the parameter list, within the head
};

// The function that `head` (the text before a brace or semicolon) declares, if it declares one.
std::optional<Signature> ParseSignature(absl::string_view head) {
  constexpr absl::string_view kNotNames[] = {"alignas", "decltype", "__attribute__", "explicit",
                                             "requires"};
  for (size_t i = 0; i < head.size(); ++i) {
    if (OpensTemplate(head, i)) {
      if (LastWord(head.substr(0, i)) == "operator") continue;
      i = Matching(head, i);
    } else if (head[i] == '=' && !absl::StrContains(head.substr(0, i), "operator")) {
      return std::nullopt;
    } else if (head[i] == '(') {
      const size_t close = Matching(head, i);
      const absl::string_view before = head.substr(0, i);
      const absl::string_view name = LastWord(before);
      const bool call_operator = name == "operator" && close == i + 1;
      const bool symbol = name.empty() && absl::StrContains(before, "operator");
      const bool named = !name.empty() && std::find(std::begin(kNotNames), std::end(kNotNames),
                                                    name) == std::end(kNotNames);
      if (!call_operator && (named || symbol)) {
        return Signature{std::string(symbol ? "operator" : name),
                         CountParameters(head.substr(i + 1, close - i - 1)), close + 1};
      }
      i = close;
    }
  }
  return std::nullopt;
}

// "a_" in `Foo(int a) : a_{a} {`: the brace that follows opens a member's initialiser, not the
// body.
bool EndsInMemberName(absl::string_view head, const Signature& signature) {
  const absl::string_view tail = absl::StripAsciiWhitespace(head.substr(signature.end));
  const size_t colon = tail.find(':');
  const bool has_initialisers = colon != kNone && !absl::StartsWith(tail.substr(colon), "::");
  return has_initialisers && (IsIdentifier(tail.back()) || tail.back() == '>');
}

class FunctionScanner {
 public:
  explicit FunctionScanner(const SourceFile& file) : text_(WithoutPreprocessor(file)) {}

  std::vector<Function> Run() {
    for (size_t i = 0; i < text_.size(); ++i) {
      switch (text_[i]) {
        case ';':
          Declaration(i);
          break;
        case '{':
          i = Brace(i);
          break;
        case '}':
          head_ = i + 1;
          break;
        case '(':
          i = Matching(text_, i);
          break;
        case ':':
          AccessLabel(i);
          break;
        default:
          break;
      }
    }
    return std::move(functions_);
  }

 private:
  // The text since the last border, without template headers.
  absl::string_view Head(size_t end) {
    absl::string_view all = text_;
    while (head_ < end && absl::ascii_isspace(static_cast<unsigned char>(text_[head_]))) ++head_;
    absl::string_view head = all.substr(head_, end - head_);
    while (FirstWord(head) == "template" && absl::StrContains(head, "<")) {
      head = absl::StripLeadingAsciiWhitespace(head.substr(Matching(head, head.find('<')) + 1));
    }
    return head;
  }

  int LineOf(size_t i) const {
    return 1 + static_cast<int>(
                   std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(i), '\n'));
  }

  void Declaration(size_t semicolon) {
    const absl::string_view head = Head(semicolon);
    const absl::string_view first = FirstWord(head);
    if (first != "using" && first != "typedef" && first != "static_assert") {
      if (const std::optional<Signature> signature = ParseSignature(head)) {
        functions_.push_back({signature->name, LineOf(head_), 0, signature->parameters});
      }
    }
    head_ = semicolon + 1;
  }

  // Returns the index where scanning goes on.
  size_t Brace(size_t open) {
    const absl::string_view head = Head(open);
    const absl::string_view first = FirstWord(head);
    const std::optional<Signature> signature = ParseSignature(head);
    const bool scope = first == "namespace" || first == "class" || first == "struct" ||
                       first == "union" || absl::StartsWith(head, "inline namespace") ||
                       (first == "extern" && !signature);
    if (scope) {
      head_ = open + 1;
      return open;
    }
    const size_t close = Matching(text_, open);
    if (!signature || EndsInMemberName(head, *signature))
      return close;  // an initialiser: the head goes on
    const int line = LineOf(head_);
    functions_.push_back({signature->name, line, LineOf(close) - line + 1, signature->parameters});
    head_ = close + 1;
    return close;
  }

  void AccessLabel(size_t colon) {
    const absl::string_view head = Head(colon);
    if (head == "public" || head == "private" || head == "protected") head_ = colon + 1;
  }

  const std::string text_;
  size_t head_ = 0;  // where the text since the last border begins
  std::vector<Function> functions_;
};

}  // namespace

bool IsIdentifier(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

SourceFile MakeSourceFile(absl::string_view path, absl::string_view text) {
  SourceFile file{std::string(path), Lines(text), {}};
  const bool cpp = absl::EndsWith(path, ".h") || absl::EndsWith(path, ".cc");
  file.code = cpp ? Lines(BlankCommentsAndLiterals(std::string(text))) : file.lines;
  return file;
}

std::vector<Function> FindFunctions(const SourceFile& file) { return FunctionScanner(file).Run(); }

}  // namespace lockstep::tidy
