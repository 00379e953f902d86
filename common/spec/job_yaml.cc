#include "common/spec/job_yaml.h"

#include <cmath>
#include <cstddef>
#include <exception>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "yaml-cpp/depthguard.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/parser.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/spec/utf8.h"

namespace lockstep {
namespace {

// Skips ASCII digits; true if there was one.
bool ConsumeDigits(absl::string_view& text) {
  size_t count = 0;
  while (count < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[count]))) {
    ++count;
  }
  text.remove_prefix(count);
  return count > 0;
}

bool ConsumeAny(absl::string_view& text, absl::string_view characters) {
  if (text.empty() || characters.find(text.front()) == absl::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// yaml-cpp holds all tokens of an open list or map, over 200 bytes each; a value in one costs at
// least one separator.
constexpr int64_t kSeparatorsMax = 4 * kYamlNodesMax;

enum class NumberForm { kNone, kInteger, kFloat };

// The core schema's [-+]?[0-9]+ and [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
NumberForm FormOf(absl::string_view text) {
  ConsumeAny(text, "+-");
  const bool whole = ConsumeDigits(text);
  if (whole && text.empty()) return NumberForm::kInteger;
  const bool point = ConsumeAny(text, ".");
  const bool fraction = point && ConsumeDigits(text);
  if (!whole && !fraction) return NumberForm::kNone;
  if (ConsumeAny(text, "eE")) {
    ConsumeAny(text, "+-");
    if (!ConsumeDigits(text)) return NumberForm::kNone;
  }
  return text.empty() ? NumberForm::kFloat : NumberForm::kNone;
}

bool IsNotFinite(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  absl::string_view word = lower;
  ConsumeAny(word, "+-");
  return word == ".inf" || lower == ".nan";
}

// A plain scalar; the message says what is wrong with it, not where.
absl::StatusOr<Value> PlainScalar(const std::string& text) {
  if (text == "true" || text == "True" || text == "TRUE") return Value::Bool(true);
  if (text == "false" || text == "False" || text == "FALSE") return Value::Bool(false);
  const absl::string_view view = text;
  const bool hex = view.substr(0, 2) == "0x";
  const NumberForm form = hex ? NumberForm::kInteger : FormOf(view);
  if (form == NumberForm::kInteger) {
    int64_t integer = 0;
    if (hex ? absl::SimpleHexAtoi(view, &integer) : absl::SimpleAtoi(view, &integer)) {
      return Value::Int(integer);
    }
    if (hex && view.find_first_not_of("0123456789abcdefABCDEF", 2) != absl::string_view::npos) {
      return Value::String(text);
    }
    return absl::InvalidArgumentError(
        absl::StrCat("integer ", Quote(text), " does not fit 64 bits; use a smaller one"));
  }
  if (form == NumberForm::kFloat) {
    double number = 0;
    LOCKSTEP_CHECK(absl::SimpleAtod(view, &number));
    if (std::isfinite(number)) return Value::Float(number);
    return absl::InvalidArgumentError(
        absl::StrCat("number ", Quote(text), " does not fit a double; use a smaller one"));
  }
  if (IsNotFinite(view)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(text), " is not a finite number; every number of a job must be"));
  }
  return Value::String(text);
}

std::string TooDeep() {
  return absl::StrCat("nested deeper than ", kYamlDepthMax, " levels; use fewer");
}

