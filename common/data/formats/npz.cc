// NPZ, what numpy.savez and numpy.savez_compressed write: named arrays in one file;
// docs/FORMATS.md#npz.
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/data/array_column.h"
#include "common/data/data_cache.h"
#include "common/data/data_file.h"
#include "common/data/dataset_format.h"
#include "common/data/npz_archive.h"

namespace lockstep::formats::npz {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "path", .type = OptionType::kString, .help = "the .npz file"},
    {.name = "inputs", .help = "the name of an array, or {input: name}"},
    {.name = "targets", .fallback = "null", .help = "the name of an array, or {output: name}"},
    {.name = "sample_weights",
     .fallback = "null",
     .help = "the name of an array of one float a sample"},
};

// The open file of a request.
class Npz {
 public:
  Npz(const DatasetRequest& request, DataCache& cache, const DataFile& file, NpzArchive archive)
      : request_(request), cache_(cache), file_(file), archive_(std::move(archive)) {}

  absl::StatusOr<std::unique_ptr<Column>> OpenColumn(absl::string_view option,
                                                     const ColumnSource& source) const {
    absl::StatusOr<std::unique_ptr<Column>> column = ReadArray(source);
    if (column.ok()) return column;
    if (absl::IsNotFound(column.status())) {
      return request_.options.Error(
          option, absl::StrCat("no array ", Quote(source.place), " in '", file_.path, "'",
                               NearestNamesHint(source.place, archive_.names())));
    }
    return Annotate(column.status(),
                    absl::StrCat("npz '", file_.path, "': array ", Quote(source.place)));
  }

 private:
  absl::StatusOr<std::unique_ptr<Column>> ReadArray(const ColumnSource& source) const {
    LOCKSTEP_ASSIGN_OR_RETURN(const NpzArchive::Array array, archive_.Find(source.place));
    if (!array.bytes.empty()) {
      return std::make_unique<ArrayColumn>(source.name, array.header, array.bytes, file_.mapping);
    }
    LOCKSTEP_ASSIGN_OR_RETURN(
        const std::shared_ptr<const MappedFile> copy,
        cache_.Get(file_, absl::StrCat("npz/", array.member), array.header.total_bytes(),
                   [this, &array](File& out) { return archive_.Copy(array, out); }));
    return std::make_unique<ArrayColumn>(source.name, array.header, copy->bytes(), copy);
  }

  const DatasetRequest& request_;
  DataCache& cache_;
  const DataFile& file_;
  const NpzArchive archive_;
};

absl::StatusOr<Dataset> Open(const DatasetRequest& request, DataEnvironment& environment) {
  const std::string& path = request.options.GetString("path");
  LOCKSTEP_ASSIGN_OR_RETURN(const DataFile file, OpenDataFile(*environment.fs, path));
  absl::StatusOr<NpzArchive> archive = NpzArchive::Open(file.bytes());
  if (!archive.ok()) return Annotate(archive.status(), absl::StrCat("npz '", path, "'"));
  const Npz npz(request, *environment.cache, file, *std::move(archive));
  return OpenColumns(request, [&npz](absl::string_view option, const ColumnSource& source) {
    return npz.OpenColumn(option, source);
  });
}

}  // namespace

extern const DatasetFormatDef kDef;
constinit const DatasetFormatDef kDef = {
    "npz", "named arrays in one file, as numpy.savez writes them", kOptions, &Open};

}  // namespace lockstep::formats::npz
