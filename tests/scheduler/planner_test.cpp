#include "scheduler/planner.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <random>
#include <set>

namespace confd::scheduler {
namespace {

using jobs::JobKind;
using jobs::Lock;
using jobs::LockLevel;

const std::vector<Lock> kAlice{{LockLevel::account, "alice", false}};
const std::vector<Lock> kBob{{LockLevel::account, "bob", false}};
const std::vector<Lock> kAliceShared{{LockLevel::account, "alice", true}};
const std::vector<Lock> kAllAccounts{{LockLevel::account, "*", false}};
const std::vector<Lock> kDatabaseAlice{{LockLevel::database, "alice", false}};

JobId id(std::uint64_t number) {
  return {11, number};
}
QueuedJob modify(std::uint64_t number, const std::vector<Lock>& locks) {
  return {id(number), JobKind::modify, locks};
}
QueuedJob read(std::uint64_t number) {
  return {id(number), JobKind::read, {}};
}
using Indices = std::vector<std::size_t>;

TEST_CASE("Jobs without anything in the way start in order") {
  const std::vector<QueuedJob> queue{modify(1, kAlice), read(2), modify(3, kBob), modify(4, {})};
  const Plan decided = plan(queue, {}, {});
  CHECK(decided.start == Indices{0, 1, 2, 3});
  CHECK(decided.waiting.empty());
}

TEST_CASE("A job waits for a lock that is held, and is told whose it is") {
  Running running;
  running.modifies = 1;
  running.held.push_back({id(4), kAlice[0]});
  const std::vector<QueuedJob> queue{modify(5, kAlice), modify(6, kBob)};
  const Plan decided = plan(queue, running, {});
  CHECK(decided.start == Indices{1});
  REQUIRE(decided.waiting.size() == 1);
  CHECK(decided.waiting[0].index == 0);
  CHECK(decided.waiting[0].for_job == id(4));
  CHECK(decided.waiting[0].reason == "waited for account:alice held by 11.4");
}

TEST_CASE("A job that is explained already is not explained again") {
  Running running;
  running.held.push_back({id(4), kAlice[0]});
  std::vector<QueuedJob> queue{modify(5, kAlice)};
  queue[0].explained = true;
  CHECK(plan(queue, running, {}).waiting.empty());
}

TEST_CASE("Nobody overtakes a waiting job on the same thing") {
  // 5 shares with the holder of a shared lock, but 4 came first and wants it alone.
  Running running;
  running.modifies = 1;
  running.held.push_back({id(3), kAliceShared[0]});
  const std::vector<QueuedJob> queue{modify(4, kAlice), modify(5, kAliceShared)};
  CHECK(plan(queue, running, {}).start.empty());
}

TEST_CASE("Two jobs that want the same lock do not start in one round") {
  const std::vector<QueuedJob> queue{modify(1, kAlice), modify(2, kAlice), modify(3, kAlice)};
  const Plan decided = plan(queue, {}, {});
  CHECK(decided.start == Indices{0});
  CHECK(decided.waiting.size() == 2);
}

TEST_CASE("Shared locks are held together") {
  const std::vector<QueuedJob> queue{modify(1, kAliceShared), modify(2, kAliceShared)};
  CHECK(plan(queue, {}, {}).start == Indices{0, 1});
}

TEST_CASE("A lock on all of a level stands against each name of that level only") {
  Running running;
  running.held.push_back({id(1), kAllAccounts[0]});
  const std::vector<QueuedJob> queue{modify(2, kAlice), modify(3, kDatabaseAlice)};
  CHECK(plan(queue, running, {}).start == Indices{1});

  Running other;
  other.held.push_back({id(1), kAlice[0]});
  const std::vector<QueuedJob> all{modify(2, kAllAccounts), modify(3, kBob)};
  CHECK(plan(all, other, {}).start.empty());  // 3 must not overtake 2
}

TEST_CASE("Limits hold back their own kind only") {
  Running running;
  running.modifies = 2;
  const std::vector<QueuedJob> queue{modify(1, kAlice), read(2), read(3), read(4)};
  const Plan decided = plan(queue, running, {.reads = 2, .modifies = 2});
  CHECK(decided.start == Indices{1, 2});
  REQUIRE(decided.waiting.size() == 2);
  CHECK(decided.waiting[0].reason == "waited: 2 modify jobs ran already, which is the limit");
  CHECK(decided.waiting[0].for_job == JobId());
  CHECK(decided.waiting[1].reason == "waited: 2 read jobs ran already, which is the limit");
}

TEST_CASE("Locks are named as people read them") {
  CHECK(lock_text(kAlice[0]) == "account:alice");
  CHECK(lock_text(kAliceShared[0]) == "account:alice (shared)");
  CHECK(lock_text({LockLevel::node, "*", false}) == "node:*");
  CHECK(lock_text({LockLevel::service, "bfsdefault", false}) == "service:bfsdefault");
}

// A random life of a queue: jobs come, start as planned, end in any order.
TEST_CASE("Whatever comes, no two conflicting locks are held, order is kept and nobody starves") {
  const auto seed = GENERATE(range(1u, 41u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const PlannerLimits limits{.reads = 3, .modifies = 4};
  std::map<JobId, std::vector<Lock>> locks;
  std::vector<QueuedJob> queue;
  std::vector<std::pair<JobId, JobKind>> running_jobs;
  Running running;
  std::uint64_t next = 1;
  std::size_t started = 0;

  for (int step = 0; step < 400 || !queue.empty() || !running_jobs.empty(); ++step) {
    REQUIRE(step < 10'000);
    for (unsigned n = step < 400 ? below(4) : 0; n > 0; --n) {
      const JobId job{11, next++};
      std::vector<Lock>& mine = locks[job];
      const JobKind kind = below(3) == 0 ? JobKind::read : JobKind::modify;
      for (unsigned i = kind == JobKind::modify ? below(3) : 0; i > 0; --i)
        mine.push_back({below(2) ? LockLevel::account : LockLevel::volume,
                        std::vector<std::string>{"a", "b", "c", "*"}[below(4)], below(3) == 0});
      queue.push_back({job, kind, mine});
    }
    const Plan decided = plan(queue, running, limits);
    // In the words of the header, without its short cuts.
    for (std::size_t i = 0; i < queue.size(); ++i) {
      const bool starts = std::count(decided.start.begin(), decided.start.end(), i) > 0;
      if (!starts) continue;
      for (const Lock& wanted : queue[i].locks) {
        for (const Running::Held& held : running.held) REQUIRE_FALSE(in_conflict(wanted, held.lock));
        for (std::size_t earlier = 0; earlier < i; ++earlier)
          for (const Lock& lock : queue[earlier].locks) REQUIRE_FALSE(in_conflict(wanted, lock));
      }
    }
    REQUIRE(std::is_sorted(decided.start.begin(), decided.start.end()));
    // Nothing waits without a reason.
    std::size_t reads = running.reads, modifies = running.modifies;
    for (const std::size_t i : decided.start) ++(queue[i].kind == JobKind::read ? reads : modifies);
    REQUIRE(reads <= limits.reads);
    REQUIRE(modifies <= limits.modifies);
    for (const Plan::Waiting& waiting : decided.waiting) {
      const QueuedJob& job = queue[waiting.index];
      const bool at_limit = job.kind == JobKind::read ? reads == limits.reads : modifies == limits.modifies;
      bool blocked = false;
      for (const Lock& wanted : job.locks) {
        for (const Running::Held& held : running.held) blocked |= in_conflict(wanted, held.lock);
        for (std::size_t earlier = 0; earlier < waiting.index; ++earlier)
          for (const Lock& lock : queue[earlier].locks) blocked |= in_conflict(wanted, lock);
      }
      REQUIRE((at_limit || blocked));
    }
    REQUIRE(decided.start.size() + decided.waiting.size() == queue.size());
    // The first of the queue waits for running jobs only: it starts when they have ended at the latest.
    if (!queue.empty() && running_jobs.empty()) REQUIRE(decided.start.front() == 0);

    for (auto at = decided.start.rbegin(); at != decided.start.rend(); ++at) {
      const QueuedJob job = queue[*at];
      ++(job.kind == JobKind::read ? running.reads : running.modifies);
      for (const Lock& lock : job.locks) running.held.push_back({job.id, lock});
      running_jobs.emplace_back(job.id, job.kind);
      queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(*at));
      ++started;
    }
    for (unsigned n = below(3); n > 0 && !running_jobs.empty(); --n) {
      const auto one = running_jobs.begin() + below(static_cast<unsigned>(running_jobs.size()));
      --(one->second == JobKind::read ? running.reads : running.modifies);
      std::erase_if(running.held, [&](const Running::Held& held) { return held.by == one->first; });
      running_jobs.erase(one);
    }
  }
  CHECK(started == next - 1);
}

}  // namespace
}  // namespace confd::scheduler
