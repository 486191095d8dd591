// Addresses of nodes: reading those of parameters, counting upwards inside a network, finding who has one.
// For node_add_jobs and node_change_jobs; IPv4 and IPv6. Thread-safety: pure functions; they throw JobError.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "exaconf/config.h"
#include "exaconf/value_types.h"

namespace confd::jobs {

enum class NetKind { private_net, public_net };
// "PrivateNet", "PublicNet"
std::string_view key_of(NetKind kind);

// The network of a node, nothing when it has none.
std::optional<exaconf::Network> net_of(const exaconf::Node& node, NetKind kind);

// "10.0.0.12/24" as it is; "10.0.0.12" with the prefix of `present`, or else of the network of a node that
// holds the address. Throws Code::bad_parameter naming `what`.
exaconf::Network given_net(const exaconf::Config& config, NetKind kind, const std::string& what,
                           const std::string& text, int node_id,
                           const std::optional<exaconf::Network>& present = std::nullopt);

bool same_network(const exaconf::Network& a, const exaconf::Network& b);
// The higher of two addresses of one network.
const exaconf::Network& higher(const exaconf::Network& a, const exaconf::Network& b);
// The next address; nothing when it leaves the network or is the broadcast address.
std::optional<exaconf::Network> next_address(const exaconf::Network& net);

// Who has which address, private or public, so that none is given twice.
class AddressBook {
 public:
  // What EXAConf says already: the first owner of an address stays.
  void note(const exaconf::Network& net, const std::string& owner);
  // Throws Code::exists naming the address and who has it, unless that is the same owner.
  void add(const exaconf::Network& net, const std::string& owner);

 private:
  std::map<std::string, std::string> owners_;  // bytes of the address -> "node 11"
};

}  // namespace confd::jobs
