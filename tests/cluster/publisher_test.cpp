#include "cluster/publisher.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/support/config_text.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

namespace confd::cluster {
namespace {

using base::Code;
using base::Result;
using base::Status;
using test::Answer;
using test::Gate;

const std::string kPath = "/exa/etc/EXAConf";

struct Fixture {
  test::FakeFileSystem files;
  test::FakeRandom random;
  std::unique_ptr<exaconf::Store> store;
  base::Mutex mutex;
  std::vector<std::string> events GUARDED_BY(mutex);
  Status sync_result;
  Gate gate;
  bool hold_sync = false;
  std::unique_ptr<Publisher> publisher;

  Fixture() {
    files.put(kPath, test::small_config_text());
    store = std::move(*exaconf::Store::open(files, kPath, random));
  }
  ~Fixture() {
    gate.open();
    publisher.reset();
  }
  void say(std::string text) {
    base::MutexLock lock(mutex);
    events.push_back(std::move(text));
  }
  std::vector<std::string> said() {
    base::MutexLock lock(mutex);
    return events;
  }
  void open(std::int64_t first_free = 4) {
    Publisher::Hooks hooks;
    hooks.sync_records = [this] {
      say("sync");
      if (hold_sync) gate.pass();
      return sync_result;
    };
    hooks.on_edit = [this](const exaconf::Store::Edit& edit) { say(edit.taken ? "taken" : "refused"); };
    hooks.on_revision = [this](exaconf::ConfigPtr config) {
      say("revision " + std::to_string(config->revision()));
    };
    hooks.look_every = std::chrono::milliseconds(1);
    publisher = std::make_unique<Publisher>(*store, first_free, std::move(hooks));
  }
  using Done = Answer<Result<Publication>>;
  Done publish(exaconf::Transaction transaction, const std::string& name = "job") {
    Done done;
    publisher->publish({std::move(transaction),
                        [this, name](const Publication& p) {
                          say(name + " becomes " + std::to_string(p.revision) + " in " +
                              std::to_string(p.written_revision));
                        },
                        done.callback()});
    return done;
  }
  exaconf::Transaction set(const std::string& value) {
    exaconf::Transaction transaction(store->current());
    REQUIRE(transaction.set("Global", "NameServers", value).ok());
    return transaction;
  }
  exaconf::Transaction login(const std::string& user, bool enabled) {
    exaconf::Transaction transaction(store->current());
    REQUIRE(transaction.set("Users/" + user, "LoginEnabled", enabled ? "True" : "False").ok());
    return transaction;
  }
  exaconf::ConfigPtr on_disk() { return exaconf::Config::load(*files.read(kPath)).value(); }
};

TEST_CASE_METHOD(Fixture, "A transaction becomes the next revision, on disk before it is told") {
  open();
  const auto done = publish(set("10.0.0.1")).get();
  REQUIRE(done.ok());
  CHECK(done->base_revision == 3);
  CHECK(done->revision == 4);
  CHECK(done->written_revision == 4);
  CHECK(done->written_checksum == store->current()->checksum());
  CHECK(done->diff.as_array().size() == 1);
  files.power_cut();
  CHECK(on_disk()->revision() == 4);
  CHECK(*on_disk()->get("Global", "NameServers") == "10.0.0.1");
}

TEST_CASE_METHOD(Fixture, "The record is told first, then made durable, then the file is written") {
  open();
  CHECK(publish(set("10.0.0.1")).get().ok());
  CHECK(test::eventually([&] { return said().size() == 3; }));
  CHECK(said() == std::vector<std::string>{"job becomes 4 in 4", "sync", "revision 4"});
}

TEST_CASE_METHOD(Fixture, "Those that wait together are written once, in order, each with its own number") {
  hold_sync = true;
  open();
  const Done first = publish(login("alice", false), "first");
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  const Done a = publish(login("bob", true), "a");
  const Done b = publish(login("carol", false), "b");
  const Done c = publish(login("dave", false), "c");
  const int calls = files.calls();
  gate.open();
  CHECK(first.get().ok());
  CHECK(a.get()->revision == 5);
  CHECK(b.get()->revision == 6);
  CHECK(c.get()->revision == 7);
  CHECK(a.get()->base_revision == 4);
  CHECK(a.get()->written_revision == 7);
  CHECK(a.get()->written_checksum == c.get()->written_checksum);
  CHECK(a.get()->diff.as_array().size() == 1);
  CHECK(store->current()->revision() == 7);
  CHECK(store->current()->user("bob")->login_enabled);
  CHECK_FALSE(store->current()->user("alice")->login_enabled);
  CHECK_FALSE(store->current()->user("dave")->login_enabled);
  CHECK(files.calls() - calls < 2 * 25);  // two writes with their history, not four
}

TEST_CASE_METHOD(Fixture, "What was agreed on before an own publication comes too late") {
  Publisher::Hooks hooks;
  hooks.sync_records = [] { return Status(); };
  hooks.agree = [](const exaconf::Config&, const exaconf::Config&) { return Status(); };
  hooks.on_revision = [this](const exaconf::ConfigPtr& config) {
    say("revision " + std::to_string(config->revision()));
  };
  publisher = std::make_unique<Publisher>(*store, 4, std::move(hooks));
  REQUIRE(publish(set("10.0.0.1")).get().ok());
  const exaconf::ConfigPtr fourth = store->current();
  REQUIRE(publish(set("10.0.0.2")).get().ok());
  Answer<Status> late;
  publisher->adopt(fourth, late.callback());
  CHECK(late.get().ok());
  CHECK(on_disk()->revision() == 5);
  // One job more, so that all that was said of the two before is there.
  REQUIRE(publish(set("10.0.0.3")).get().ok());
  CHECK(test::eventually([&] { return said().back() == "revision 6"; }));
  std::vector<std::string> revisions = said();
  std::erase_if(revisions, [](const std::string& one) { return !one.starts_with("revision"); });
  CHECK(revisions == std::vector<std::string>{"revision 4", "revision 5", "revision 6"});
}

TEST_CASE_METHOD(Fixture, "One that no longer applies fails alone, and uses up no number") {
  hold_sync = true;
  open();
  exaconf::Transaction removes(store->current());
  REQUIRE(removes.remove_section("Users/alice").ok());
  const Done first = publish(std::move(removes));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  const Done late = publish(login("alice", false));
  const Done other = publish(login("bob", true));
  gate.open();
  CHECK(first.get().ok());
  REQUIRE_FALSE(late.get().ok());
  CHECK(late.get().error().code == Code::conflict);
  CHECK(other.get()->revision == 5);
}

TEST_CASE_METHOD(Fixture, "One whose result is not valid fails alone") {
  open();
  exaconf::Transaction broken(store->current());
  REQUIRE(broken.set("Users/alice", "ID", "many").ok());
  const auto done = publish(std::move(broken)).get();
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().code == Code::invalid_config);
  CHECK(store->current()->revision() == 3);
  CHECK(publish(set("10.0.0.1")).get()->revision == 4);
}

TEST_CASE_METHOD(Fixture,
                 "Nothing is written whose record is not durable, and its number is not used again") {
  sync_result = base::Error{Code::io_error, "the journal is broken"};
  open();
  const auto done = publish(set("10.0.0.1")).get();
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().text == "the journal is broken");
  CHECK(on_disk()->revision() == 3);
  sync_result = {};
  CHECK(publish(set("10.0.0.2")).get()->revision == 5);
}

