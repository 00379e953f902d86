// ArrayColumn: samples that lie one after another in the bytes of a file. Thread: immutable.
// Errors: none; what could be wrong has been refused with the header.
#ifndef LOCKSTEP_COMMON_DATA_ARRAY_COLUMN_H_
#define LOCKSTEP_COMMON_DATA_ARRAY_COLUMN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "common/data/array_header.h"
#include "common/data/dataset.h"
#include "common/env/file_system.h"

namespace lockstep {

class ArrayColumn final : public Column {
 public:
  // `array`: header and elements, header.total_bytes() long, anywhere in the bytes of `owner`. An
  // owner may serve several columns.
  ArrayColumn(std::string name, const ArrayHeader& header, absl::string_view array,
              std::shared_ptr<const MappedFile> owner);

  absl::Status Read(int64_t index, std::byte* out) const override;

 private:
  const ElementForm form_;
  const size_t element_bytes_;
  const size_t sample_bytes_;
  const char* const data_;  // of sample 0; on no particular alignment
  const std::shared_ptr<const MappedFile> owner_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_ARRAY_COLUMN_H_
