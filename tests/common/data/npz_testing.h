// .npy and .npz files made byte by byte, sound ones and others.
#ifndef LOCKSTEP_TESTS_COMMON_DATA_NPZ_TESTING_H_
#define LOCKSTEP_TESTS_COMMON_DATA_NPZ_TESTING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <zlib.h>

#include "tests/common/data/data_testing.h"

namespace lockstep::testing {

inline std::string LittleEndian(uint64_t value, size_t bytes) {
  std::string text;
  for (; text.size() < bytes; value >>= 8) text.push_back(static_cast<char>(value));
  return text;
}

// Version `major`.0 of the format with this dict, as it is.
inline std::string NpyWithDict(absl::string_view dict, int major = 1) {
  return absl::StrCat("\x93NUMPY", LittleEndian(static_cast<uint64_t>(major), 1),
                      LittleEndian(0, 1), LittleEndian(dict.size(), major == 1 ? 2 : 4), dict);
}

// As NumPy writes it, but for the padding. `descr` and `shape` are Python: "'<f4'", "(3,)".
inline std::string NpyBytes(absl::string_view descr, absl::string_view shape,
                            absl::string_view data) {
  return absl::StrCat(
      NpyWithDict(absl::StrCat("{'descr': ", descr, ", 'fortran_order': False, 'shape': ", shape,
                               ", }  \n")),
      data);
}

struct ZipMember {
  std::string name;
  std::string data;
  int method = 0;  // 0: stored, 8: deflated
  int flags = 0;   // 1: encrypted
  // What the archive says of it, where that is not the truth.
  std::optional<uint64_t> bytes = std::nullopt;
  std::optional<uint64_t> packed_bytes = std::nullopt;
  std::optional<uint32_t> crc = std::nullopt;
};

struct ZipForm {
  std::optional<uint64_t> count = std::nullopt;  // of members, where that is not the truth
  bool zip64 = false;                            // sizes, offsets and counts in the 64-bit records
  std::string front = "";                        // bytes before the first member
  std::string gap = "";                          // extra field of the local headers: moves the data
};

// Sizes of a member, as its headers tell them.
struct ZipSizes {
  uint64_t packed;
  uint64_t bytes;
};

inline std::string Zip64Field(const std::string& values) {
  return absl::StrCat(LittleEndian(1, 2), LittleEndian(values.size(), 2), values);
}

// The fields that local and central headers share, from the version needed to the sizes.
inline std::string ZipCommon(const ZipMember& member, const ZipSizes& sizes, bool zip64) {
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(member.data.data()),
                          static_cast<uInt>(member.data.size()));
  constexpr uint64_t kElsewhere = 0xFFFFFFFF;
  return absl::StrCat(
      LittleEndian(zip64 ? 45 : 20, 2), LittleEndian(static_cast<uint64_t>(member.flags), 2),
      LittleEndian(static_cast<uint64_t>(member.method), 2), LittleEndian(0, 2),
      LittleEndian(0x21, 2),  // 1 January 1980
      LittleEndian(member.crc.value_or(static_cast<uint32_t>(crc)), 4),
      LittleEndian(zip64 ? kElsewhere : sizes.packed, 4),
      LittleEndian(zip64 ? kElsewhere : sizes.bytes, 4), LittleEndian(member.name.size(), 2));
}

inline std::string ZipBytes(const std::vector<ZipMember>& members, const ZipForm& form = {}) {
  std::string file = form.front, list;
  for (const ZipMember& member : members) {
    const std::string packed = member.method == 8 ? Deflated(member.data, -15) : member.data;
    const ZipSizes sizes = {.packed = member.packed_bytes.value_or(packed.size()),
                            .bytes = member.bytes.value_or(member.data.size())};
    const std::string common = ZipCommon(member, sizes, form.zip64);
    const std::string wide =
        absl::StrCat(LittleEndian(sizes.bytes, 8), LittleEndian(sizes.packed, 8));
    const uint64_t offset = file.size();
    const std::string local_extra = (form.zip64 ? Zip64Field(wide) : "") + form.gap;
    absl::StrAppend(&file, "PK\x03\x04", common, LittleEndian(local_extra.size(), 2), member.name,
                    local_extra, packed);
    const std::string extra =
        form.zip64 ? Zip64Field(wide + LittleEndian(offset, 8)) : std::string();
    absl::StrAppend(&list, "PK\x01\x02", LittleEndian(45, 2), common, LittleEndian(extra.size(), 2),
                    LittleEndian(0, 2 + 2 + 2 + 4),
                    LittleEndian(form.zip64 ? 0xFFFFFFFF : offset, 4), member.name, extra);
  }
  const uint64_t list_offset = file.size(), list_end = list_offset + list.size();
  file += list;
  const uint64_t members_told = form.count.value_or(members.size());
  const std::string count = LittleEndian(members_told, 8);
  if (form.zip64) {
    absl::StrAppend(&file, "PK\x06\x06", LittleEndian(44, 8), LittleEndian(45, 2),
                    LittleEndian(45, 2), LittleEndian(0, 8), count, count,
                    LittleEndian(list.size(), 8), LittleEndian(list_offset, 8));
    absl::StrAppend(&file, "PK\x06\x07", LittleEndian(0, 4), LittleEndian(list_end, 8),
                    LittleEndian(1, 4));
  }
  const uint64_t narrow_count = form.zip64 ? 0xFFFF : members_told;
  absl::StrAppend(&file, "PK\x05\x06", LittleEndian(0, 4), LittleEndian(narrow_count, 2),
                  LittleEndian(narrow_count, 2),
                  LittleEndian(form.zip64 ? 0xFFFFFFFF : list.size(), 4),
                  LittleEndian(form.zip64 ? 0xFFFFFFFF : list_offset, 4), LittleEndian(0, 2));
  return file;
}

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_COMMON_DATA_NPZ_TESTING_H_
