// bench_echo_server: our HTTP server answering a fixed body to any request after reading it: the "bare echo"
// that tests/bench and tests/robustness measure against. Ends at SIGTERM or SIGINT.
//
//   bench_echo_server --cert FILE --key FILE [--address A] [--port N] [--body-bytes N] [--threads N]
//                     [--local-socket PATH] [--body-limit N] [--worker] [--stats]
// --worker answers from another thread, as jobs do. --stats prints the counters at the end.
// Prints "listening on port N" once it serves.
#include <getopt.h>
#include <signal.h>

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>

#include "base/text.h"
#include "rpc/http_server.h"

namespace {

using namespace confd;

class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  ~Worker() {
    {
      base::MutexLock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void add(rpc::Responder responder, rpc::HttpResponse response) {
    {
      base::MutexLock lock(mutex_);
      queue_.emplace_back(std::move(responder), std::move(response));
    }
    wake_.notify_one();
  }

 private:
  void run() {
    base::MutexLock lock(mutex_);
    while (true) {
      while (queue_.empty() && !stopping_) wake_.wait(mutex_);
      if (queue_.empty()) return;
      auto [responder, response] = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      responder.send(std::move(response));
      lock.lock();
    }
  }

  base::Mutex mutex_;
  base::CondVar wake_;
  std::deque<std::pair<rpc::Responder, rpc::HttpResponse>> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

class FixedAnswer final : public rpc::HttpHandler {
 public:
  FixedAnswer(std::size_t bytes, std::uint64_t body_limit, Worker* worker)
      : body_(bytes, 'x'), body_limit_(body_limit), worker_(worker) {}
  void on_header(const rpc::HttpRequest&, std::function<void(rpc::HeaderDecision)> decide) override {
    rpc::HeaderDecision decision;
    decision.body_limit = body_limit_;
    decide(std::move(decision));
  }
  void on_request(rpc::HttpRequest, std::shared_ptr<void>, rpc::Responder responder) override {
    rpc::HttpResponse response;
    response.headers.emplace_back("Content-Type", "text/xml");
    response.body = body_;
    if (worker_) {
      worker_->add(std::move(responder), std::move(response));
    } else {
      responder.send(std::move(response));
    }
  }

 private:
  const std::string body_;
  const std::uint64_t body_limit_;
  Worker* const worker_;
};

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::int64_t number(const char* text) {
  const auto value = base::parse_int(text);
  if (value && *value >= 0) return *value;
  std::cerr << "bench_echo_server: not a number: " << text << "\n";
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  static const option kOptions[] = {{"cert", required_argument, nullptr, 'c'},
                                    {"key", required_argument, nullptr, 'k'},
                                    {"address", required_argument, nullptr, 'a'},
                                    {"port", required_argument, nullptr, 'p'},
                                    {"body-bytes", required_argument, nullptr, 'b'},
                                    {"threads", required_argument, nullptr, 't'},
                                    {"local-socket", required_argument, nullptr, 'l'},
                                    {"body-limit", required_argument, nullptr, 'L'},
                                    {"worker", no_argument, nullptr, 'w'},
                                    {"stats", no_argument, nullptr, 's'},
                                    {nullptr, 0, nullptr, 0}};
  rpc::TlsSettings tls_settings;
  rpc::HttpServerOptions options;
  rpc::HttpServerOptions::Endpoint endpoint{"127.0.0.1", 0};
  std::size_t body_bytes = 400;
  std::uint64_t body_limit = 64u << 20;
  bool use_worker = false;
  bool stats = false;
  for (int choice; (choice = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (choice) {
      case 'c':
        tls_settings.certificate_chain_pem = read_file(optarg);
        break;
      case 'k':
        tls_settings.private_key_pem = read_file(optarg);
        break;
      case 'a':
        endpoint.address = optarg;
        break;
      case 'p':
        endpoint.port = static_cast<std::uint16_t>(number(optarg));
        break;
      case 'b':
        body_bytes = static_cast<std::size_t>(number(optarg));
        break;
      case 't':
        options.threads = static_cast<unsigned>(number(optarg));
        break;
      case 'l':
        options.local_socket = optarg;
        break;
      case 'L':
        body_limit = static_cast<std::uint64_t>(number(optarg));
        break;
      case 'w':
        use_worker = true;
        break;
      case 's':
        stats = true;
        break;
      default:
        return 2;
    }
  }
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  auto tls = rpc::TlsContext::create(tls_settings);
  if (!tls) {
    std::cerr << "bench_echo_server: " << tls.error().text << "\n";
    return 1;
  }
  options.tls_endpoints = {endpoint};
  std::unique_ptr<Worker> worker;
  if (use_worker) worker = std::make_unique<Worker>();
  FixedAnswer handler(body_bytes, body_limit, worker.get());
  rpc::HttpServer server(options, *tls, handler);
  if (auto status = server.start(); !status) {
    std::cerr << "bench_echo_server: " << status.error().text << "\n";
    return 1;
  }
  std::cout << "listening on port " << server.ports().front() << std::endl;
  int signal_number = 0;
  sigwait(&ending, &signal_number);
  server.stop_accepting();
  server.stop();
  if (stats) {
    const rpc::HttpServerCounters counters = server.counters();
    std::cout << "accepted " << counters.accepted << " requests " << counters.requests << " open "
              << counters.connections << " buffered " << counters.buffered_bytes << " handshake failures "
              << counters.handshake_failures << " refused " << counters.refused_connections << std::endl;
  }
  return 0;
}
