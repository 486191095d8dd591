// What etcd does by itself: puts of one value as fast as they are answered, by so many callers at once,
// through the client that confd uses. tests/bench/run compares modify jobs of a cluster with it.
//
// bench_etcd_put HOST:PORT[,HOST:PORT...] CERTIFICATE KEY AUTHORITY VALUE_FILE CALLERS SECONDS
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "cluster/etcd_client.h"

using namespace confd;
using Clock = std::chrono::steady_clock;

namespace {

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 8) {
    std::cerr << "usage: bench_etcd_put ENDPOINTS CERTIFICATE KEY AUTHORITY VALUE_FILE CALLERS SECONDS\n";
    return 2;
  }
  std::vector<cluster::EtcdClient::Endpoint> endpoints;
  std::istringstream list(arguments[1]);
  for (std::string one; std::getline(list, one, ',');) {
    const std::size_t colon = one.rfind(':');
    const auto port = base::parse_int(one.substr(colon + 1));
    if (colon == std::string::npos || !port) {
      std::cerr << "no HOST:PORT: " << one << '\n';
      return 2;
    }
    endpoints.push_back({one.substr(0, colon), static_cast<std::uint16_t>(*port)});
  }
  const std::string value = content(arguments[5]);
  const auto callers = base::parse_int(arguments[6]).value_or(1);
  const auto seconds = std::chrono::seconds(base::parse_int(arguments[7]).value_or(1));
  rpc::ClientTlsSettings settings;
  settings.certificate_chain_pem = content(arguments[2]);
  settings.private_key_pem = content(arguments[3]);
  settings.authorities_pem = content(arguments[4]);
  auto tls = rpc::ClientTls::create(settings);
  if (!tls) {
    std::cerr << tls.error().text << '\n';
    return 1;
  }
  cluster::EtcdClient etcd(*tls, endpoints);
  std::vector<std::vector<double>> milliseconds(static_cast<std::size_t>(callers));
  std::atomic<bool> failed{false};
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (auto& mine : milliseconds)
      threads.emplace_back([&] {
        while (Clock::now() < begin + seconds && !failed) {
          const auto from = Clock::now();
          const auto done =
              etcd.transact({}, {{cluster::EtcdOperation::Kind::put, "/bench/conf", {}, value, 0}}, {},
                            {from + std::chrono::seconds(10), {}});
          if (!done) {
            if (!failed.exchange(true)) std::cerr << done.error().text << '\n';
            return;
          }
          mine.push_back(std::chrono::duration<double, std::milli>(Clock::now() - from).count());
        }
      });
  }
  if (failed) return 1;
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::vector<double> all;
  for (const auto& mine : milliseconds) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  std::printf("{\"requests\": %zu, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"bytes\": %zu}\n",
              all.size(), took, all[all.size() / 2], all[all.size() * 99 / 100], value.size());
}
