#include "jobs/node_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "jobs/node_rules.h"

namespace confd::jobs {
namespace {

using exaconf::Network;

// In network order: 4 or 16. An address of a Network was checked when it was read.
std::string bytes_of(const Network& net) {
  std::string bytes(net.is_ipv6 ? 16 : 4, '\0');
  if (::inet_pton(net.is_ipv6 ? AF_INET6 : AF_INET, net.address.c_str(), bytes.data()) != 1) return {};
  return bytes;
}

std::string address_text(const std::string& bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  (void)::inet_ntop(bytes.size() == 16 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof text);
  return text;
}

// `fill` in all bits behind the prefix.
std::string with_host_part(std::string bytes, int prefix, bool fill) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int kept = std::clamp(prefix - static_cast<int>(i) * 8, 0, 8);
    const auto mask = static_cast<unsigned char>(0xFF00 >> kept);
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const auto host = static_cast<unsigned char>(~mask);
    bytes[i] = static_cast<char>(fill ? byte | host : byte & mask);
  }
  return bytes;
}

}  // namespace

std::string_view key_of(NetKind kind) {
  return kind == NetKind::private_net ? "PrivateNet" : "PublicNet";
}

std::optional<Network> net_of(const exaconf::Node& node, NetKind kind) {
  const std::string& text = kind == NetKind::private_net ? node.private_net : node.public_net;
  if (exaconf::is_unset(text)) return std::nullopt;
  return exaconf::parse_network(text, node.id);
}

Network given_net(const exaconf::Config& config, NetKind kind, const std::string& what,
                  const std::string& text, int node_id, const std::optional<Network>& present) {
  auto net = exaconf::parse_network(text, node_id);
  if (!net)
    throw JobError{base::Code::bad_parameter,
                   what + ": '" + text + "' is not an address with a prefix such as 10.10.10.1/24"};
  if (text.find('/') != std::string::npos) return *net;
  if (present && present->is_ipv6 == net->is_ipv6) {
    net->prefix = present->prefix;
    return *net;
  }
  for (const auto& [id, node] : config.nodes())
    if (const auto other = net_of(node, kind); other && other->is_ipv6 == net->is_ipv6) {
      net->prefix = other->prefix;
      if (same_network(*net, *other)) return *net;
    }
  throw JobError{base::Code::bad_parameter, what + ": '" + text +
                                                "' lies in the network of no node; give it with its prefix, "
                                                "such as " +
                                                net->address + "/24"};
}

bool same_network(const Network& a, const Network& b) {
  return a.is_ipv6 == b.is_ipv6 && a.prefix == b.prefix &&
         with_host_part(bytes_of(a), a.prefix, false) == with_host_part(bytes_of(b), b.prefix, false);
}

const Network& higher(const Network& a, const Network& b) {
  // std::string compares bytes as unsigned.
  return bytes_of(a) < bytes_of(b) ? b : a;
}

std::optional<Network> next_address(const Network& net) {
  std::string bytes = bytes_of(net);
  for (std::size_t i = bytes.size(); i-- > 0;) {
    bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) + 1);
    if (bytes[i] != '\0') break;
  }
  Network next = net;
  next.address = address_text(bytes);
  const bool broadcast = !net.is_ipv6 && bytes == with_host_part(bytes, net.prefix, true);
  if (broadcast || !same_network(net, next)) return std::nullopt;
  return next;
}

void AddressBook::note(const Network& net, const std::string& owner) {
  owners_.emplace(bytes_of(net), owner);
}

void AddressBook::add(const Network& net, const std::string& owner) {
  const auto [at, added] = owners_.emplace(bytes_of(net), owner);
  if (!added && at->second != owner)
    throw JobError{base::Code::exists,
                   "the address " + net.address + " of " + owner + " belongs to " + at->second + " already"};
}

}  // namespace confd::jobs
