// Platforms: the platform provider and the update hook that etc/confd.yaml names. Thread-safety: made once,
// before the daemon serves.
#pragma once

#include <memory>

#include "base/result.h"
#include "daemon/options.h"
#include "daemon/root.h"
#include "daemon/settings.h"
#include "exaconf/config.h"
#include "services/platform.h"

namespace confd::daemon {

struct Platforms {
  std::unique_ptr<services::Platform> platform;  // empty: none is configured
  std::unique_ptr<services::Platform> own_updater;
  // What update_system asks: `platform: update_hook`, else the hook of the provider; nullptr: nobody.
  services::Platform* updater = nullptr;
};

base::Result<Platforms> make_platforms(const Settings& settings, const Root& root, const Options& options,
                                       int own_node, const exaconf::Config& config);

}  // namespace confd::daemon
