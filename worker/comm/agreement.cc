#include "worker/comm/agreement.h"

#include <vector>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

// Plain bytes on the wire.
struct Verdict {
  int32_t code = 0;
  char message[1020] = {};
};

}  // namespace

absl::Status AgreeOn(Communicator& communicator, const absl::Status& mine) {
  std::vector<Verdict> verdicts(static_cast<size_t>(communicator.size()));
  std::vector<Range> places;
  for (size_t r = 0; r < verdicts.size(); ++r) {
    places.push_back({static_cast<int64_t>(r * sizeof(Verdict)),
                      static_cast<int64_t>((r + 1) * sizeof(Verdict))});
  }
  Verdict& own = verdicts[static_cast<size_t>(communicator.rank())];
  own.code = static_cast<int32_t>(mine.code());
  mine.message().copy(own.message, sizeof(own.message) - 1);
  LOCKSTEP_RETURN_IF_ERROR(
      communicator.Exchange(places, reinterpret_cast<std::byte*>(verdicts.data())));
  for (size_t r = 0; r < verdicts.size(); ++r) {
    if (verdicts[r].code == 0) continue;
    // What every rank would say needs no number.
    const std::string who = r == 0 ? "" : absl::StrCat("rank ", r, ": ");
    return absl::Status(static_cast<absl::StatusCode>(verdicts[r].code),
                        absl::StrCat(who, verdicts[r].message));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BroadcastText(Communicator& communicator, std::string text) {
  uint64_t length = text.size();
  LOCKSTEP_RETURN_IF_ERROR(
      communicator.Broadcast({reinterpret_cast<std::byte*>(&length), sizeof(length)}, 0));
  text.resize(length);
  LOCKSTEP_RETURN_IF_ERROR(
      communicator.Broadcast({reinterpret_cast<std::byte*>(text.data()), text.size()}, 0));
  return text;
}

}  // namespace lockstep
