#include "common/data/npz_archive.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include <zip.h>

#include "common/base/status_macros.h"
#include "common/data/inflate.h"
#include "common/data/npy_header.h"
#include "common/spec/value.h"

namespace lockstep {
namespace {

constexpr absl::string_view kSuffix = ".npy";
constexpr absl::string_view kNpyMagic = "\x93NUMPY";

using ZipFile = std::unique_ptr<zip_file_t, void (*)(zip_file_t*)>;

void Discard(zip_t* zip) { zip_discard(zip); }
void Release(zip_source_t* source) { zip_source_free(source); }
void Close(zip_file_t* file) {
  zip_fclose(file);  // its error repeats what reading has said
}

class ZipError {
 public:
  ZipError() { zip_error_init(&error_); }
  ZipError(const ZipError&) = delete;
  ZipError& operator=(const ZipError&) = delete;
  ~ZipError() { zip_error_fini(&error_); }
  zip_error_t* get() { return &error_; }

 private:
  zip_error_t error_;
};

std::string Message(zip_error_t* error) { return zip_error_strerror(error); }

// Why the bytes are no archive.
absl::Status NoArchive(absl::string_view bytes, zip_error_t* error) {
  if (absl::StartsWith(bytes, kNpyMagic)) {
    return absl::FailedPreconditionError(
        "it is a single array (.npy); save it with np.savez(path, x=x)");
  }
  if (!absl::StartsWith(bytes, "PK")) {
    return absl::FailedPreconditionError("it is no zip archive; save it with np.savez");
  }
  return absl::DataLossError(absl::StrCat("its list of arrays cannot be read (", Message(error),
                                          "); copy the file again"));
}

// Nothing is ever unpacked to the disk; a name that would leave its folder there is no array's.
bool LeavesItsFolder(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, absl::ByAnyChar("/\\"));
  return parts.front().empty() || std::find(parts.begin(), parts.end(), "..") != parts.end();
}

// Fills `out`; less only at the end of the member, when its checksum was right.
absl::StatusOr<size_t> ReadSome(zip_file_t* file, absl::Span<char> out) {
  size_t done = 0;
  while (done < out.size()) {
    const zip_int64_t count = zip_fread(file, out.data() + done, out.size() - done);
    if (count == 0) break;
    if (count < 0) {
      return absl::DataLossError(
          absl::StrCat("it is damaged (", zip_file_strerror(file), "); copy the file again"));
    }
    done += static_cast<size_t>(count);
  }
  return done;
}

absl::StatusOr<ZipFile> OpenMember(zip_t* zip, uint64_t member) {
  ZipFile file(zip_fopen_index(zip, member, 0), &Close);
  if (file == nullptr) {
    return absl::DataLossError(absl::StrCat("it cannot be opened (", Message(zip_get_error(zip)),
                                            "); copy the file again"));
  }
  return file;
}

// What the archive's list says of a member, as far as it is not absurd.
absl::Status CheckEntry(const zip_stat_t& entry) {
  if (entry.comp_method != ZIP_CM_STORE && entry.comp_method != ZIP_CM_DEFLATE) {
    return absl::FailedPreconditionError(
        absl::StrCat("it is compressed with method ", entry.comp_method,
                     ", which is not read; save it with np.savez or np.savez_compressed"));
  }
  constexpr uint64_t kBytesMax = std::numeric_limits<int64_t>::max();
  if (entry.size > kBytesMax || entry.comp_size > kBytesMax) {
    return absl::DataLossError(absl::StrCat("its list entry claims ", entry.size, " bytes in ",
                                            entry.comp_size, "; copy the file again"));
  }
  if (entry.comp_method == ZIP_CM_STORE && entry.comp_size != entry.size) {
    return absl::DataLossError(absl::StrCat("its list entry claims ", entry.size,
                                            " uncompressed bytes stored in ", entry.comp_size,
                                            "; copy the file again"));
  }
  return CheckPromise(static_cast<int64_t>(entry.comp_size), static_cast<int64_t>(entry.size));
}

}  // namespace

NpzArchive::NpzArchive(absl::string_view bytes, ZipSource source, Zip zip)
    : bytes_(bytes), source_(std::move(source)), zip_(std::move(zip)) {}

