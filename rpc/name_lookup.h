// Host names to addresses, with a deadline that getaddrinfo(3) itself does not know. Used by TlsConnection.
// Thread-safety: pure function.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace confd::rpc {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// IP addresses are taken at once; names are looked up in a thread of their own, which is left behind when the
// deadline or the stop comes first. Errors: Code::node_unreachable, Code::timeout, Code::stopped.
base::Result<std::vector<SocketAddress>> look_up(const std::string& host, std::uint16_t port,
                                                 std::chrono::steady_clock::time_point deadline,
                                                 const std::stop_token& stop);

// An IP address with port 0; Code::bad_parameter when it is none.
base::Result<SocketAddress> numeric_address(const std::string& address);

}  // namespace confd::rpc
