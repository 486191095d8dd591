#include "daemon/platforms.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "services/hook_platform.h"
#include "services/local_platform.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;

namespace {

namespace fs = std::filesystem;

services::HookPlatform::Options hook_options(const std::string& path, const std::string& setting,
                                             const Root& root, const exaconf::Config& config) {
  services::HookPlatform::Options options;
  options.path = path;
  options.setting = setting;
  const std::string* cluster = config.get("Global", "ClusterName");
  if (cluster != nullptr) options.cluster = *cluster;
  options.directory = root.directory();
  return options;
}

// A new node's settings are this one's; what the cluster's store needs is added by --join.
std::string settings_for_others(const Settings& settings, const std::string& folder) {
  Settings theirs = settings;
  theirs.nodes_folder = folder;
  std::string text;
  for (const std::string_view section : {"log", "http", "rpc", "login", "scheduler", "platform"})
    text += changed_settings(theirs, section);
  return text;
}

Result<services::LocalPlatform::Options> local_options(const Settings& settings, const Root& root,
                                                       const Options& options, int own_node,
                                                       const exaconf::Config& config) {
  std::error_code problem;
  services::LocalPlatform::Options local;
  local.own_node = own_node;
  local.own_root = fs::canonical(root.directory(), problem);
  if (!problem) local.program = fs::canonical("/proc/self/exe", problem);
  if (problem)
    return Error{Code::io_error, "the platform provider local can't be used: " + problem.message()};
  local.folder =
      settings.nodes_folder.empty() ? fs::path(local.own_root).parent_path().string() : settings.nodes_folder;
  local.port = options.port;
  local.join_port = options.port.value_or(config.xmlrpc_port());
  local.can_join = settings.is_cluster();
  local.settings = settings_for_others(settings, local.folder);
  // As sd_booted(3). A user's own manager is found by its folder; root uses the system's.
  if (fs::exists("/run/systemd/system", problem) && fs::exists("/usr/bin/systemd-run", problem)) {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    const char* bus = std::getenv("DBUS_SESSION_BUS_ADDRESS");
    const bool has_manager =
        ::geteuid() == 0 || (runtime != nullptr && fs::exists(std::string(runtime) + "/systemd", problem));
    if (has_manager) local.systemd_run = "/usr/bin/systemd-run";
    if (runtime != nullptr) local.systemd_environment.push_back(std::string("XDG_RUNTIME_DIR=") + runtime);
    if (bus != nullptr) local.systemd_environment.push_back(std::string("DBUS_SESSION_BUS_ADDRESS=") + bus);
  }
  return local;
}

}  // namespace

Result<Platforms> make_platforms(const Settings& settings, const Root& root, const Options& options,
                                 int own_node, const exaconf::Config& config) {
  Platforms platforms;
  if (settings.platform == "hook") {
    platforms.platform = std::make_unique<services::HookPlatform>(
        hook_options(settings.platform_hook, "platform: hook", root, config));
    platforms.updater = platforms.platform.get();
  } else if (settings.platform == "local") {
    auto local = local_options(settings, root, options, own_node, config);
    if (!local) return local.error();
    platforms.platform = std::make_unique<services::LocalPlatform>(std::move(*local));
  }
  if (!settings.update_hook.empty()) {
    auto hook = hook_options(settings.update_hook, "platform: update_hook", root, config);
    hook.only = {services::PlatformAction::update_system};
    platforms.own_updater = std::make_unique<services::HookPlatform>(std::move(hook));
    platforms.updater = platforms.own_updater.get();
  }
  return platforms;
}

}  // namespace confd::daemon