absl::StatusOr<NpzArchive> NpzArchive::Open(absl::string_view bytes) {
  ZipError error;
  ZipSource source(zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, error.get()),
                   &Release);
  if (source == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("libzip: ", Message(error.get())));
  }
  Zip zip(zip_open_from_source(source.get(), ZIP_RDONLY, error.get()), &Discard);
  if (zip == nullptr) return NoArchive(bytes, error.get());
  zip_source_keep(source.get());  // the archive owns what it was given; this one is ours
  NpzArchive archive(bytes, std::move(source), std::move(zip));
  LOCKSTEP_RETURN_IF_ERROR(archive.ReadNames());
  return archive;
}

absl::Status NpzArchive::ReadNames() {
  const zip_int64_t count = zip_get_num_entries(zip_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const uint64_t member = static_cast<uint64_t>(i);
    zip_stat_t entry;
    if (zip_stat_index(zip_.get(), member, ZIP_FL_ENC_RAW, &entry) != 0) {
      return absl::DataLossError(
          absl::StrCat("entry ", i, " of its list of arrays is damaged; copy the file again"));
    }
    const absl::string_view name = entry.name;
    if (LeavesItsFolder(name)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "it has a member ", Quote(name), " with the name of a path; save it with np.savez"));
    }
    if (entry.encryption_method != ZIP_EM_NONE) {
      return absl::FailedPreconditionError(absl::StrCat(
          "its member ", Quote(name), " is encrypted, which is not read; save it with np.savez"));
    }
    if (!members_.emplace(name, member).second) {
      return absl::FailedPreconditionError(
          absl::StrCat("it has two members ", Quote(name), "; save it with each array once"));
    }
  }
  return absl::OkStatus();
}

std::vector<absl::string_view> NpzArchive::names() const {
  std::vector<absl::string_view> names;
  for (const auto& [name, member] : members_) names.push_back(absl::StripSuffix(name, kSuffix));
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<NpzArchive::Array> NpzArchive::Find(absl::string_view name) const {
  auto found = members_.find(absl::StrCat(name, kSuffix));
  if (found == members_.end()) found = members_.find(name);
  if (found == members_.end()) {
    return absl::NotFoundError(absl::StrCat("it has no array ", Quote(name)));
  }
  return ReadArray(found->second);
}

absl::StatusOr<NpzArchive::Array> NpzArchive::ReadArray(uint64_t member) const {
  zip_stat_t entry;
  if (zip_stat_index(zip_.get(), member, 0, &entry) != 0) {
    return absl::DataLossError(Message(zip_get_error(zip_.get())));
  }
  LOCKSTEP_RETURN_IF_ERROR(CheckEntry(entry));
  LOCKSTEP_ASSIGN_OR_RETURN(const ZipFile file, OpenMember(zip_.get(), member));
  std::string start(static_cast<size_t>(std::min<uint64_t>(entry.size, kNpyHeaderBytesMax)), '\0');
  LOCKSTEP_ASSIGN_OR_RETURN(const size_t count, ReadSome(file.get(), absl::MakeSpan(start)));
  start.resize(count);
  LOCKSTEP_ASSIGN_OR_RETURN(ArrayHeader header, ParseNpyHeader(start));
  if (header.total_bytes() != static_cast<int64_t>(entry.size)) {
    return absl::DataLossError(absl::StrCat("it has ", entry.size, " bytes; ", header.ToString(),
                                            " after a header of ", header.header_bytes, " makes ",
                                            header.total_bytes(), "; copy the file again"));
  }
  Array array = {.member = member, .header = std::move(header), .bytes = {}};
  if (entry.comp_method == ZIP_CM_STORE) array.bytes = PlaceOf(start, entry.size);
  return array;
}

absl::string_view NpzArchive::PlaceOf(absl::string_view start, uint64_t bytes) const {
  const zip_int64_t end = zip_source_tell(source_.get());
  const zip_int64_t begin = end - static_cast<zip_int64_t>(start.size());
  if (begin < 0 || end > static_cast<zip_int64_t>(bytes_.size())) return {};
  const absl::string_view place = bytes_.substr(static_cast<size_t>(begin), bytes);
  return place.size() == bytes && absl::StartsWith(place, start) ? place : absl::string_view();
}

absl::Status NpzArchive::Copy(const Array& array, File& out) const {
  LOCKSTEP_ASSIGN_OR_RETURN(const ZipFile file, OpenMember(zip_.get(), array.member));
  return CopyExactly(
      array.header.total_bytes(),
      [&file](absl::Span<char> piece) { return ReadSome(file.get(), piece); }, out);
}

}  // namespace lockstep
