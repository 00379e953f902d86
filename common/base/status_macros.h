// LOCKSTEP_RETURN_IF_ERROR and LOCKSTEP_ASSIGN_OR_RETURN: the only control-flow macros of the
// project. Annotate: adds context to a status, once per boundary.
#ifndef LOCKSTEP_COMMON_BASE_STATUS_MACROS_H_
#define LOCKSTEP_COMMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#define LOCKSTEP_RETURN_IF_ERROR(expression)                                \
  do {                                                                      \
    if (absl::Status lockstep_status = (expression); !lockstep_status.ok()) \
      return lockstep_status;                                               \
  } while (false)

#define LOCKSTEP_MACRO_JOIN_(a, b) a##b
#define LOCKSTEP_MACRO_NAME_(a, b) LOCKSTEP_MACRO_JOIN_(a, b)
#define LOCKSTEP_ASSIGN_OR_RETURN(target, expression) \
  LOCKSTEP_ASSIGN_OR_RETURN_IMPL_(LOCKSTEP_MACRO_NAME_(lockstep_or_, __LINE__), target, expression)
#define LOCKSTEP_ASSIGN_OR_RETURN_IMPL_(holder, target, expression) \
  auto holder = (expression);                                       \
  if (!holder.ok()) return std::move(holder).status();              \
  target = *std::move(holder)

namespace lockstep {

// "context: message" with the same code; OK stays OK.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(context, ": ", status.message()));
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_STATUS_MACROS_H_
