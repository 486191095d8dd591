// P1 to P4 at every crash point: a scripted run whose disk dies at the n-th call, for every n; then the next
// life looks at what is left.
#include <catch2/catch.hpp>

#include "tests/scheduler/scheduler_fixture.h"

namespace confd::scheduler {
namespace {

using base::Code;
using test::Accepted;
using test::Answer;
using test::Disk;
using test::Life;

struct Told {
  std::string user;  // whom the job makes
  JobId id;
  std::optional<Code> result;  // what the caller heard
};

std::string make_user(const std::string& name, int id) {
  return R"({"username": ")" + name + R"(", "userid": )" + std::to_string(id) +
         R"(, "password": "*", "group": "exausers", "login_enabled": true, "encode_passwd": false})";
}

// Several users at once and one after the other, a declined job, a failing one, read jobs.
std::vector<Told> scripted_run(Life& life, int round) {
  std::vector<std::pair<std::string, Accepted>> started;
  const auto user = [&](int i) { return "u" + std::to_string(round) + "x" + std::to_string(i); };
  for (int i = 0; i < 4; ++i)
    started.emplace_back(user(i), life.start("user_create", make_user(user(i), 3000 + 100 * round + i)));
  started.emplace_back("", life.start("node_state"));
  started.emplace_back("", life.start("user_create", "{}"));
  started.emplace_back("", life.start("user_create", make_user("alice", 4000)));
  std::vector<Told> told;
  for (const auto& [name, accepted] : started) {
    const auto id = accepted.get();
    if (id) told.push_back({name, *id, {}});
  }
  for (Told& one : told) {
    Answer<base::Result<bool>> ended;
    life.scheduler->wait(one.id, std::chrono::hours(1), ended.callback());
    if (!ended.get()) continue;
    const auto record = life.find(one.id, true);
    if (record && (*record)->ended) one.result = (*record)->code;
  }
  Accepted accepted;
  Answer<RecordPtr> ended;
  life.scheduler->submit(life.submission("user_create", make_user(user(9), 3000 + 100 * round + 9), "root"),
                         accepted.callback(), ended.callback());
  if (accepted.get().ok()) told.push_back({user(9), ended.get()->id, ended.get()->code});
  return told;
}

// What the disk shows to a life that begins, against what callers of the lives before heard.
void check_promises(Disk& disk, const std::vector<Told>& told, bool reads_too) {
  const auto config = exaconf::Config::load(*disk.read(test::kExaconf));
  REQUIRE(config.ok());  // P4
  Life life(disk);
  if (!life.runs()) FAIL(life.problem.text);
  std::uint64_t highest = 0;
  for (const Told& one : told) {
    CAPTURE(one.id.text(), one.user);
    highest = std::max(highest, one.id.number);
    if (one.user.empty() && !reads_too)
      continue;  // of read and declined jobs a power cut may take the record
    const auto waited = life.wait(one.id);
    REQUIRE(waited.ok());  // P1: on record
    const auto record = life.find(one.id);
    REQUIRE(record.ok());
    REQUIRE((*record)->ended);
    if (one.user.empty()) continue;
    const bool is_there = life.scheduler->config()->user(one.user) != nullptr;
    CAPTURE((*record)->text, stage_name((*record)->stage));
    // The record says what is so: a job that ran twice would have failed with `exists`.
    CHECK(((*record)->code == Code::ok) == is_there);
    if ((*record)->code == Code::ok) {
      CHECK((*record)->stage == Stage::committed);
      REQUIRE((*record)->published.has_value());
      CHECK((*record)->published->revision <= life.scheduler->config()->revision());
    }
    if (one.result == Code::ok) CHECK((*record)->code == Code::ok);
  }
  const auto next = life.exec("node_list");
  CHECK(next->id.number > highest);  // no id twice
  CHECK(life.exec("user_create", make_user("after", 5000))->code == Code::ok);
}

int calls_of_a_run() {
  Disk disk;
  {
    Life life(disk);
    scripted_run(life, 0);
  }
  return disk.calls();
}

void walk(bool power_cut) {
  const int last = calls_of_a_run() + 10;
  REQUIRE(last > 80);
  for (int n = 1; n <= last; ++n) {
    CAPTURE(n);
    Disk disk;
    std::vector<Told> told;
    int boot_calls = 0;
    disk.fail_from(n);
    {
      Life life(disk);
      if (life.runs()) told = scripted_run(life, 0);
      boot_calls = life.boot_calls;
    }
    if (power_cut)
      disk.power_cut();
    else
      disk.kill();
    CHECK(boot_calls <= 1);
    check_promises(disk, told, !power_cut);
  }
}

TEST_CASE("The promises hold wherever the process is killed", "[walk]") {
  walk(false);
}

TEST_CASE("The promises hold wherever the power is cut", "[walk]") {
  walk(true);
}

TEST_CASE("The promises hold when the recovery is cut off as well", "[walk]") {
  const int last = calls_of_a_run();
  for (int n = 20; n < last; n += 17)
    for (int m = 1; m < 40; m += 2) {
      CAPTURE(n, m);
      Disk disk;
      std::vector<Told> told;
      disk.fail_from(n);
      {
        Life life(disk);
        if (life.runs()) told = scripted_run(life, 0);
      }
      if (m % 4 == 1)
        disk.power_cut();
      else
        disk.kill();
      disk.fail_from(disk.calls() + m);
      {
        Life life(disk);
        if (life.runs())
          for (const Told& more : scripted_run(life, 1)) told.push_back(more);
      }
      disk.power_cut();
      check_promises(disk, told, false);
    }
}

TEST_CASE("One call that fails does no more than fail what needed it", "[walk]") {
  const int last = calls_of_a_run();
  for (int n = 1; n <= last; ++n) {
    CAPTURE(n);
    Disk disk;
    std::vector<Told> told;
    disk.fail_at(n);
    bool ran = false;
    {
      Life life(disk);
      ran = life.runs();
      if (ran) {
        told = scripted_run(life, 0);
        disk.fail_at(0);
        const auto goes_on = life.exec("user_create", make_user("goeson", 5001));
        CAPTURE(goes_on->text);
        CHECK(goes_on->code == Code::ok);
      }
    }
    disk.power_cut();
    check_promises(disk, told, false);
  }
}

}  // namespace
}  // namespace confd::scheduler
