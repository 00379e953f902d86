#include "common/spec/job_spec_proto.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"

#include "common/base/status_macros.h"
#include "common/spec/job_identity.h"
#include "common/spec/job_yaml.h"

namespace lockstep {
namespace {

namespace json = google::protobuf::util;

// A position in JSON that no user wrote helps nobody.
Value WithoutMarks(const Value& value) {
  if (value.is_list()) {
    Value::List items;
    for (const Value& item : value.list()) items.push_back(WithoutMarks(item));
    return Value::MakeList(std::move(items));
  }
  if (value.is_map()) {
    Value::Map entries;
    for (const Value::Entry& entry : value.map()) {
      entries.push_back({entry.key, WithoutMarks(entry.value), {}});
    }
    return Value::MakeMap(std::move(entries));
  }
  Value plain = value;
  plain.set_mark({});
  return plain;
}

}  // namespace

absl::StatusOr<v1::JobSpec> JobSpecToProto(const JobSpec& spec) {
  v1::JobSpec message;
  const json::Status status = json::JsonStringToMessage(ToCanonicalJson(spec), &message);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("job does not fit its message: ",
                     absl::string_view(status.message().data(), status.message().size())));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const JobSpec back, JobSpecFromProto(message));
  if (back == spec) return message;
  return absl::InvalidArgumentError(
      "job does not fit its message: an option holds an integer past 2^53; use a smaller one");
}

absl::StatusOr<JobSpec> JobSpecFromProto(const v1::JobSpec& message) {
  json::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  const json::Status status = json::MessageToJsonString(message, &text, options);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("message has no JSON form: ",
                     absl::string_view(status.message().data(), status.message().size())));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const Value value, ParseYaml(text, "job"));
  return ParseJobSpec(WithoutMarks(value), "");
}

}  // namespace lockstep
