#include "common/checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

#include "common/base/status_macros.h"
#include "common/spec/utf8.h"

namespace lockstep {
namespace {

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kAlignmentBytes = 8;
constexpr absl::string_view kMetadataKey = "__metadata__";
constexpr size_t kDimsMax = 32;

struct DType {
  absl::string_view word;
  int64_t bytes;
};
constexpr DType kDTypes[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
                             {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                             {"U32", 4},  {"F32", 4}, {"I64", 8}, {"U64", 8},     {"F64", 8}};

std::optional<int64_t> BytesOfDType(absl::string_view word) {
  for (const DType& dtype : kDTypes) {
    if (dtype.word == word) return dtype.bytes;
  }
  return std::nullopt;
}

// One tensor as the header states it; nothing is checked against the file yet.
struct HeaderTensor {
  std::string name, dtype;
  std::vector<int64_t> dims, offsets;
};

// Follows the one shape that a header may have, so that memory and depth stay bounded by the bytes
// of the header: { name: { "dtype": string, "shape": [integer], "data_offsets": [integer] },
// "__metadata__": { key: string } }
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<HeaderTensor> tensors;
  SafetensorsMetadata metadata;
  std::string error;

  bool start_object(size_t) override {
    if (level_ == Level::kStart) {
      level_ = Level::kFile;
      return true;
    }
    if (level_ != Level::kFile) return Fail("holds an object where none belongs");
    level_ = in_metadata_ ? Level::kMetadata : Level::kTensor;
    keys_.clear();
    return true;
  }

  bool end_object() override {
    if (level_ == Level::kTensor && keys_.size() != 3) {
      return Fail("lacks one of dtype, shape and data_offsets");
    }
    level_ = level_ == Level::kFile ? Level::kEnd : Level::kFile;
    return true;
  }

  bool key(string_t& key) override {
    if (level_ == Level::kFile) {
      name_ = key;
      if (!names_.insert(key).second) return Fail("stands twice in the header");
      in_metadata_ = key == kMetadataKey;
      if (!in_metadata_) tensors.push_back({.name = key, .dtype = {}, .dims = {}, .offsets = {}});
      return true;
    }
    key_ = key;
    if (!keys_.insert(key).second) return Fail(absl::StrCat("has the key '", key, "' twice"));
    if (level_ == Level::kTensor && key != "dtype" && key != "shape" && key != "data_offsets") {
      return Fail(absl::StrCat("has the unknown key '", key, "'"));
    }
    return true;
  }

  bool string(string_t& text) override {
    if (level_ == Level::kMetadata) {
      metadata.emplace_back(key_, text);
      return true;
    }
    if (level_ != Level::kTensor || key_ != "dtype")
      return Fail("holds a string where none belongs");
    tensors.back().dtype = text;
    return true;
  }

  bool start_array(size_t) override {
    if (level_ != Level::kTensor || key_ == "dtype")
      return Fail("holds an array where none belongs");
    level_ = Level::kIntegers;
    return true;
  }

  bool end_array() override {
    level_ = Level::kTensor;
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (level_ != Level::kIntegers) return Fail("holds a number where none belongs");
    if (number > uint64_t{std::numeric_limits<int64_t>::max()})
      return Fail("holds a number above 2^63 - 1");
    std::vector<int64_t>& list = key_ == "shape" ? tensors.back().dims : tensors.back().offsets;
    if (list.size() == kDimsMax)
      return Fail(absl::StrCat("has a list of more than ", kDimsMax, " numbers"));
    list.push_back(static_cast<int64_t>(number));
    return true;
  }

  bool number_integer(number_integer_t) override { return Fail("holds a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Fail("holds a fraction"); }
  bool boolean(bool) override { return Fail("holds a truth value"); }
  bool null() override { return Fail("holds null"); }
  bool binary(binary_t&) override { return Fail("holds binary data"); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    error = absl::StrCat("the header is not JSON at its byte ", position);
    return false;
  }

 private:
  enum class Level { kStart, kFile, kTensor, kMetadata, kIntegers, kEnd };

  bool Fail(absl::string_view what) {
    error = level_ == Level::kStart ? absl::StrCat("the header ", what)
                                    : absl::StrCat("'", name_, "' ", what);
    return false;
  }

  Level level_ = Level::kStart;
  bool in_metadata_ = false;
  std::string name_;                        // of the entry of the file
  std::string key_;                         // of its field
  absl::flat_hash_set<std::string> names_;  // of the file
  absl::flat_hash_set<std::string> keys_;   // of the entry
};

// What is wrong with a tensor's dtype, shape and offsets among `data_bytes`; empty if nothing.
std::string CheckTensor(const HeaderTensor& tensor, int64_t data_bytes) {
  const std::optional<int64_t> dtype_bytes = BytesOfDType(tensor.dtype);
  if (!dtype_bytes.has_value()) return absl::StrCat("has the unknown dtype '", tensor.dtype, "'");
  if (tensor.offsets.size() != 2) {
    return absl::StrCat("has ", tensor.offsets.size(), " data_offsets instead of 2");
  }
  const int64_t begin = tensor.offsets[0], end = tensor.offsets[1];
  if (begin > end || end > data_bytes) {
    return absl::StrCat("has data_offsets [", begin, ", ", end, "] outside the ", data_bytes,
                        " bytes that follow the header");
  }
  int64_t bytes = *dtype_bytes;
  for (const int64_t dim : tensor.dims) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return "has a shape of more than 2^63 bytes";
  }
  if (bytes != end - begin) {
    return absl::StrCat("is ", tensor.dtype, " [", absl::StrJoin(tensor.dims, ", "), "], that is ",
                        bytes, " bytes, but data_offsets [", begin, ", ", end, "] span ",
                        end - begin);
  }
  return "";
}

}  // namespace

absl::StatusOr<std::string> EncodeSafetensorsHeader(absl::Span<const TensorSpec> tensors,
                                                    const SafetensorsMetadata& metadata) {
  // An ordered object: the order of the keys is the order of the bytes.
  nlohmann::ordered_json metadata_json = nlohmann::ordered_json::object();
  for (const auto& [key, value] : metadata) metadata_json[key] = value;
  const auto quoted = [](const nlohmann::ordered_json& text) {
    return text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  std::vector<std::string> entries;
  if (!metadata.empty())
    entries.push_back(absl::StrCat("\"", kMetadataKey, "\":", quoted(metadata_json)));
  absl::flat_hash_set<absl::string_view> names = {kMetadataKey};
  int64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("writing safetensors: the tensor name '", tensor.name,
                       "' is taken; give each tensor a name of its own"));
    }
    if (FirstInvalidUtf8(tensor.name) != tensor.name.size()) {
      return absl::InvalidArgumentError(absl::StrCat("writing safetensors: the tensor name '",
                                                     absl::CHexEscape(tensor.name),
                                                     "' is not UTF-8"));
    }
    const int64_t end = offset + tensor.shape.elements() * static_cast<int64_t>(sizeof(float));
    entries.push_back(absl::StrCat(quoted(tensor.name), ":{\"dtype\":\"F32\",\"shape\":[",
                                   absl::StrJoin(tensor.shape.dims(), ","), "],\"data_offsets\":[",
                                   offset, ",", end, "]}"));
    offset = end;
  }
  std::string json = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  json.resize((json.size() + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes, ' ');
  if (static_cast<int64_t>(json.size()) > kSafetensorsHeaderBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("writing safetensors: the header of ", tensors.size(), " tensors has ",
                     json.size(), " bytes, readers take ", kSafetensorsHeaderBytesMax));
  }
  const uint64_t length = json.size();
  std::string header(kLengthBytes, '\0');
  std::memcpy(header.data(), &length, sizeof(length));
  return header + json;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(FileSystem& fs, const std::string& path) {
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> mapping, fs.MapFile(path));
  LOCKSTEP_ASSIGN_OR_RETURN(SafetensorsFile file, Parse(mapping->bytes(), path));
  file.mapping_ = std::move(mapping);
  return file;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(absl::string_view bytes,
                                                       absl::string_view name) {
  const auto damaged = [name](const auto&... what) {
    return absl::DataLossError(absl::StrCat("safetensors '", name, "': ", what...));
  };
  const int64_t size = static_cast<int64_t>(bytes.size());
  if (size < kLengthBytes)
    return damaged("it has ", size, " bytes, less than the length of a header");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > uint64_t{kSafetensorsHeaderBytesMax}) {
    return damaged("it claims a header of ", length, " bytes, at most ", kSafetensorsHeaderBytesMax,
                   " are read");
  }
  const int64_t header_bytes = static_cast<int64_t>(length);
  if (header_bytes > size - kLengthBytes) {
    return damaged("it claims a header of ", length, " bytes but has ", size, " in all");
  }
  const absl::string_view header = bytes.substr(kLengthBytes, length);
  if (header.empty() || header.front() != '{') return damaged("the header does not start with '{'");
  const absl::string_view data = bytes.substr(kLengthBytes + length);

