// EXAConf on disk is one whole valid revision at every moment: failures and power cuts at every call, hand
// edits, the history.
#include "exaconf/store.h"

#include <catch2/catch.hpp>

#include "base/text.h"
#include "exaconf/initial.h"
#include "exaconf/transaction.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

using namespace confd;
using namespace confd::exaconf;

namespace {

const std::string kPath = "/exa/etc/EXAConf";

std::string first_text() {
  test::FakeRandom random;
  const auto text = initial_exaconf({}, random);
  REQUIRE(text.ok());
  return *text;
}

struct Disk {
  test::FakeFileSystem files;
  test::FakeRandom random;

  Disk() {
    REQUIRE(files.make_directories("/exa/etc", 0700).ok());
    files.put(kPath, first_text());
  }
  std::unique_ptr<Store> open() {
    auto store = Store::open(files, kPath, random);
    INFO((store.ok() ? std::string() : store.error().text));
    REQUIRE(store.ok());
    return std::move(*store);
  }
  std::string text(const std::string& name = "EXAConf") {
    const auto text = files.read("/exa/etc/" + name);
    return text ? *text : std::string();
  }
  std::vector<std::string> names() { return *files.list("/exa/etc"); }
};

ConfigPtr next_revision(const ConfigPtr& base, const std::string& cluster_name, std::int64_t revision = 0) {
  Transaction transaction(base);
  REQUIRE(transaction.set("Global", "ClusterName", cluster_name).ok());
  const auto sealed = seal(transaction.document(), revision > 0 ? revision : base->revision() + 1);
  REQUIRE(sealed.ok());
  return *sealed;
}

std::int64_t revision_of(const std::string& text) {
  const auto config = Config::load(text);
  REQUIRE(config.ok());
  return (*config)->revision();
}

std::string with(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), by);
}

std::string edited(const std::string& text, const std::string& cluster_name) {
  return with(text, "ClusterName = cl4", "ClusterName = " + cluster_name);
}

std::string with_checksum(const std::string& text, const std::string& word) {
  const std::size_t at = text.find("Checksum = ") + 11;
  return text.substr(0, at) + word + text.substr(text.find('\n', at));
}

}  // namespace

TEST_CASE("a commit is durable, has mode 0600 and becomes current") {
  Disk disk;
  const auto store = disk.open();
  const ConfigPtr next = next_revision(store->current(), "two");
  REQUIRE(store->commit(next).ok());
  CHECK(store->current() == next);
  disk.files.power_cut();
  CHECK(disk.text() == next->text());
  CHECK(disk.files.status(kPath)->mode == 0600);
}

TEST_CASE("the mode and the owner of a carelessly copied file are put right by a commit") {
  Disk disk;
  disk.files.put(kPath, first_text(), 0644);
  REQUIRE(disk.files.change_owner(kPath, 7, 8).ok());
  const auto store = disk.open();
  REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
  const auto status = disk.files.status(kPath);
  CHECK(status->mode == 0600);
  CHECK(status->uid == 7);
  CHECK(status->gid == 8);
}

TEST_CASE("the history holds the ten revisions before, the newest as EXAConf.0") {
  Disk disk;
  const auto store = disk.open();
  for (int i = 0; i < 14; ++i)
    REQUIRE(store->commit(next_revision(store->current(), "c" + std::to_string(i))).ok());
  CHECK(revision_of(disk.text()) == 15);
  for (int i = 0; i < Store::kHistory; ++i)
    CHECK(revision_of(disk.text("EXAConf." + std::to_string(i))) == 14 - i);
  CHECK(disk.names().size() == 11);
}

TEST_CASE("a commit of the revision in force does nothing") {
  Disk disk;
  const auto store = disk.open();
  const int calls = disk.files.calls();
  CHECK(store->commit(store->current()).ok());
  CHECK(disk.files.calls() == calls);
}

TEST_CASE("a revision that does not follow is refused") {
  Disk disk;
  const auto store = disk.open();
  const ConfigPtr other = next_revision(store->current(), "other", 1);
  const auto done = store->commit(other);
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().code == base::Code::internal);
}

