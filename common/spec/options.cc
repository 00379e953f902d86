#include "common/spec/options.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/spec/job_yaml.h"

namespace lockstep {
namespace {

// Longer words are no typing mistakes, and the distance costs their product.
constexpr size_t kNearNameBytesMax = 64;
constexpr size_t kNearNamesMax = 3;

std::string Join(absl::string_view where, absl::string_view name) {
  return absl::StrCat(where, where.empty() ? "" : ".", name);
}

std::string Number(double value) { return ToJson(Value::Float(value)); }

// One number against the entry's bounds.
absl::Status CheckRange(const OptionDoc& doc, const Value& number, absl::string_view where) {
  const double value = number.number();
  if (value < doc.min) {
    return ErrorAt(
        number.mark(), where,
        absl::StrCat(ToJson(number), " is too small; use ", Number(doc.min), " or more"));
  }
  if (value > doc.max) {
    return ErrorAt(
        number.mark(), where,
        absl::StrCat(ToJson(number), " is too large; use ", Number(doc.max), " or less"));
  }
  return absl::OkStatus();
}

absl::Status WrongType(const OptionDoc& doc, const Value& value, absl::string_view where) {
  return ErrorAt(value.mark(), where,
                 absl::StrCat("is ", value.Describe(), "; it takes ", OptionTypeName(doc.type),
                              doc.nullable ? " or null" : ""));
}

absl::Status CheckString(const OptionDoc& doc, const Value& value, absl::string_view where) {
  if (!value.is_string()) return WrongType(doc, value, where);
  if (doc.choices.empty()) return absl::OkStatus();
  const std::vector<absl::string_view> choices = absl::StrSplit(doc.choices, ' ');
  if (std::find(choices.begin(), choices.end(), value.string()) != choices.end()) {
    return absl::OkStatus();
  }
  return ErrorAt(value.mark(), where,
                 absl::StrCat(Quote(value.string()), " is not a choice",
                              NearestNamesHint(value.string(), choices)));
}

absl::StatusOr<Value> CheckInts(const OptionDoc& doc, const Value& value, absl::string_view where) {
  Value::List items;
  if (value.is_list()) {
    items = value.list();
  } else if (doc.length > 0 && value.kind() == Value::Kind::kInt) {
    items.assign(static_cast<size_t>(doc.length), value);
  } else {
    return WrongType(doc, value, where);
  }
  if (doc.length > 0 && items.size() != static_cast<size_t>(doc.length)) {
    return ErrorAt(value.mark(), where,
                   absl::StrCat("has ", items.size(), " numbers; give ", doc.length,
                                ", or one that stands for all"));
  }
  for (const Value& item : items) {
    if (item.kind() != Value::Kind::kInt) return WrongType(doc, item, where);
    LOCKSTEP_RETURN_IF_ERROR(CheckRange(doc, item, where));
  }
  Value list = Value::MakeList(std::move(items));
  list.set_mark(value.mark());
  return list;
}

// The value as Options keeps it.
absl::StatusOr<Value> CheckOption(const OptionDoc& doc, const Value& value,
                                  absl::string_view where) {
  if (value.is_null() && doc.nullable) return value;
  switch (doc.type) {
    case OptionType::kBool:
      if (value.kind() != Value::Kind::kBool) return WrongType(doc, value, where);
      return value;
    case OptionType::kInt:
      if (value.kind() != Value::Kind::kInt) return WrongType(doc, value, where);
      LOCKSTEP_RETURN_IF_ERROR(CheckRange(doc, value, where));
      return value;
    case OptionType::kFloat:
      if (!value.is_number()) return WrongType(doc, value, where);
      LOCKSTEP_RETURN_IF_ERROR(CheckRange(doc, value, where));
      return value;
    case OptionType::kString:
      LOCKSTEP_RETURN_IF_ERROR(CheckString(doc, value, where));
      return value;
    case OptionType::kInts:
      return CheckInts(doc, value, where);
    case OptionType::kNode:
      LOCKSTEP_RETURN_IF_ERROR(ParseNode(value, where).status());
      return value;
    case OptionType::kAny:
      return value;
  }
  return value;
}

absl::Status CheckNoUnknownKey(absl::Span<const OptionDoc> docs, const Value& given,
                               absl::string_view where) {
  std::vector<absl::string_view> names;
  for (const OptionDoc& doc : docs) names.push_back(doc.name);
  for (const Value::Entry& entry : given.map()) {
    if (std::find(names.begin(), names.end(), entry.key) != names.end()) continue;
    const std::string shown =
        entry.key.size() > kNearNameBytesMax ? Quote(entry.key) : std::string(entry.key);
    return ErrorAt(entry.mark, Join(where, shown),
                   absl::StrCat("unknown option", NearestNamesHint(entry.key, names)));
  }
  return absl::OkStatus();
}

// Case and underscores are how the same name is written elsewhere: Conv2D, batchSize.
std::string Folded(absl::string_view name) {
  std::string folded = absl::AsciiStrToLower(name);
  folded.erase(std::remove_if(folded.begin(), folded.end(),
                              [](char c) { return c == '_' || c == '-' || c == ' '; }),
               folded.end());
  return folded;
}

// Insertions, deletions, replacements and swaps of neighbours from a to b.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

absl::string_view OptionTypeName(OptionType type) {
  switch (type) {
    case OptionType::kBool:
      return "true or false";
    case OptionType::kInt:
      return "an int";
    case OptionType::kFloat:
      return "a number";
    case OptionType::kString:
      return "a string";
    case OptionType::kInts:
      return "a list of ints";
    case OptionType::kNode:
      return "a name or {name: {options}}";
    case OptionType::kAny:
      return "any value";
  }
  return "";
}

absl::Status Node::UnknownType(absl::string_view what,
                               absl::Span<const absl::string_view> known) const {
  return ErrorAt(mark, where,
                 absl::StrCat("unknown ", what, " ", Quote(type), NearestNamesHint(type, known)));
}

absl::StatusOr<Node> ParseNode(const Value& value, absl::string_view where) {
  Node node;
  node.where = std::string(where);
  node.mark = value.mark();
  if (value.is_string() && !value.string().empty()) {
    node.type = value.string();
    node.options.set_mark(value.mark());
    return node;
  }
  const absl::string_view kForms = "write a name or {name: {option: value}}";
  if (!value.is_map()) {
    return ErrorAt(value.mark(), where, absl::StrCat("is ", value.Describe(), "; ", kForms));
  }
  const Value* options = nullptr;
  const Value* type = value.Find("type");
  if (type != nullptr) {
    options = value.Find("options");
    if (!type->is_string() || type->string().empty() ||
        value.map().size() != (options == nullptr ? 1u : 2u)) {
      return ErrorAt(value.mark(), where, "is not {type: name, options: {...}}");
    }
    node.type = type->string();
    node.mark = type->mark();
  } else if (value.map().size() == 1 && !value.map()[0].key.empty()) {
    node.type = value.map()[0].key;
    node.mark = value.map()[0].mark;
    options = &value.map()[0].value;
  } else {
    return ErrorAt(value.mark(), where, absl::StrCat("is ", value.Describe(), " keys; ", kForms));
  }
  if (options != nullptr && !options->is_null()) {
    if (!options->is_map()) {
      return ErrorAt(options->mark(), node.OptionsWhere(),
                     absl::StrCat("is ", options->Describe(), "; it takes a map of options"));
    }
    node.options = *options;
  } else {
    node.options.set_mark(node.mark);
  }
  return node;
}

const Options::Option& Options::Find(absl::string_view name) const {
  const auto found = std::find_if(options_.begin(), options_.end(),
                                  [name](const Option& option) { return option.name == name; });
  LOCKSTEP_CHECK(found != options_.end());
  return *found;
}

const Value& Options::Checked(absl::string_view name, OptionType type) const {
  const Option& option = Find(name);
  LOCKSTEP_CHECK(option.type == type && !option.value.is_null());
  return option.value;
}

bool Options::GetBool(absl::string_view name) const {
  return Checked(name, OptionType::kBool).bool_value();
}
int64_t Options::GetInt(absl::string_view name) const {
  return Checked(name, OptionType::kInt).int_value();
}
double Options::GetFloat(absl::string_view name) const {
  return Checked(name, OptionType::kFloat).number();
}
const std::string& Options::GetString(absl::string_view name) const {
  return Checked(name, OptionType::kString).string();
}

std::vector<int64_t> Options::GetInts(absl::string_view name) const {
  std::vector<int64_t> ints;
  for (const Value& item : Checked(name, OptionType::kInts).list())
    ints.push_back(item.int_value());
  return ints;
}

Node Options::GetNode(absl::string_view name) const {
  return *ParseNode(Checked(name, OptionType::kNode), Join(where_, name));
}

const Value& Options::GetValue(absl::string_view name) const { return Find(name).value; }

bool Options::Has(absl::string_view name) const { return Find(name).given; }
bool Options::IsNull(absl::string_view name) const { return Find(name).value.is_null(); }

absl::Status Options::Error(absl::string_view name, absl::string_view message) const {
  return ErrorAt(Find(name).value.mark(), Join(where_, name), message);
}

absl::StatusOr<Options> CheckOptions(absl::Span<const OptionDoc> docs, const Value& given,
                                     absl::string_view where) {
  if (!given.is_map()) {
    return ErrorAt(given.mark(), where,
                   absl::StrCat("is ", given.Describe(), "; it takes a map of options"));
  }
  LOCKSTEP_RETURN_IF_ERROR(CheckNoUnknownKey(docs, given, where));
  Options options;
  options.where_ = std::string(where);
  for (const OptionDoc& doc : docs) {
    const Value* value = given.Find(doc.name);
    if (value == nullptr && doc.required()) {
      return ErrorAt(given.mark(), where,
                     absl::StrCat("'", doc.name, "' is missing; give ", OptionTypeName(doc.type),
                                  doc.help.empty() ? "" : ": ", doc.help));
    }
    if (value != nullptr) {
      LOCKSTEP_ASSIGN_OR_RETURN(Value checked, CheckOption(doc, *value, Join(where, doc.name)));
      options.options_.push_back({doc.name, doc.type, /*given=*/true, std::move(checked)});
      continue;
    }
    absl::StatusOr<Value> fallback = ParseYaml(doc.fallback, doc.name);
    LOCKSTEP_CHECK(fallback.ok());
    fallback = CheckOption(doc, fallback->set_mark(given.mark()), doc.name);
    LOCKSTEP_CHECK(fallback.ok());
    options.options_.push_back({doc.name, doc.type, /*given=*/false, *std::move(fallback)});
  }
  return options;
}

std::vector<absl::string_view> NearestNames(absl::string_view name,
                                            absl::Span<const absl::string_view> candidates) {
  std::vector<std::pair<size_t, absl::string_view>> near;  // distance, candidate
  if (name.size() > kNearNameBytesMax) return {};
  const std::string folded = Folded(name);
  for (absl::string_view candidate : candidates) {
    const std::string other = Folded(candidate);
    const size_t distance = EditDistance(folded, other);
    const bool is_start = folded.size() >= 3 && absl::StartsWith(other, folded);
    const size_t near_max = std::max<size_t>(1, std::max(folded.size(), other.size()) / 3);
    if (is_start || (distance <= near_max && distance < folded.size())) {
      near.emplace_back(distance, candidate);
    }
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (near.size() > kNearNamesMax) near.resize(kNearNamesMax);
  std::vector<absl::string_view> names;
  for (const auto& [distance, candidate] : near) names.push_back(candidate);
  return names;
}

std::string NearestNamesHint(absl::string_view name,
                             absl::Span<const absl::string_view> candidates) {
  const std::vector<absl::string_view> near = NearestNames(name, candidates);
  if (candidates.empty()) return "; it takes none";
  if (near.empty()) return absl::StrCat("; known: ", absl::StrJoin(candidates, ", "));
  const auto quoted = [](std::string* out, absl::string_view word) {
    absl::StrAppend(out, "'", word, "'");
  };
  return absl::StrCat("; did you mean ", absl::StrJoin(near, " or ", quoted), "?");
}

}  // namespace lockstep
