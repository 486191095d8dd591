// Answers that the handler's own thread writes (rpc/http_connection_direct.cpp).
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <thread>

#include "tests/rpc/http_fixture.h"

namespace confd::rpc::test {
namespace {

// Runs handlers on a thread of its own, as jobs are.
class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  ~Worker() {
    {
      base::MutexLock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  void post(std::function<void()> task) {
    {
      base::MutexLock lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

 private:
  void run() {
    base::MutexLock lock(mutex_);
    for (;;) {
      while (tasks_.empty() && !stopping_) wake_.wait(mutex_);
      if (tasks_.empty()) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  base::Mutex mutex_;
  base::CondVar wake_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// A server whose handler answers every request on the worker after `delay` with a body of `size` bytes.
struct Slow {
  explicit Slow(std::size_t size, std::chrono::milliseconds delay) {
    server.handler.respond = [this, size, delay](const HttpRequest& request, const std::shared_ptr<void>&,
                                                 const Responder& responder) {
      worker.post([this, size, delay, target = request.target, responder] {
        std::this_thread::sleep_for(delay);  // the loop has lent the connection by then
        HttpResponse response;
        response.body = target + std::string(size, 'x');
        responder.send(std::move(response));
        ++answered;
      });
    };
  }
  std::atomic<int> answered{0};
  Worker worker;
  Server server;  // ends before the worker it hands requests to
};

}  // namespace

TEST_CASE("The thread that has the answer of a lone caller writes it") {
  Slow slow(100, std::chrono::milliseconds(5));
  Client client = slow.server.client();
  for (int i = 0; i < 50; ++i) {
    const auto answer = client.get("/" + std::to_string(i));
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == "/" + std::to_string(i) + std::string(100, 'x'));
    CHECK_FALSE(answer->field("Date").empty());
  }
  // On a busy machine the loop may come too late to lend the connection now and then.
  CHECK(slow.server.http->counters().direct_answers > 25);
}

TEST_CASE("Answers of several callers at the same time, and large ones, are the loop's") {
  Slow slow(100, std::chrono::milliseconds(20));
  Client first = slow.server.client();
  Client second = slow.server.client();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(first.send("GET /first HTTP/1.1\r\nHost: t\r\n\r\n"));
    REQUIRE(second.send("GET /second HTTP/1.1\r\nHost: t\r\n\r\n"));
    const auto one = first.receive();
    const auto other = second.receive();
    REQUIRE((one && other));
    CHECK(one->body.substr(0, 6) == "/first");
    CHECK(other->body.substr(0, 7) == "/second");
  }
  Slow large(20'000, std::chrono::milliseconds(1));
  Client client = large.server.client();
  for (int i = 0; i < 10; ++i) {
    const auto answer = client.get("/");
    REQUIRE(answer);
    CHECK(answer->body.size() == 20'001);
  }
  CHECK(large.server.http->counters().direct_answers == 0);
}

TEST_CASE("A request that comes before the answer to the one before waits its turn") {
  Slow slow(10, std::chrono::milliseconds(20));
  Client client = slow.server.client();
  REQUIRE(client.send("GET /1 HTTP/1.1\r\nHost: t\r\n\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(client.send("GET /2 HTTP/1.1\r\nHost: t\r\n\r\nGET /3 HTTP/1.1\r\nHost: t\r\n\r\n"));
  for (const char* target : {"/1", "/2", "/3"}) {
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK(answer->body.substr(0, 2) == target);
  }
}

TEST_CASE("What the socket does not take of a direct answer the loop sends later") {
  constexpr int kRequests = 2000;  // 28 MB, more than the kernel buffers
  Slow slow(14'000, std::chrono::milliseconds(0));
  Client client = slow.server.client();
  int sent = 0;
  for (; sent < kRequests; ++sent) {
    REQUIRE(client.send("GET /" + std::to_string(sent) + " HTTP/1.1\r\nHost: t\r\n\r\n"));
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(4);
    while (slow.answered <= sent && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    if (slow.answered <= sent) break;  // an answer waits for the socket, and this request for the answer
  }
  CHECK(sent < kRequests);
  for (int i = 0; i <= std::min(sent, kRequests - 1); ++i) {
    const auto answer = client.receive();
    REQUIRE(answer);
    const std::string target = "/" + std::to_string(i);
    CHECK(answer->body.substr(0, target.size()) == target);
    CHECK(answer->body.size() == target.size() + 14'000);
  }
  const auto after = client.get("/after");
  REQUIRE(after);
  CHECK(after->body.substr(0, 6) == "/after");
}

TEST_CASE("A client that leaves, and a server that stops, in the middle of direct answers") {
  for (int round = 0; round < 30; ++round) {
    Slow slow(200, std::chrono::milliseconds(0));
    std::atomic<bool> over{false};
    std::thread caller([&] {
      while (!over) {
        Client client = slow.server.client();
        if (!client.connected()) return;
        for (int i = 0; i < 20 && client.get("/x"); ++i) {
        }
        (void)client.send("GET /left HTTP/1.1\r\nHost: t\r\n\r\n");  // and gone
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + round));
    slow.server.http->stop_accepting();
    slow.server.http->stop();
    over = true;
    caller.join();
    CHECK(slow.server.http->counters().connections == 0);
  }
}

}  // namespace confd::rpc::test
