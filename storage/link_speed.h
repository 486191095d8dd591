// The speed of a node's network link, as the kernel tells it: node operation storage.link_speed, for
// st_node_get_link_speed. Thread-safety: the operation runs on any thread.
#pragma once

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "cluster/node_control.h"

namespace confd::storage {

// Registers storage.link_speed {addresses: [..]} -> {speed}: MBit/s of the slowest of the interfaces that
// carry these addresses. Errors: Code::unsupported when none of them tells its speed (loopback and most
// virtual ones do not).
void register_link_speed(cluster::NodeControl& control, base::FileSystem& files);

// The same for interfaces by name; reads /sys/class/net/<name>/speed.
base::Result<std::int64_t> slowest_speed(base::FileSystem& files, const std::vector<std::string>& interfaces);

}  // namespace confd::storage
