// IDX, the format of MNIST and its family: one array a file, plain or gzipped; docs/FORMATS.md#idx.
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/data/array_column.h"
#include "common/data/data_cache.h"
#include "common/data/data_file.h"
#include "common/data/dataset_format.h"
#include "common/data/idx_header.h"
#include "common/data/inflate.h"

namespace lockstep::formats::idx {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "inputs", .help = "an IDX file, or {input: file}"},
    {.name = "targets", .fallback = "null", .help = "an IDX file, or {output: file}"},
    {.name = "sample_weights", .fallback = "null", .help = "an IDX file of one float a sample"},
};

absl::StatusOr<ArrayHeader> ParsePlain(absl::string_view file) {
  LOCKSTEP_ASSIGN_OR_RETURN(ArrayHeader header, ParseIdxHeader(file.substr(0, kIdxHeaderBytesMax)));
  if (header.total_bytes() == static_cast<int64_t>(file.size())) return header;
  return absl::DataLossError(absl::StrCat("it has ", file.size(), " bytes; ", header.ToString(),
                                          " after a header of ", header.header_bytes, " makes ",
                                          header.total_bytes(), "; copy it again"));
}

absl::StatusOr<ArrayHeader> ParseCompressed(absl::string_view file) {
  std::array<char, kIdxHeaderBytesMax> start;
  LOCKSTEP_ASSIGN_OR_RETURN(const size_t count, GzipReader(file).Read(absl::MakeSpan(start)));
  LOCKSTEP_ASSIGN_OR_RETURN(ArrayHeader header,
                            ParseIdxHeader(absl::string_view(start.data(), count)));
  LOCKSTEP_RETURN_IF_ERROR(CheckPromise(static_cast<int64_t>(file.size()), header.total_bytes()));
  return header;
}

absl::StatusOr<std::unique_ptr<Column>> OpenPlain(const std::string& name, const DataFile& file) {
  LOCKSTEP_ASSIGN_OR_RETURN(const ArrayHeader header, ParsePlain(file.bytes()));
  return std::make_unique<ArrayColumn>(name, header, file.bytes(), file.mapping);
}

absl::StatusOr<std::unique_ptr<Column>> OpenCompressed(const std::string& name,
                                                       const DataFile& file, DataCache& cache) {
  LOCKSTEP_ASSIGN_OR_RETURN(const ArrayHeader header, ParseCompressed(file.bytes()));
  LOCKSTEP_ASSIGN_OR_RETURN(
      const std::shared_ptr<const MappedFile> copy,
      cache.Get(file, "gz", header.total_bytes(), [&file, &header](File& out) {
        GzipReader reader(file.bytes());
        return CopyExactly(
            header.total_bytes(), [&reader](absl::Span<char> piece) { return reader.Read(piece); },
            out);
      }));
  return std::make_unique<ArrayColumn>(name, header, copy->bytes(), copy);
}

absl::StatusOr<std::unique_ptr<Column>> OpenColumn(const ColumnSource& source,
                                                   const DataEnvironment& environment) {
  LOCKSTEP_ASSIGN_OR_RETURN(const DataFile file, OpenDataFile(*environment.fs, source.place));
  absl::StatusOr<std::unique_ptr<Column>> column =
      IsGzip(file.bytes()) ? OpenCompressed(source.name, file, *environment.cache)
                           : OpenPlain(source.name, file);
  if (!column.ok()) return Annotate(column.status(), absl::StrCat("idx '", source.place, "'"));
  return column;
}

absl::StatusOr<Dataset> Open(const DatasetRequest& request, DataEnvironment& environment) {
  return OpenColumns(request,
                     [&environment](absl::string_view /*option*/, const ColumnSource& source) {
                       return OpenColumn(source, environment);
                     });
}

}  // namespace

extern const DatasetFormatDef kDef;
constinit const DatasetFormatDef kDef = {"idx", "one array a file, as MNIST has it; .gz too",
                                         kOptions, &Open};

}  // namespace lockstep::formats::idx
