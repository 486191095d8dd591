#include "rpc/name_lookup.h"

#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/mutex.h"

namespace confd::rpc {

namespace {

using base::Code;
using base::Error;
using Addresses = base::Result<std::vector<SocketAddress>>;

// How often a stop is looked for while a name server takes its time.
constexpr std::chrono::milliseconds kStopCheck{50};

Addresses resolve(const std::string& host, const std::string& port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
  if (error != 0)
    return Error{Code::node_unreachable, std::string("look-up failed: ") + ::gai_strerror(error)};
  std::vector<SocketAddress> found;
  for (const addrinfo* each = list; each; each = each->ai_next) {
    SocketAddress address;
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    address.size = each->ai_addrlen;
    found.push_back(address);
  }
  ::freeaddrinfo(list);
  return found;
}

struct Pending {
  base::Mutex mutex;
  base::CondVar came;
  std::optional<Addresses> found GUARDED_BY(mutex);
};

}  // namespace

Addresses look_up(const std::string& host, std::uint16_t port, std::chrono::steady_clock::time_point deadline,
                  const std::stop_token& stop) {
  const std::string service = std::to_string(port);
  if (auto numeric = resolve(host, service, AI_NUMERICHOST); numeric) return numeric;
  auto pending = std::make_shared<Pending>();
  std::thread([pending, host, service] {
    auto found = resolve(host, service, AI_ADDRCONFIG);
    base::MutexLock lock(pending->mutex);
    pending->found.emplace(std::move(found));
    pending->came.notify_all();
  }).detach();
  base::MutexLock lock(pending->mutex);
  while (!pending->found) {
    const auto now = std::chrono::steady_clock::now();
    if (stop.stop_requested()) return Error{Code::stopped, "stopped while the name was looked up"};
    if (now >= deadline) return Error{Code::timeout, "the name was not found out in time"};
    pending->came.wait_until(pending->mutex, std::min(deadline, now + kStopCheck));
  }
  return std::move(*pending->found);
}

base::Result<SocketAddress> numeric_address(const std::string& address) {
  auto found = resolve(address, "0", AI_NUMERICHOST);
  if (!found || found->empty()) return Error{Code::bad_parameter, address + " is no IP address"};
  return found->front();
}

}  // namespace confd::rpc