TEST_CASE("whatever call of a commit fails, the file is the old or the new revision, and says which") {
  Disk counting;
  const auto counted = counting.open();
  REQUIRE(counted->commit(next_revision(counted->current(), "two")).ok());
  const int before = counting.files.calls();
  REQUIRE(counted->commit(next_revision(counted->current(), "three")).ok());
  const int calls = counting.files.calls() - before;
  REQUIRE(calls > 10);

  for (const bool all_later : {false, true}) {
    for (int n = 1; n <= calls; ++n) {
      INFO("call " << n << (all_later ? " and all later fail" : " fails"));
      Disk disk;
      const auto store = disk.open();
      REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
      const ConfigPtr old = store->current();
      const ConfigPtr next = next_revision(old, "three");
      all_later ? disk.files.fail_from(disk.files.calls() + n) : disk.files.fail_at(disk.files.calls() + n);
      const auto done = store->commit(next);
      disk.files.kill();
      const std::string text = disk.text();
      CHECK((text == old->text() || text == next->text()));
      if (done.ok()) {
        CHECK(text == next->text());
      } else {
        CHECK(done.error().code == base::Code::io_error);
        CHECK(store->current() == old);
        // A single failure is undone; when the disk fails for good, the next look finds what is there.
        if (!all_later) CHECK(text == old->text());
        (void)store->poll();
        CHECK(disk.text() == store->current()->text());
      }
      // The next commit works, from here and after a restart.
      REQUIRE(store->commit(next_revision(store->current(), "four")).ok());
      const auto again = disk.open();
      CHECK(again->current()->get("Global", "ClusterName") != nullptr);
      CHECK(again->current()->text() == store->current()->text());
    }
  }
}

TEST_CASE("whenever the power is cut, the file is the old or the new revision") {
  Disk counting;
  const auto counted = counting.open();
  REQUIRE(counted->commit(next_revision(counted->current(), "two")).ok());
  const int before = counting.files.calls();
  REQUIRE(counted->commit(next_revision(counted->current(), "three")).ok());
  const int calls = counting.files.calls() - before;

  for (int n = 1; n <= calls + 1; ++n) {
    for (const bool power : {true, false}) {
      INFO((power ? "power cut" : "kill") << " before call " << n);
      Disk disk;
      const auto store = disk.open();
      REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
      const ConfigPtr old = store->current();
      const ConfigPtr next = next_revision(old, "three");
      disk.files.fail_from(disk.files.calls() + n);
      const bool done = store->commit(next).ok();
      power ? disk.files.power_cut() : disk.files.kill();
      const std::string text = disk.text();
      CHECK((text == old->text() || text == next->text()));
      if (done) CHECK(text == next->text());
      const auto again = disk.open();
      CHECK(again->current()->text() == text);
      // Of the history at most one entry is missing or doubled, and each that is there is whole.
      for (const std::string& name : disk.names()) {
        CHECK_FALSE(name.starts_with(".EXAConf."));
        CHECK(Config::load(disk.text(name)).ok());
      }
    }
  }
}

TEST_CASE("temp files that a crash left are removed by the daemon and left alone by a guest") {
  Disk disk;
  disk.files.put("/exa/etc/.EXAConf.99.1", "half a fi");
  REQUIRE(Store::open(disk.files, kPath, disk.random, Store::Role::guest).ok());
  CHECK(disk.text(".EXAConf.99.1") == "half a fi");
  (void)disk.open();
  CHECK(disk.names() == std::vector<std::string>{"EXAConf"});
}

TEST_CASE("a file that says COMMIT is committed when it is opened") {
  Disk disk;
  disk.files.put(kPath, with_checksum(edited(first_text(), "mine"), "commit"));
  const auto store = disk.open();
  CHECK(store->current()->revision() == 2);
  CHECK(*store->current()->get("Global", "ClusterName") == "mine");
  CHECK(revision_of(disk.text()) == 2);
  CHECK(disk.names() == std::vector<std::string>{"EXAConf"});
}

TEST_CASE("a file without an AuthenticationToken gets one when it is opened") {
  Disk disk;
  std::string text = first_text();
  const std::size_t at = text.find("    AuthenticationToken");
  text.erase(at, text.find('\n', at) + 1 - at);
  disk.files.put(kPath, with_checksum(text, "COMMIT"));
  const auto store = disk.open();
  CHECK(store->current()->revision() == 3);
  CHECK(store->current()->get("Global", "AuthenticationToken")->size() == 108);
  CHECK(revision_of(disk.text("EXAConf.0")) == 2);
}

TEST_CASE("DISABLED stays disabled and counts every commit") {
  Disk disk;
  disk.files.put(kPath, with_checksum(first_text(), "DISABLED"));
  const auto store = disk.open();
  CHECK(store->current()->revision() == 1);
  REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
  CHECK(store->current()->checksum() == "DISABLED");
  CHECK(store->current()->revision() == 2);
}

