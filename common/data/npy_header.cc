#include "common/data/npy_header.h"

#include <bit>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "common/base/status_macros.h"
#include "common/spec/value.h"

namespace lockstep {
namespace {

constexpr absl::string_view kMagic = "\x93NUMPY";
constexpr size_t kVersionEnd = 8;  // the magic and two bytes

struct NpyType {
  absl::string_view code;  // without the byte order
  ElementType element;
};
constexpr NpyType kTypes[] = {{"u1", {kernels::SampleType::kU8}},
                              {"i1", {kernels::SampleType::kI8}},
                              {"b1", {kernels::SampleType::kU8, ElementForm::kTruth}},
                              {"u2", {kernels::SampleType::kU16}},
                              {"i2", {kernels::SampleType::kI16}},
                              {"i4", {kernels::SampleType::kI32}},
                              {"i8", {kernels::SampleType::kI64}},
                              {"f4", {kernels::SampleType::kF32}},
                              {"f8", {kernels::SampleType::kF64}}};

// The three values of the dict.
struct NpyDict {
  std::string descr;
  bool structured = false;  // descr is a list of fields, which is not read
  bool fortran_order = false;
  std::vector<int64_t> dims;
};

// Follows the one form that the dict may have: its three keys in any order, once each, blanks
// between the tokens, a comma behind the last item or none.
class DictReader {
 public:
  explicit DictReader(absl::string_view text) : text_(text), rest_(text) {}

  absl::StatusOr<NpyDict> Read() {
    bool has_descr = false, has_order = false, has_shape = false;
    if (!Eat('{')) return Wrong("'{'");
    while (!Eat('}')) {
      absl::string_view key;
      if (!EatString(key) || !Eat(':')) return Wrong("a key");
      bool* const has = key == "descr"           ? &has_descr
                        : key == "fortran_order" ? &has_order
                        : key == "shape"         ? &has_shape
                                                 : nullptr;
      if (has == nullptr || *has) {
        return absl::DataLossError(absl::StrCat("its header has the key ", Quote(key),
                                                has == nullptr ? "" : " twice",
                                                "; it takes descr, fortran_order and shape"));
      }
      *has = true;
      LOCKSTEP_RETURN_IF_ERROR(key == "descr"   ? ReadDescr()
                               : key == "shape" ? ReadShape()
                                                : ReadOrder());
      if (dict_.structured) return dict_;  // refused whatever follows
      if (!Eat(',') && !absl::StartsWith(rest_, "}")) return Wrong("',' or '}'");
    }
    if (!has_descr || !has_order || !has_shape) {
      return absl::DataLossError("its header lacks one of descr, fortran_order and shape");
    }
    if (!absl::StripTrailingAsciiWhitespace(rest_).empty()) return Wrong("the end");
    return std::move(dict_);
  }

 private:
  void SkipBlanks() {
    while (absl::ConsumePrefix(&rest_, " ")) continue;
  }

  // The token and the blanks around it.
  bool Eat(absl::string_view token) {
    SkipBlanks();
    if (!absl::ConsumePrefix(&rest_, token)) return false;
    SkipBlanks();
    return true;
  }
  bool Eat(char token) { return Eat(absl::string_view(&token, 1)); }

  // No escapes: none of the texts that are accepted needs one.
  bool EatString(absl::string_view& text) {
    const char quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '\'' && quote != '"') return false;
    const size_t end = rest_.find(quote, 1);
    if (end == absl::string_view::npos) return false;
    text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    SkipBlanks();
    return true;
  }

  bool EatNumber(int64_t& number) {
    size_t digits = 0;
    while (digits < rest_.size() && absl::ascii_isdigit(static_cast<unsigned char>(rest_[digits])))
      ++digits;
    const absl::string_view text = rest_.substr(0, digits);
    if (text.size() > 1 && text.front() == '0') return false;  // nor does Python read 007
    if (!absl::SimpleAtoi(text, &number)) return false;
    rest_.remove_prefix(digits);
    SkipBlanks();
    return true;
  }

  absl::Status ReadDescr() {
    dict_.structured = absl::StartsWith(rest_, "[") || absl::StartsWith(rest_, "(");
    if (dict_.structured) return absl::OkStatus();
    absl::string_view descr;
    if (!EatString(descr)) return Wrong("a dtype in quotes");
    dict_.descr = std::string(descr);
    return absl::OkStatus();
  }

  absl::Status ReadOrder() {
    dict_.fortran_order = Eat("True");
    return dict_.fortran_order || Eat("False") ? absl::OkStatus() : Wrong("True or False");
  }

