#include "tests/golden/golden_file.h"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"

namespace lockstep::testing {
namespace {

[[noreturn]] void Fail(absl::string_view what) {
  std::fprintf(stderr, "golden file: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

const nlohmann::json& JsonOf(const std::shared_ptr<const void>& json) {
  return *static_cast<const nlohmann::json*>(json.get());
}

const nlohmann::json& Member(const std::shared_ptr<const void>& json, absl::string_view name) {
  const auto found = JsonOf(json).find(std::string(name));
  if (found == JsonOf(json).end()) Fail(absl::StrCat("no '", name, "'"));
  return *found;
}

template <typename T, typename Parse>
std::vector<T> List(const std::string& text, Parse parse) {
  std::vector<T> values;
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    T value{};
    if (!parse(word, &value)) Fail(absl::StrCat("'", word, "' is no number of its kind"));
    values.push_back(value);
  }
  return values;
}

}  // namespace

Golden Golden::Read(absl::string_view path) {
  std::ifstream in(absl::StrCat("tests/golden/", path), std::ios::binary);
  auto json = std::make_shared<nlohmann::json>(
      nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false));
  if (json->is_discarded()) Fail(absl::StrCat(path, " is missing or no JSON"));
  return Golden(std::move(json));
}

Golden Golden::at(absl::string_view name) const { return Golden({json_, &Member(json_, name)}); }

std::vector<Golden> Golden::cases(absl::string_view name) const {
  std::vector<Golden> cases;
  for (const nlohmann::json& entry : Member(json_, name)) cases.push_back(Golden({json_, &entry}));
  if (cases.empty()) Fail(absl::StrCat("'", name, "' has no cases"));
  return cases;
}

std::string Golden::text(absl::string_view name) const {
  const nlohmann::json& member = Member(json_, name);
  if (!member.is_string()) Fail(absl::StrCat("'", name, "' is no text"));
  return member.get<std::string>();
}

int64_t Golden::integer(absl::string_view name) const {
  const nlohmann::json& member = Member(json_, name);
  if (!member.is_number_integer()) Fail(absl::StrCat("'", name, "' is no integer"));
  return member.get<int64_t>();
}

std::vector<float> Golden::floats(absl::string_view name) const {
  return List<float>(text(name), [](absl::string_view word, float* value) {
    uint32_t bits = 0;
    const bool read = word.size() == 8 && absl::SimpleHexAtoi(word, &bits);
    *value = std::bit_cast<float>(bits);
    return read;
  });
}

std::vector<double> Golden::doubles(absl::string_view name) const {
  std::vector<double> values;
  for (const uint64_t word : words(name)) values.push_back(std::bit_cast<double>(word));
  return values;
}

std::vector<uint64_t> Golden::words(absl::string_view name) const {
  return List<uint64_t>(text(name), [](absl::string_view word, uint64_t* value) {
    return word.size() == 16 && absl::SimpleHexAtoi(word, value);
  });
}

std::vector<int64_t> Golden::integers(absl::string_view name) const {
  return List<int64_t>(text(name), [](absl::string_view word, int64_t* value) {
    return absl::SimpleAtoi(word, value);
  });
}

std::vector<double> Golden::reals(absl::string_view name) const {
  return List<double>(text(name), [](absl::string_view word, double* value) {
    return absl::SimpleAtod(word, value);
  });
}

const Golden& Numerics() {
  static const auto* file = new Golden(Golden::Read("numerics.json"));
  return *file;
}

}  // namespace lockstep::testing
