// What HTTP and WebDAV (class 1, without PROPPATCH) do with the files of an archive volume: OPTIONS, GET and
// HEAD (ranges, entity tags, listings), PUT, DELETE, PROPFIND, MKCOL, COPY, MOVE. Used by
// daemon/archive_access, which has found out before who calls and whether he may. docs/storage-access.md.
// Thread-safety: any thread; blocks until the answer is on its way.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "rpc/stream_server.h"
#include "services/archive_rights.h"
#include "storage/archive_store.h"

namespace confd::services {

// What a caller needs for that method; nothing: it is not known here.
std::optional<ArchiveRight> right_for(std::string_view method);
extern const char* const kArchiveMethods;  // for the header Allow

struct ArchiveWebLimits {
  std::chrono::milliseconds question{std::chrono::minutes(1)};  // whatever moves no content
  std::chrono::milliseconds transfer{std::chrono::hours(24)};
};

// REQUIRES: right_for() knows the method. `volume`: its name, for pages and texts.
void answer_archive_request(rpc::StreamExchange& exchange, storage::ArchiveStore& store,
                            const std::string& volume, const ArchiveWebLimits& limits = {});

// An Error of the store as an answer.
rpc::HttpResponse archive_refusal(const base::Error& error);
rpc::HttpResponse archive_text(unsigned status, const std::string& text);

}  // namespace confd::services
