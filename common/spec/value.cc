#include "common/spec/value.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "common/base/check.h"

namespace lockstep {
namespace {

constexpr size_t kQuotedBytesMax = 60;

// Doubles hold every integer up to here, so 1 and 1.0 can be told equal without loss.
constexpr double kExactIntegerMax = 9007199254740992.0;  // 2^53

bool IsExactInteger(double value) {
  return std::abs(value) <= kExactIntegerMax && value == std::trunc(value);
}

nlohmann::json ToNlohmann(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return nullptr;
    case Value::Kind::kBool:
      return value.bool_value();
    case Value::Kind::kInt:
      return value.int_value();
    case Value::Kind::kFloat:
      if (IsExactInteger(value.number())) return static_cast<int64_t>(value.number());
      return value.number();
    case Value::Kind::kString:
      return value.string();
    case Value::Kind::kList: {
      nlohmann::json list = nlohmann::json::array();
      for (const Value& item : value.list()) list.push_back(ToNlohmann(item));
      return list;
    }
    case Value::Kind::kMap: {
      nlohmann::json map = nlohmann::json::object();
      for (const Value::Entry& entry : value.map()) map[entry.key] = ToNlohmann(entry.value);
      return map;
    }
  }
  return nullptr;
}

}  // namespace

std::string SourceMark::ToString() const {
  if (line == 0) return "";
  return absl::StrCat(file == nullptr ? "" : *file, ":", line, ":", column);
}

// Here, where Entry is complete.
Value::Value() = default;
Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;
Value::Value(Data data) : data_(std::move(data)) {}

Value Value::Bool(bool value) { return Value(Data(value)); }
Value Value::Int(int64_t value) { return Value(Data(value)); }
Value Value::String(absl::string_view value) { return Value(Data(std::string(value))); }
Value Value::MakeList(List items) { return Value(Data(std::move(items))); }
Value Value::MakeList() { return Value(Data(List())); }
Value Value::MakeMap(Map entries) { return Value(Data(std::move(entries))); }
Value Value::MakeMap() { return Value(Data(Map())); }

Value Value::Float(double value) {
  LOCKSTEP_CHECK(std::isfinite(value));
  return Value(Data(value + 0.0));  // -0 becomes +0
}

bool Value::bool_value() const {
  LOCKSTEP_CHECK(kind() == Kind::kBool);
  return *std::get_if<bool>(&data_);
}

int64_t Value::int_value() const {
  LOCKSTEP_CHECK(kind() == Kind::kInt);
  return *std::get_if<int64_t>(&data_);
}

double Value::number() const {
  LOCKSTEP_CHECK(is_number());
  const int64_t* integer = std::get_if<int64_t>(&data_);
  return integer != nullptr ? static_cast<double>(*integer) : *std::get_if<double>(&data_);
}

const std::string& Value::string() const {
  LOCKSTEP_CHECK(is_string());
  return *std::get_if<std::string>(&data_);
}

const Value::List& Value::list() const {
  LOCKSTEP_CHECK(is_list());
  return *std::get_if<List>(&data_);
}

const Value::Map& Value::map() const {
  LOCKSTEP_CHECK(is_map());
  return *std::get_if<Map>(&data_);
}

const Value* Value::Find(absl::string_view key) const {
  for (const Entry& entry : map()) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

void Value::Set(absl::string_view key, Value value) {
  LOCKSTEP_CHECK(is_map());
  Map& entries = *std::get_if<Map>(&data_);
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [key](const Entry& entry) { return entry.key == key; });
  if (found != entries.end()) {
    found->value = std::move(value);
  } else {
    entries.push_back({std::string(key), std::move(value), {}});
  }
}

std::string Value::Describe() const {
  switch (kind()) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return bool_value() ? "bool true" : "bool false";
    case Kind::kInt:
      return absl::StrCat("int ", int_value());
    case Kind::kFloat:
      return absl::StrCat("float ", ToJson(*this));
    case Kind::kString:
      return absl::StrCat("string ", Quote(string()));
    case Kind::kList:
      return absl::StrCat("a list of ", list().size());
    case Kind::kMap:
      return absl::StrCat("a map of ", map().size());
  }
  return "";
}

bool operator==(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number() && a.kind() != b.kind()) {
    const Value& integer = a.kind() == Value::Kind::kInt ? a : b;
    const double number = a.kind() == Value::Kind::kInt ? b.number() : a.number();
    return IsExactInteger(number) && integer.int_value() == static_cast<int64_t>(number);
  }
  if (a.kind() != b.kind()) return false;
  if (!a.is_map()) return a.data_ == b.data_;
  return a.map().size() == b.map().size() &&
         std::all_of(a.map().begin(), a.map().end(), [&b](const Value::Entry& entry) {
           const Value* other = b.Find(entry.key);
           return other != nullptr && entry.value == *other;
         });
}

std::string Quote(absl::string_view text) {
  const bool cut = text.size() > kQuotedBytesMax;
  if (cut) text = text.substr(0, kQuotedBytesMax);
  return absl::StrCat("'", absl::Utf8SafeCEscape(text), cut ? "...'" : "'");
}

absl::Status ErrorAt(const SourceMark& mark, absl::string_view where, absl::string_view message) {
  const std::string position = mark.ToString();
  return absl::InvalidArgumentError(absl::StrCat(position, position.empty() ? "" : ": ", where,
                                                 where.empty() ? "" : ": ", message));
}

std::string ToJson(const Value& value) {
  // `replace`: with a handler for bytes that are not UTF-8, dump throws nothing.
  return ToNlohmann(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace lockstep