// Builds the tree from yaml-cpp's events. After the first error it ignores the rest.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::shared_ptr<const std::string> file) : file_(std::move(file)) {}

  const absl::Status& status() const { return status_; }
  // The status says what a bracket that never closes looks like; an error of the scanner tells
  // more.
  bool may_be_unclosed() const { return may_be_unclosed_; }
  const Value& root() const { return root_; }
  SourceMark MarkOf(const YAML::Mark& mark) const {
    return {file_, mark.line + 1, mark.column + 1};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) Fail(mark, "a second document begins here; a job is one document");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    Fail(mark, "aliases are not allowed; write the value out");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (Admit(mark, "", anchor)) Add(mark, Value());
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    if (!Admit(mark, tag, anchor)) return;
    if (ExpectsKey()) return TakeKey(mark, text);
    if (tag == "!") return Add(mark, Value::String(text));
    absl::StatusOr<Value> value = PlainScalar(text);
    if (!value.ok()) return Fail(mark, value.status().message());
    Add(mark, *std::move(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    Open(mark, tag, anchor, Value::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    Open(mark, tag, anchor, Value::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map whose end has not come yet.
  struct Frame {
    Value::Kind kind;
    SourceMark mark;
    Value::List items;
    Value::Map entries;
    absl::flat_hash_set<std::string> keys;
    bool has_key = false;  // the key has come, its value has not
  };

  void Fail(const YAML::Mark& mark, absl::string_view message) {
    if (status_.ok()) status_ = ErrorAt(MarkOf(mark), "", message);
  }

  bool ExpectsKey() const {
    return !open_.empty() && open_.back().kind == Value::Kind::kMap && !open_.back().has_key;
  }

  // What every node must pass. yaml-cpp's tags: "?" for plain, "!" for quoted, "" for a null.
  bool Admit(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (!status_.ok()) return false;
    if (anchor != YAML::NullAnchor) {
      Fail(mark, "anchors are not allowed; write the value out where it is used");
    } else if (!tag.empty() && tag != "?" && tag != "!") {
      Fail(mark, absl::StrCat("tag ", Quote(tag), " is not allowed; remove it"));
    } else if (++nodes_ > kYamlNodesMax) {
      Fail(mark, absl::StrCat("more than ", kYamlNodesMax, " values; use a smaller file"));
    }
    return status_.ok();
  }

  void TakeKey(const YAML::Mark& mark, const std::string& key) {
    Frame& frame = open_.back();
    if (!frame.keys.insert(key).second) {
      return Fail(mark, absl::StrCat("key ", Quote(key), " is there twice; remove one"));
    }
    frame.entries.push_back({key, Value(), MarkOf(mark)});
    frame.has_key = true;
  }

  void Add(const YAML::Mark& mark, Value value) {
    value.set_mark(MarkOf(mark));
    Attach(std::move(value), mark);
  }

  void Attach(Value value, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().kind == Value::Kind::kList) {
      open_.back().items.push_back(std::move(value));
    } else if (ExpectsKey()) {
      Fail(mark, absl::StrCat("a key is ", value.Describe(), "; use a word"));
    } else {
      open_.back().entries.back().value = std::move(value);
      open_.back().has_key = false;
    }
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Value::Kind kind) {
    if (!Admit(mark, tag, anchor)) return;
    if (ExpectsKey()) {
      may_be_unclosed_ = true;
      return Fail(mark, "a key is a list or a map; use a word");
    }
    if (open_.size() >= kYamlDepthMax) {
      return Fail(mark, TooDeep());
    }
    open_.push_back({kind, MarkOf(mark), {}, {}, {}, false});
  }

  void Close() {
    if (!status_.ok()) return;
    Frame frame = std::move(open_.back());
    open_.pop_back();
    Value value = frame.kind == Value::Kind::kList ? Value::MakeList(std::move(frame.items))
                                                   : Value::MakeMap(std::move(frame.entries));
    value.set_mark(std::move(frame.mark));
    Attach(std::move(value), {});
  }

  std::shared_ptr<const std::string> file_;
  absl::Status status_;
  Value root_;
  std::vector<Frame> open_;
  int64_t nodes_ = 0;
  int documents_ = 0;
  bool may_be_unclosed_ = false;
};

// What yaml-cpp must not see: it repairs some bad bytes without a word.
absl::Status CheckBytes(absl::string_view text, const std::shared_ptr<const std::string>& file) {
  if (text.size() > static_cast<size_t>(kYamlBytesMax)) {
    return absl::InvalidArgumentError(absl::StrCat(*file, ": ", text.size(),
                                                   " bytes are too many for a job file; at most ",
                                                   kYamlBytesMax, " are read"));
  }
  const size_t invalid = FirstInvalidUtf8(text);
  int64_t separators = 0;
  SourceMark mark{file, 1, 1};
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (i == invalid) {
      return ErrorAt(mark, "",
                     absl::StrCat("byte ", absl::Hex(byte, absl::kZeroPad2),
                                  " is not UTF-8; save the file as UTF-8"));
    }
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F) {
      return ErrorAt(mark, "",
                     absl::StrCat("control character ", absl::Hex(byte, absl::kZeroPad2),
                                  " is not allowed; remove it"));
    }
    if (byte == '[' || byte == '{' || byte == ',' || byte == ':') {
      if (++separators > kSeparatorsMax) {
        return ErrorAt(mark, "", "too many values up to here; use a smaller file");
      }
    }
    if (byte == '\n') {
      ++mark.line;
      mark.column = 1;
    } else if ((byte & 0xC0) != 0x80) {
      ++mark.column;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Value> ParseYaml(absl::string_view text, absl::string_view file_name) {
  const auto file = std::make_shared<const std::string>(file_name);
  LOCKSTEP_RETURN_IF_ERROR(CheckBytes(text, file));
  TreeBuilder builder(file);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    bool any = false;
    while (builder.status().ok() && parser.HandleNextDocument(builder)) any = true;
    if (!any) return ErrorAt({}, file_name, "is empty; a job file needs at least model and data");
  } catch (const YAML::DeepRecursion& error) {
    return ErrorAt(builder.MarkOf(error.mark), "", TooDeep());
  } catch (const YAML::Exception& error) {
    if (!builder.may_be_unclosed()) LOCKSTEP_RETURN_IF_ERROR(builder.status());
    return ErrorAt(builder.MarkOf(error.mark), "",
                   absl::StrCat("not YAML: ", error.msg,
                                "; look at brackets, quotes and indentation up to here"));
  } catch (const std::exception& error) {
    return ErrorAt({}, file_name,
                   absl::StrCat("cannot be read as YAML: ", error.what(), "; write it anew"));
  }
  LOCKSTEP_RETURN_IF_ERROR(builder.status());
  return builder.root();
}

}  // namespace lockstep
