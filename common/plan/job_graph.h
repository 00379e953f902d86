// BuildJobGraph: from a JobSpec to models, losses, metrics and parameters with every type and
// option checked by its registry. MatchData: whether the data fits them. Pure; errors are
// INVALID_ARGUMENT with file, key, value and the way out.
#ifndef LOCKSTEP_COMMON_PLAN_JOB_GRAPH_H_
#define LOCKSTEP_COMMON_PLAN_JOB_GRAPH_H_

#include "absl/status/statusor.h"

#include "common/plan/program.h"

namespace lockstep {

absl::StatusOr<JobGraph> BuildJobGraph(const JobSpec& spec);

// The data's inputs and targets against the graph: names, kinds, shapes. `what`: "data.train", for
// messages.
absl::Status MatchData(const JobGraph& graph, const DataSignature& data, absl::string_view what);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_PLAN_JOB_GRAPH_H_
