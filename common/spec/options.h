// OptionDoc: what one option of a layer, loss, optimizer or format is. Options: a map of them,
// checked, with typed getters. One table serves the check, the defaults and `lockstep describe`.
// Node: a type with options, as `{adam: {...}}` or `adam`. Thread: plain values. Errors:
// CheckOptions and ParseNode, INVALID_ARGUMENT; a getter for an option that the table does not
// have, or has with another type, is a bug of ours and a CHECK.
#ifndef LOCKSTEP_COMMON_SPEC_OPTIONS_H_
#define LOCKSTEP_COMMON_SPEC_OPTIONS_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/spec/value.h"

namespace lockstep {

enum class OptionType { kBool, kInt, kFloat, kString, kInts, kNode, kAny };

// "int", "list of int", ...: for `describe` and messages.
absl::string_view OptionTypeName(OptionType type);

struct OptionDoc {
  absl::string_view name;
  OptionType type = OptionType::kAny;
  absl::string_view fallback;  // in job-file form: "1", "[2, 2]", "glorot_uniform", "null"; absent:
                               // the option is required
  double min =
      std::numeric_limits<double>::lowest();  // of a number, or of each number of a list; inclusive
  double max = std::numeric_limits<double>::max();
  absl::string_view choices;  // of a string: the words allowed, separated by one space; absent: any
  int32_t length =
      0;  // of kInts: one number is repeated this often; 0: any length, and no repetition
  bool nullable = false;  // null may be given; see IsNull
  absl::string_view help;

  constexpr bool required() const { return fallback.empty(); }
};

// A type and its options, not yet checked against the table of that type.
struct Node {
  std::string type;
  Value options = Value::MakeMap();
  std::string where;  // "optimizer", "model.layers[3]"
  SourceMark mark;    // of the type's name

  std::string OptionsWhere() const { return where.empty() ? type : where + "." + type; }
  // "job.yaml:12:9: model.layers[3].dense: message"
  absl::Status Error(absl::string_view message) const {
    return ErrorAt(mark, OptionsWhere(), message);
  }
  // "job.yaml:12:9: optimizer: unknown optimizer 'adm'; did you mean 'adam'?"
  absl::Status UnknownType(absl::string_view what, absl::Span<const absl::string_view> known) const;

  friend bool operator==(const Node& a, const Node& b) {
    return a.type == b.type && a.options == b.options;
  }
};

// `adam`, `{adam: {...}}`, `{adam: }`, or the form of the message, `{type: adam, options: {...}}`.
absl::StatusOr<Node> ParseNode(const Value& value, absl::string_view where);

class Options {
 public:
  // Every option of the table has a value: the one given or its fallback.
  bool GetBool(absl::string_view name) const;
  int64_t GetInt(absl::string_view name) const;
  double GetFloat(absl::string_view name) const;
  const std::string& GetString(absl::string_view name) const;
  std::vector<int64_t> GetInts(absl::string_view name) const;
  Node GetNode(absl::string_view name) const;
  const Value& GetValue(absl::string_view name) const;  // as given; of any type

  bool Has(absl::string_view name) const;  // given, not defaulted
  bool IsNull(absl::string_view name)
      const;  // of a nullable option; the other getters CHECK that it is not

  // Errors about values that only the entry itself can judge: "job.yaml:12:9:
  // model.layers[3].conv2d.strides: message".
  absl::Status Error(absl::string_view name, absl::string_view message) const;

 private:
  friend absl::StatusOr<Options> CheckOptions(absl::Span<const OptionDoc>, const Value&,
                                              absl::string_view);
  struct Option {
    absl::string_view name;
    OptionType type;
    bool given;
    Value value;
  };
  const Option& Find(absl::string_view name) const;
  const Value& Checked(absl::string_view name, OptionType type) const;

  std::string where_;
  std::vector<Option> options_;
};

// `given`: a map. `docs` must outlive the result. INVALID_ARGUMENT names the place, the value and
// the way out: unknown option (with near names), wrong type, out of range, not a choice, wrong
// length, missing.
absl::StatusOr<Options> CheckOptions(absl::Span<const OptionDoc> docs, const Value& given,
                                     absl::string_view where);

// The candidates nearest to `name` by edit distance, best first: at most three, none that is merely
// as far as any word.
std::vector<absl::string_view> NearestNames(absl::string_view name,
                                            absl::Span<const absl::string_view> candidates);
// "; did you mean 'units'?", or "; known: a, b, c" where nothing is near.
std::string NearestNamesHint(absl::string_view name,
                             absl::Span<const absl::string_view> candidates);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_OPTIONS_H_
