// ParseModel: the graph of one model (`model:` or an entry of `models:`) as a ModelSpec: names,
// order, who feeds whom. Thread: pure. Errors: INVALID_ARGUMENT with the place in the file. Layer
// types and options are not judged here.
#ifndef LOCKSTEP_COMMON_SPEC_MODEL_PARSER_H_
#define LOCKSTEP_COMMON_SPEC_MODEL_PARSER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/spec/job_spec.h"
#include "common/spec/value.h"

namespace lockstep {

absl::StatusOr<ModelSpec> ParseModel(const Value& value, absl::string_view name,
                                     absl::string_view where);

// Letters, digits and "_.-", beginning with a letter or "_" (a layer's and a model's name becomes
// part of variable paths).
absl::Status CheckName(const Value& value, absl::string_view where);

// `word` or `[word, word]`, without empty or repeated words.
absl::StatusOr<std::vector<std::string>> ParseWords(const Value& value, absl::string_view where);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_MODEL_PARSER_H_
