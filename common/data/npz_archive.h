// NpzArchive: the arrays of an .npz file, a zip archive with one .npy file each; the only file that
// names libzip. Thread: one. Errors: FAILED_PRECONDITION for a sound file of a kind that is not
// read, DATA_LOSS for a damaged one, NOT_FOUND for a name; without the file's name, which the
// caller adds. Invariant: of an array that was found, the header fits its bytes.
#ifndef LOCKSTEP_COMMON_DATA_NPZ_ARCHIVE_H_
#define LOCKSTEP_COMMON_DATA_NPZ_ARCHIVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/data/array_header.h"
#include "common/env/file_system.h"

struct zip;
struct zip_source;

namespace lockstep {

class NpzArchive {
 public:
  struct Array {
    uint64_t member = 0;  // its index in the archive
    ArrayHeader header;
    // Header and elements where they lie uncompressed in the archive; else empty, and Copy gives
    // them.
    absl::string_view bytes;
  };

  // `bytes` outlive the archive.
  static absl::StatusOr<NpzArchive> Open(absl::string_view bytes);

  std::vector<absl::string_view> names() const;  // sorted, without ".npy"
  absl::StatusOr<Array> Find(absl::string_view name) const;
  // Writes header and elements to `out`, with the archive's checksum verified.
  absl::Status Copy(const Array& array, File& out) const;

 private:
  using Zip = std::unique_ptr<zip, void (*)(zip*)>;
  using ZipSource = std::unique_ptr<zip_source, void (*)(zip_source*)>;

  NpzArchive(absl::string_view bytes, ZipSource source, Zip zip);
  absl::Status ReadNames();
  absl::StatusOr<Array> ReadArray(uint64_t member) const;
  // Where the `bytes` of the uncompressed member lie whose `start` has just been read. libzip has
  // no call for it, but its source stands behind what it read last. That is looked at, not trusted:
  // empty if it is not so, and the member is copied.
  absl::string_view PlaceOf(absl::string_view start, uint64_t bytes) const;

  absl::string_view bytes_;
  ZipSource source_;  // shared with zip_, to ask it where libzip reads
  Zip zip_;
  absl::flat_hash_map<std::string, uint64_t> members_;  // by full name
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_NPZ_ARCHIVE_H_
