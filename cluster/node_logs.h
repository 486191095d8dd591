// Log events of a node, as log_collect asks for them: reading ROOT/logs/logd/<Service>.log with its rotated
// files, and the positions of log_collect's tags in ROOT/spool/log_tags.json (0600, replaced whole; a crash
// keeps the old or the new positions).
//
// A line is `2026-11-22T00:05:12.123456Z INFO  text` (base/log.h); a line of another shape belongs to the
// event before it. Times in parameters and results have the same form, so that texts compare as times do.
// Thread-safety: the operations run on any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/value.h"
#include "cluster/node_control.h"

namespace confd::cluster {

// Registers
//   log.services {}  -> list of names that have a log
//   log.read {service, after: {time, count}, until, level, mentions, limit, oldest_first}
//       -> {events: [{time, level, text}], position: {time, count}, more: bool}
//       Events after `after`, that is later than its time or of its time but behind the first `count` of
//       them; up to `until`; of `level` or worse ("" = all); naming one of `mentions` ([] = all). At most
//       `limit` events and 4 MiB of text: the last ones, or with `oldest_first` the first ones. `position` is
//       where a next call goes on, valid with `oldest_first`. Code::not_found when there is no such log.
//   log_tag.read {tag}              -> {positions}: {name: {time, count}}, empty for an unknown tag
//   log_tag.write {tag, positions}  -> null; at most 1000 tags, the ones longest unused go
void register_log_operations(NodeControl& control, base::FileSystem& files,
                             const std::string& root_directory);

// True for names that can be a service: letters, digits, '_', '-', not a path.
bool is_service_name(std::string_view name);

}  // namespace confd::cluster
