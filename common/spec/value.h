// Value: a small JSON-like tree with the source position of every node; what a job file, a JSON
// text and a message all become. Thread: a plain value. Errors: none; asking for another kind than
// the node has is a CHECK. Invariant: numbers are finite, zero has no sign (JSON of protobuf drops
// it), map keys are unique and keep the order of the file.
#ifndef LOCKSTEP_COMMON_SPEC_VALUE_H_
#define LOCKSTEP_COMMON_SPEC_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lockstep {

// Where a node stands. Line and column count from 1; line 0 is a value that no text holds.
struct SourceMark {
  std::shared_ptr<const std::string> file;
  int32_t line = 0;
  int32_t column = 0;

  std::string ToString() const;  // "job.yaml:12:9", or "" without a position
};

class Value {
 public:
  enum class Kind { kNull, kBool, kInt, kFloat, kString, kList, kMap };
  struct Entry;
  using List = std::vector<Value>;
  using Map = std::vector<Entry>;

  Value();  // null
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  static Value String(absl::string_view value);
  static Value MakeList(List items);
  static Value MakeList();
  static Value MakeMap(Map entries);
  static Value MakeMap();

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_null() const { return kind() == Kind::kNull; }
  bool is_number() const { return kind() == Kind::kInt || kind() == Kind::kFloat; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_list() const { return kind() == Kind::kList; }
  bool is_map() const { return kind() == Kind::kMap; }

  bool bool_value() const;
  int64_t int_value() const;
  double number() const;  // of an int or a float
  const std::string& string() const;
  const List& list() const;
  const Map& map() const;
  // The value under `key`, or null. CHECKs that this is a map.
  const Value* Find(absl::string_view key) const;
  // Sets or adds `key`. CHECKs that this is a map; for values that code makes.
  void Set(absl::string_view key, Value value);

  // "int 3", "string 'abc'", "a list of 2", for messages.
  std::string Describe() const;

  const SourceMark& mark() const { return mark_; }
  Value& set_mark(SourceMark mark) {
    mark_ = std::move(mark);
    return *this;
  }

  // Equal content: numbers by value (1 == 1.0), maps in any order, marks ignored.
  friend bool operator==(const Value& a, const Value& b);

 private:
  // The alternatives stand in the order of Kind.
  using Data = std::variant<std::monostate, bool, int64_t, double, std::string, List, Map>;
  explicit Value(Data data);

  Data data_;
  SourceMark mark_;
};

struct Value::Entry {
  std::string key;
  Value value;
  SourceMark mark;  // of the key

  friend bool operator==(const Entry& a, const Entry& b) {
    return a.key == b.key && a.value == b.value;
  }
};

// 'text', escaped and cut where it is long: for messages.
std::string Quote(absl::string_view text);

// INVALID_ARGUMENT "job.yaml:12:9: where: message"; parts that are empty are left out.
absl::Status ErrorAt(const SourceMark& mark, absl::string_view where, absl::string_view message);

// JSON on one line, map keys sorted, numbers in their shortest exact form (1.0 is written 1): equal
// values give equal texts.
std::string ToJson(const Value& value);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_VALUE_H_
