// Which node of EXAConf this confd is, and where it listens. Used by App. Thread-safety: pure functions but
// for joined_as(), which reads a file.
#pragma once

#include <optional>
#include <vector>

#include "base/file_system.h"
#include "daemon/options.h"
#include "daemon/root.h"
#include "daemon/settings.h"
#include "exaconf/config.h"
#include "rpc/http_server.h"

namespace confd::daemon {

// The node this is, and what it lacks when this version can't serve it. `joined_as`: what its certificate
// says.
base::Result<int> own_node(const Options& options, const Settings& settings, const exaconf::Config& config,
                           const std::optional<int>& joined_as);
// The node that the certificate of this root is of.
std::optional<int> joined_as(base::FileSystem& files, const Root& root);

std::vector<rpc::HttpServerOptions::Endpoint> endpoints(const Options& options, const exaconf::Config& config,
                                                        int node);

}  // namespace confd::daemon