  HeaderReader reader;
  if (!nlohmann::json::sax_parse(header.begin(), header.end(), &reader))
    return damaged(reader.error);
  std::sort(reader.tensors.begin(), reader.tensors.end(),
            [](const HeaderTensor& a, const HeaderTensor& b) { return a.offsets < b.offsets; });
  SafetensorsFile file;
  file.name_ = std::string(name);
  file.metadata_ = std::move(reader.metadata);
  int64_t covered = 0;
  for (HeaderTensor& tensor : reader.tensors) {
    const std::string wrong = CheckTensor(tensor, static_cast<int64_t>(data.size()));
    if (!wrong.empty()) return damaged("tensor '", tensor.name, "' ", wrong);
    const int64_t begin = tensor.offsets[0], end = tensor.offsets[1];
    if (begin != covered) {
      return damaged("tensor '", tensor.name, "' starts at byte ", begin,
                     " of the data, but the one before ends at ", covered);
    }
    covered = end;
    file.tensors_.push_back(
        {.name = std::move(tensor.name),
         .dtype = std::move(tensor.dtype),
         .dims = std::move(tensor.dims),
         .bytes = data.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin))});
  }
  if (covered != static_cast<int64_t>(data.size())) {
    return damaged("the tensors take ", covered, " bytes, but ", data.size(), " follow the header");
  }
  return file;
}

const SafetensorsFile::Tensor* SafetensorsFile::Find(absl::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [name](const Tensor& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

absl::StatusOr<std::vector<TensorView>> SafetensorsFile::FloatViews() const {
  std::vector<TensorView> views;
  for (const Tensor& tensor : tensors_) {
    const absl::string_view bytes = tensor.bytes;
    if (tensor.dtype != "F32" || bytes.empty() ||
        reinterpret_cast<uintptr_t>(bytes.data()) % alignof(float) != 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("safetensors '", name_, "': tensor '", tensor.name, "' is ", tensor.dtype,
                       " [", absl::StrJoin(tensor.dims, ", "),
                       "]; only F32 with elements, on 4 bytes, can be used as it is"));
    }
    const absl::Span<const float> values(reinterpret_cast<const float*>(bytes.data()),
                                         bytes.size() / sizeof(float));
    views.push_back({.name = tensor.name, .shape = Shape(tensor.dims), .values = values});
  }
  return views;
}

}  // namespace lockstep
