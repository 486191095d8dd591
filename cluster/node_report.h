// Node operations that tell about a node: boot time, load, memory, disk space, log events. Used by
// node_state, node_info and log_collect; registered once by the daemon. All figures come from the kernel
// (/proc, uname, statvfs) at the time of the call. Thread-safety: the operations run on any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "base/value.h"
#include "cluster/node_control.h"

namespace confd::cluster {

// What the operations need; all of it outlives the NodeControl.
struct NodeReportSources {
  base::FileSystem& files;  // reads /proc, logs, and spool/log_tags.json
  std::string root_directory;
  std::string version = CONFD_VERSION;
};

// Registers
//   node.boot_time {}   -> {boot_time}: seconds since the epoch, read from the kernel once
//   node.report {}      -> {hostname, platform, kernel, boot_time, uptime, cores, load, memory, disk,
//                           confd_version}
//   log.read, log_tag.read, log_tag.write: cluster/node_logs.h
// REQUIRES: none of them is registered yet. `control` outlives all calls.
void register_node_operations(NodeControl& control, NodeReportSources sources);

// btime of /proc/stat. Errors of these two: Code::internal when the text has no such line.
base::Result<std::int64_t> parse_boot_time(std::string_view proc_stat);
// {total, free, available, swap_total, swap_free} of /proc/meminfo, in bytes.
base::Result<base::Value> parse_memory(std::string_view proc_meminfo);

}  // namespace confd::cluster
