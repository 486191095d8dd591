#include "scheduler/worker_pool.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

namespace confd::scheduler {
namespace {

using std::chrono::steady_clock;

bool eventually(const std::function<bool()>& condition) {
  const auto until = steady_clock::now() + std::chrono::seconds(20);
  while (!condition())
    if (steady_clock::now() > until)
      return false;
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return true;
}

}  // namespace

TEST_CASE("Every task runs once, those of one thread in order") {
  std::atomic<int> done{0};
  std::vector<int> order;
  {
    WorkerPool many(4), one(1);
    for (int i = 0; i < 1000; ++i) {
      many.post([&] { ++done; });
      one.post([&order, i] { order.push_back(i); });
    }
  }
  CHECK(done == 1000);
  REQUIRE(order.size() == 1000);
  for (int i = 0; i < 1000; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("A further thread steps in when those at work have taken nothing for a while, not before") {
  std::atomic<bool> second{false};
  steady_clock::time_point posted, started;
  {
    WorkerPool pool(16, 1);
    pool.post([&] { eventually([&] { return second.load(); }); });
    posted = steady_clock::now();
    pool.post([&] {
      started = steady_clock::now();
      second = true;
    });
    CHECK(eventually([&] { return second.load(); }));
  }
  CHECK(started - posted >= WorkerPool::kPatience);
}

TEST_CASE("Tasks that wait for something do not hold up others") {
  std::atomic<bool> go{false};
  std::atomic<int> waiting{0};
  std::atomic<bool> done{false};
  {
    WorkerPool pool(6, 1);
    for (int i = 0; i < 5; ++i)
      pool.post([&] {
        ++waiting;
        while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
    pool.post([&] { done = true; });
    CHECK(eventually([&] { return done.load(); }));
    CHECK(eventually([&] { return waiting == 5; }));
    go = true;
  }
}

TEST_CASE("What is queued at the end still runs, also behind a task that waits") {
  std::atomic<int> done{0};
  {
    WorkerPool pool(2, 1);
    pool.post([&] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); });
    for (int i = 0; i < 100; ++i) pool.post([&] { ++done; });
  }
  CHECK(done == 100);
}

}  // namespace confd::scheduler
