// GoldenFile: a JSON file of golden values. Numbers are written as text: floats and doubles as the
// hex digits of their bits, integers and reals in decimal, lists separated by blanks, row-major.
// Thread: any, once read. A name that is missing or malformed ends the test run.
#ifndef LOCKSTEP_TESTS_GOLDEN_GOLDEN_FILE_H_
#define LOCKSTEP_TESTS_GOLDEN_GOLDEN_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace lockstep::testing {

// One object of a file; a copy is cheap and keeps the file alive.
class Golden {
 public:
  // `path`: below tests/golden; tests run in the project's folder.
  static Golden Read(absl::string_view path);

  Golden at(absl::string_view name) const;                  // an object
  std::vector<Golden> cases(absl::string_view name) const;  // a list of objects
  std::string text(absl::string_view name) const;
  int64_t integer(absl::string_view name) const;

  std::vector<float> floats(absl::string_view name) const;    // bits, 8 digits each
  std::vector<double> doubles(absl::string_view name) const;  // bits, 16 digits each
  std::vector<uint64_t> words(absl::string_view name) const;  // hexadecimal
  std::vector<int64_t> integers(absl::string_view name) const;
  std::vector<double> reals(absl::string_view name) const;  // decimal

  // The only entry of a list.
  float real32(absl::string_view name) const { return floats(name).at(0); }
  uint64_t word(absl::string_view name) const { return words(name).at(0); }

 private:
  explicit Golden(std::shared_ptr<const void> json) : json_(std::move(json)) {}

  std::shared_ptr<const void> json_;  // of the file that it is a part of
};

// numerics.json, read once.
const Golden& Numerics();

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_GOLDEN_GOLDEN_FILE_H_