  // (), (3,), (3, 4) or (3, 4,); in Python (3) is a number.
  absl::Status ReadShape() {
    if (!Eat('(')) return Wrong("'('");
    bool comma = true;
    while (!Eat(')')) {
      int64_t dim = 0;
      if (!comma || !EatNumber(dim)) return Wrong("a whole number or ')'");
      dict_.dims.push_back(dim);
      if (static_cast<int64_t>(dict_.dims.size()) > kNpyDimsMax) {
        return absl::FailedPreconditionError(
            absl::StrCat("its shape has more than ", kNpyDimsMax, " dimensions; reshape it"));
      }
      comma = Eat(',');
    }
    return dict_.dims.size() == 1 && !comma ? Wrong("(N,)") : absl::OkStatus();
  }

  absl::Status Wrong(absl::string_view expected) const {
    return absl::DataLossError(absl::StrCat("byte ", text_.size() - rest_.size(),
                                            " of its header is not ", expected,
                                            "; the header must be as NumPy writes it"));
  }

  const absl::string_view text_;
  absl::string_view rest_;
  NpyDict dict_;
};

// Why arrays of this dtype are not read, and how to save them.
absl::Status RefusedType(absl::string_view descr) {
  const absl::string_view code = absl::StripPrefix(absl::StripPrefix(descr, "<"), ">");
  if (absl::StrContains(descr, 'O')) {
    return absl::FailedPreconditionError(
        "it holds Python objects (dtype '|O'); pickled objects are never read, as they can run "
        "code; save an array of numbers: np.savez(path, x=np.stack(x).astype(np.float32))");
  }
  if (absl::StartsWith(code, "c")) {
    return absl::FailedPreconditionError(
        absl::StrCat("it holds complex numbers (dtype ", Quote(descr),
                     "); save x.real and x.imag as arrays of their own"));
  }
  const absl::string_view cast = code == "f2"   ? "np.float32"
                                 : code == "u4" ? "np.int64"
                                 : code == "u8" ? "np.int64"
                                                : "np.float32";
  return absl::FailedPreconditionError(
      absl::StrCat("it has the dtype ", Quote(descr),
                   "; read are b1, u1, i1, u2, i2, i4, i8, f4 and f8: save x.astype(", cast, ")"));
}

absl::StatusOr<ElementType> ParseDescr(absl::string_view descr) {
  const char order = descr.empty() ? '\0' : descr.front();
  const bool has_order = order == '<' || order == '>' || order == '=' || order == '|';
  for (const NpyType& type : kTypes) {
    if (!has_order || descr.substr(1) != type.code) continue;
    ElementType element = type.element;
    if (kernels::SampleTypeBytes(element.type) == 1) return element;
    if (order == '|') break;  // "not applicable", which it is
    const char native = std::endian::native == std::endian::little ? '<' : '>';
    if (order != native && order != '=') element.form = ElementForm::kSwapped;
    return element;
  }
  return RefusedType(descr);
}

uint32_t LittleEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

absl::StatusOr<ArrayHeader> ParseNpyHeader(absl::string_view start) {
  if (!absl::StartsWith(start, kMagic)) {
    return absl::DataLossError("it does not start as an array of NumPy does (93 'NUMPY')");
  }
  const uint8_t major = start.size() < kVersionEnd ? 0 : static_cast<uint8_t>(start[6]);
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (start.size() < kVersionEnd + length_bytes) {
    return absl::DataLossError(absl::StrCat("it ends after ", start.size(), " bytes"));
  }
  const uint8_t minor = static_cast<uint8_t>(start[7]);
  if (major < 1 || major > 3 || minor != 0) {
    return absl::FailedPreconditionError(absl::StrCat("it has the version ", major, ".", minor,
                                                      " of the .npy format; 1.0 to 3.0 are read"));
  }
  const int64_t dict_bytes = LittleEndian(start.substr(kVersionEnd, length_bytes));
  if (dict_bytes > kNpyDictBytesMax) {
    return absl::DataLossError(absl::StrCat("it claims a header of ", dict_bytes,
                                            " bytes, at most ", kNpyDictBytesMax, " are read"));
  }
  const absl::string_view rest = start.substr(kVersionEnd + length_bytes);
  if (static_cast<int64_t>(rest.size()) < dict_bytes) {
    return absl::DataLossError(
        absl::StrCat("it claims a header of ", dict_bytes, " bytes but ", rest.size(), " follow"));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(NpyDict dict,
                            DictReader(rest.substr(0, static_cast<size_t>(dict_bytes))).Read());
  if (dict.structured) {
    return absl::FailedPreconditionError(
        "it has a structured dtype; save each field as an array of its own: np.savez(path, "
        "a=x['a'], b=x['b'])");
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const ElementType element, ParseDescr(dict.descr));
  if (dict.fortran_order) {
    return absl::FailedPreconditionError(
        "it is in Fortran order (columns first); save np.ascontiguousarray(x)");
  }
  return MakeArrayHeader(element, std::move(dict.dims),
                         static_cast<int64_t>(kVersionEnd + length_bytes) + dict_bytes);
}

}  // namespace lockstep
