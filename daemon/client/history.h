// confd_client history: recent jobs, as a table for people or as data. Thread-safety: pure functions.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/value.h"
#include "daemon/client/options.h"

namespace confd::client {

// Parameters of the RPC job_history. Times: 2026-11-22, 2026-11-22 13:00[:05], with T and Z, all UTC; or an
// age such as 30m, 2h, 1d, 1w before `now`. Throws UsageError.
base::Struct history_request(const HistoryFilter& filter, base::WallTime now);

// Columns id, job, user, stage, submitted, duration, result; newest first as confd sends them.
std::string history_table(const base::Value& rows);

}  // namespace confd::client
