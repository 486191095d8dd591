// What the settings and the root make of the managed store: options of its parts, and the certificates that
// speak to it. Used by Membership and by the recovery of the store. Thread-safety: pure but for the files.
#pragma once

#include <memory>

#include "base/file_system.h"
#include "base/result.h"
#include "cluster/managed_store.h"
#include "daemon/root.h"
#include "daemon/settings.h"
#include "rpc/https_client.h"

namespace confd::daemon {

// All paths absolute; the member's address is left to EXAConf.
cluster::ManagedStore::Options managed_store_options(const Settings& settings, const Root& root, int node);
// With `store: etcd` too.
base::Result<std::shared_ptr<const rpc::ClientTls>> store_tls(const Settings& settings, const Root& root,
                                                              base::FileSystem& files);

}  // namespace confd::daemon