TEST_CASE_METHOD(Fixture,
                 "When the file can't be written the old revision stays, and its number is not used again") {
  hold_sync = true;
  open();
  const Done failing = publish(set("10.0.0.1"));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  files.fail_from(files.calls() + 1);
  gate.open();
  CHECK(failing.get().error().code == Code::io_error);
  files.kill();
  CHECK(store->current()->revision() == 3);
  CHECK(on_disk()->revision() == 3);
  CHECK(publish(set("10.0.0.2")).get()->revision == 5);
}

TEST_CASE_METHOD(Fixture, "Numbers below the first free one are never given") {
  open(100);
  CHECK(publish(set("10.0.0.1")).get()->revision == 100);
}

TEST_CASE_METHOD(Fixture, "A hand edit is taken, and what comes after counts on from it") {
  open();
  std::string text = *files.read(kPath);
  text.replace(text.find("Checksum = NONE"), 15, "Checksum = COMMIT");
  text.replace(text.find("NameServers = "), 14, "NameServers = 10.9.9.9");
  files.put(kPath, text);
  REQUIRE(test::eventually([&] { return store->current()->revision() == 4; }));
  CHECK(publish(login("alice", false)).get()->revision == 5);
  CHECK(*store->current()->get("Global", "NameServers") == "10.9.9.9");
  const auto events_now = said();
  CHECK(std::count(events_now.begin(), events_now.end(), "taken") == 1);
  CHECK(std::count(events_now.begin(), events_now.end(), "revision 4") == 1);
}

TEST_CASE_METHOD(Fixture, "What waits when the publisher ends is published") {
  hold_sync = true;
  open();
  const Done first = publish(login("alice", false));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  const Done second = publish(login("bob", true));
  std::thread opens([&] { gate.open(); });
  publisher.reset();
  opens.join();
  CHECK(first.get().ok());
  CHECK(second.get().ok());
  CHECK(on_disk()->revision() == 5);
}

}  // namespace
}  // namespace confd::cluster