TEST_CASE("a file that can't be loaded is named, with the reason and the way back") {
  Disk disk;
  {
    const auto store = disk.open();
    REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
  }
  SECTION("broken") {
    disk.files.put(kPath, "[Global\n");
  }
  SECTION("edited without COMMIT") {
    disk.files.put(kPath, with(disk.text(), "Jira", "Salesforce"));
  }
  SECTION("removed") {
    REQUIRE(disk.files.remove(kPath).ok());
  }
  const auto store = Store::open(disk.files, kPath, disk.random);
  REQUIRE_FALSE(store.ok());
  CHECK_THAT(store.error().text, Catch::Contains(kPath) && Catch::Contains("EXAConf.0 (revision 1)"));
}

TEST_CASE("poll says nothing while nobody edits") {
  Disk disk;
  const auto store = disk.open();
  CHECK_FALSE(store->poll());
  REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
  CHECK_FALSE(store->poll());
}

TEST_CASE("a hand edit with COMMIT is taken as the next revision; the one before goes into the history") {
  Disk disk;
  const auto store = disk.open();
  const std::string before = disk.text();
  disk.files.put(kPath, with_checksum(edited(before, "mine"), "COMMIT"));
  const auto edit = store->poll();
  REQUIRE(edit);
  CHECK(edit->taken);
  CHECK_THAT(edit->text, Catch::Contains("revision 2"));
  CHECK(store->current()->revision() == 2);
  CHECK(*store->current()->get("Global", "ClusterName") == "mine");
  CHECK(disk.text() == store->current()->text());
  CHECK(disk.text("EXAConf.0") == before);
  CHECK_FALSE(store->poll());
  disk.files.power_cut();
  CHECK(disk.text() == store->current()->text());
}

TEST_CASE("a taken edit does not take a number that was promised to a job") {
  Disk disk;
  const auto store = disk.open();
  disk.files.put(kPath, with_checksum(edited(disk.text(), "mine"), "COMMIT"));
  REQUIRE(store->poll(40)->taken);
  CHECK(store->current()->revision() == 40);
}

TEST_CASE("a hand edit without COMMIT is refused once, with the documented text; the last revision stays") {
  Disk disk;
  const auto store = disk.open();
  const ConfigPtr good = store->current();
  const std::string bad = edited(disk.text(), "mine");
  disk.files.put(kPath, bad);
  const auto edit = store->poll();
  REQUIRE(edit);
  CHECK_FALSE(edit->taken);
  CHECK_THAT(edit->text, Catch::StartsWith("EXAConf: Integrity check failed! The stored checksum '" +
                                           good->checksum() + "' does not match the actual checksum '") &&
                             Catch::EndsWith("'. Set checksum to 'COMMIT' if you made intentional changes."));
  CHECK(store->current() == good);
  CHECK_FALSE(store->poll());

  SECTION("the same text saved again is not told again") {
    disk.files.put(kPath, bad);
    CHECK_FALSE(store->poll());
  }
  SECTION("COMMIT added later takes it") {
    disk.files.put(kPath, with_checksum(bad, "COMMIT"));
    CHECK(store->poll()->taken);
    CHECK(*store->current()->get("Global", "ClusterName") == "mine");
  }
  SECTION("the edit undone is silence") {
    disk.files.put(kPath, good->text());
    CHECK_FALSE(store->poll());
    disk.files.put(kPath, bad);
    CHECK(store->poll());
  }
  SECTION("the next commit keeps the refused text beside the file") {
    REQUIRE(store->commit(next_revision(good, "two")).ok());
    CHECK(disk.text("EXAConf.refused") == bad);
    CHECK(disk.text("EXAConf.0") == good->text());
    CHECK(disk.text() == store->current()->text());
    CHECK_FALSE(store->poll());
  }
}

TEST_CASE("a hand edit that is not valid is refused, even with COMMIT") {
  Disk disk;
  const auto store = disk.open();
  const std::string text = with_checksum(disk.text(), "COMMIT");
  SECTION("grammar") {
    disk.files.put(kPath, text + "[Global]\n");
  }
  SECTION("rules") {
    disk.files.put(kPath, with(text, "Networks = private", "Networks = public"));
  }
  const auto edit = store->poll();
  REQUIRE(edit);
  CHECK_FALSE(edit->taken);
  CHECK_THAT(edit->text, Catch::Contains("line "));
  CHECK(store->current()->revision() == 1);
}

