#include "storage/link_speed.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Value;

namespace {

std::string address_text(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address != nullptr && address->sa_family == AF_INET)
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
  if (address != nullptr && address->sa_family == AF_INET6)
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text, sizeof text);
  return text;
}

// All of 127.0.0.0/8 is the loopback interface's, although it names one address only.
bool is_of(const std::string& interface, const std::string& its_address, const std::string& wanted) {
  return its_address == wanted || (interface == "lo" && wanted.starts_with("127."));
}

std::vector<std::string> interfaces_of(const std::vector<std::string>& addresses) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owned(list, &::freeifaddrs);
  std::vector<std::string> names;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const std::string name = entry->ifa_name;
    const std::string its_address = address_text(entry->ifa_addr);
    for (const std::string& address : addresses)
      if (is_of(name, its_address, address) && std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(name);
  }
  return names;
}

}  // namespace

Result<std::int64_t> slowest_speed(base::FileSystem& files, const std::vector<std::string>& interfaces) {
  std::optional<std::int64_t> slowest;
  for (const std::string& name : interfaces) {
    const auto text = files.read("/sys/class/net/" + name + "/speed");
    const auto speed = text ? base::parse_int(base::trim(*text)) : std::nullopt;
    if (!speed || *speed <= 0) continue;  // -1: unknown
    slowest = slowest ? std::min(*slowest, *speed) : *speed;
  }
  if (slowest) return *slowest;
  return Error{Code::unsupported,
               interfaces.empty()
                   ? "no network interface has the addresses of the node"
                   : "the network interface " + base::join(interfaces, ", ") + " does not tell its speed"};
}

void register_link_speed(cluster::NodeControl& control, base::FileSystem& files) {
  cluster::OperationTraits traits;
  traits.repeatable = true;
  traits.timeout = std::chrono::seconds(10);
  traits.params = {{"addresses", Value::Type::array}};
  control.register_operation(
      "storage.link_speed",
      [&files](const base::Struct& params, std::stop_token) -> Result<Value> {
        std::vector<std::string> addresses;
        for (const Value& item : params.find("addresses")->as_array())
          if (item.is_string()) addresses.push_back(item.as_string());
        const auto speed = slowest_speed(files, interfaces_of(addresses));
        if (!speed) return speed.error();
        return Value(base::Struct{{"speed", *speed}});
      },
      traits);
}

}  // namespace confd::storage
