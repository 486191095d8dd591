// Views: sections of EXAConf as job results show them, keys in snake_case, values parsed (spec/exaconf.md
// §12; expected/*.views.json). Thread-safety: pure functions.
#pragma once

#include "base/value.h"
#include "exaconf/config.h"

namespace confd::exaconf {

base::Value nodes_view(const Config& config);    // struct by node id, as node_list gives it
base::Value volumes_view(const Config& config);  // EXAVolume
base::Value object_volumes_view(const Config& config);
base::Value remote_volumes_view(const Config& config);
base::Value databases_view(const Config& config);
base::Value bucketfs_view(const Config& config);  // struct by name
base::Value users_view(const Config& config);     // with passwd, as the reference's; jobs leave it out
base::Value groups_view(const Config& config);
base::Value ssl_view(const Config& config);
base::Value storage_view(const Config& config);

}  // namespace confd::exaconf