TEST_CASE("an edit of blanks alone changes nothing") {
  Disk disk;
  const auto store = disk.open();
  disk.files.put(kPath, with(disk.text(), "    ClusterName = cl4", "ClusterName=cl4"));
  CHECK_FALSE(store->poll());
  CHECK(store->current()->revision() == 1);
}

TEST_CASE("an edit made on an older revision is taken, and the loss is said") {
  Disk disk;
  const auto store = disk.open();
  const std::string old = disk.text();
  REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
  disk.files.put(kPath, with_checksum(edited(old, "mine"), "COMMIT"));
  const auto edit = store->poll();
  REQUIRE(edit);
  CHECK(edit->taken);
  CHECK(store->current()->revision() == 3);
  CHECK_THAT(edit->text, Catch::Contains("made on revision 1") && Catch::Contains("EXAConf.0"));
}

TEST_CASE("an older revision copied back is taken under a new number") {
  Disk disk;
  const auto store = disk.open();
  const std::string old = disk.text();
  REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
  disk.files.put(kPath, old);
  REQUIRE(store->poll()->taken);
  CHECK(store->current()->revision() == 3);
  CHECK(*store->current()->get("Global", "ClusterName") == "cl4");
}

TEST_CASE("a whole revision committed by another program is in force as it is") {
  Disk disk;
  const auto store = disk.open();
  {
    const auto guest = Store::open(disk.files, kPath, disk.random, Store::Role::guest);
    REQUIRE(guest.ok());
    REQUIRE((*guest)->commit(next_revision((*guest)->current(), "theirs")).ok());
  }
  const auto edit = store->poll();
  REQUIRE(edit);
  CHECK(edit->taken);
  CHECK(store->current()->revision() == 2);
  CHECK(*store->current()->get("Global", "ClusterName") == "theirs");
}

TEST_CASE("a commit on a file edited meanwhile is a conflict; after poll it works") {
  Disk disk;
  const auto store = disk.open();
  const ConfigPtr next = next_revision(store->current(), "two");
  SECTION("edited") {
    disk.files.put(kPath, with_checksum(edited(disk.text(), "mine"), "COMMIT"));
  }
  SECTION("removed") {
    REQUIRE(disk.files.remove(kPath).ok());
  }
  const auto done = store->commit(next);
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().code == base::Code::conflict);
  CHECK(store->poll());
  CHECK(store->commit(next_revision(store->current(), "three")).ok());
}

TEST_CASE("a removed file is put back, and that is said") {
  Disk disk;
  const auto store = disk.open();
  const std::string text = disk.text();
  REQUIRE(disk.files.remove(kPath).ok());
  const auto edit = store->poll();
  REQUIRE(edit);
  CHECK_FALSE(edit->taken);
  CHECK_THAT(edit->text, Catch::Contains("was removed") && Catch::Contains("put back"));
  CHECK(disk.text() == text);
  CHECK_FALSE(store->poll());
}

TEST_CASE("a removed file that can't be put back is told once and tried again") {
  Disk disk;
  const auto store = disk.open();
  REQUIRE(disk.files.remove(kPath).ok());
  disk.files.fail_from(disk.files.calls() + 1);
  CHECK_THAT(store->poll()->text, Catch::Contains("can't be put back"));
  CHECK_FALSE(store->poll());
  disk.files.kill();
  CHECK_THAT(store->poll()->text, Catch::Contains("put back") && !Catch::Contains("can't"));
  CHECK(disk.text() == store->current()->text());
}

TEST_CASE("whatever call fails while an edit is taken, the file is the edit or its revision") {
  for (int n = 1; n <= 30; ++n) {
    INFO("call " << n << " fails");
    Disk disk;
    const auto store = disk.open();
    REQUIRE(store->commit(next_revision(store->current(), "two")).ok());
    const ConfigPtr old = store->current();
    const std::string edit =
        with_checksum(with(disk.text(), "ClusterName = two", "ClusterName = mine"), "COMMIT");
    disk.files.put(kPath, edit);
    disk.files.fail_at(disk.files.calls() + n);
    const auto told = store->poll();
    REQUIRE(told);
    disk.files.kill();
    CHECK(Config::load(disk.text()).ok());
    if (!told->taken) {
      CHECK(store->current() == old);
      (void)store->poll();
    }
    REQUIRE(store->commit(next_revision(store->current(), "four")).ok());
    CHECK(disk.text() == store->current()->text());
  }
}
