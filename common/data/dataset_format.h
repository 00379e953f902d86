// DatasetFormatDef: one way in which samples are stored; one file of the room common/data/formats
// each. OpenDataset: from a job's data source to an open data set, whatever its format.
// Thread: any. Errors: INVALID_ARGUMENT at the option for a wrong source; NOT_FOUND,
// PERMISSION_DENIED, DATA_LOSS and FAILED_PRECONDITION naming the file and what is wrong in it.
#ifndef LOCKSTEP_COMMON_DATA_DATASET_FORMAT_H_
#define LOCKSTEP_COMMON_DATA_DATASET_FORMAT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/data/dataset.h"
#include "common/env/file_system.h"
#include "common/spec/job_spec.h"
#include "common/spec/options.h"

namespace lockstep {

class DataCache;

// What opening data needs from the world; both outlive the data set.
struct DataEnvironment {
  FileSystem* fs = nullptr;
  DataCache* cache = nullptr;
};

// Where one column is: a path, or a name inside the file that the option `path` names.
struct ColumnSource {
  std::string name;  // of the model's input or output
  std::string place;
};

struct DatasetRequest {
  Options options;  // checked against the format's table
  std::vector<ColumnSource> inputs;
  std::vector<ColumnSource> targets;
  std::optional<ColumnSource> weights;
};

struct DatasetFormatDef {
  absl::string_view name;
  absl::string_view summary;
  absl::Span<const OptionDoc> options;  // `inputs`, `targets` and `sample_weights` among them, kAny
  // Errors that name the file or the option. The counts of the columns need not agree.
  absl::StatusOr<Dataset> (*open)(const DatasetRequest& request, DataEnvironment& environment);
};

// For formats that open one column at a time: all that `request` asks for. `option`: where the
// source stands, for messages.
absl::StatusOr<Dataset> OpenColumns(const DatasetRequest& request,
                                    absl::FunctionRef<absl::StatusOr<std::unique_ptr<Column>>(
                                        absl::string_view option, const ColumnSource& source)>
                                        open);

// Names of the model's inputs and of the outputs that have a loss, in the order wanted.
struct DataNames {
  std::vector<std::string> inputs;
  std::vector<std::string> targets;
};

// `where` of the source stands in messages ("data.train"). The count of samples is at least one and
// the same in all columns.
absl::StatusOr<Dataset> OpenDataset(const DataSourceSpec& source, const DataNames& names,
                                    DataEnvironment& environment);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_DATASET_FORMAT_H_
