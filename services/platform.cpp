#include "services/platform.h"

#include <array>

namespace confd::services {

std::string_view action_name(PlatformAction action) {
  static constexpr std::array<std::string_view, kPlatformActions> kNames = {
      "nodes",        "metadata",     "start_nodes",      "stop_nodes",      "terminate_nodes", "add_nodes",
      "remove_nodes", "update_nodes", "update_resources", "update_firewall", "update_system"};
  return kNames[static_cast<std::size_t>(action)];
}

}  // namespace confd::services
