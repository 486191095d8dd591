// Tables: what the master does with the members of the managed store, and what a node does with its own.
#include "cluster/etcd_roster.h"

#include <catch2/catch.hpp>
#include <sstream>

using namespace confd::cluster;
using Kind = RosterAction::Kind;
using Part = OwnPart::Kind;

namespace {

// "11 12! 13? L14 L15- x99!": ids are node ids; ! is not healthy, ? has lost its data (and so is not
// healthy), L is a learner, - never started, x is of no node in EXAConf.
RosterView members(const std::string& text) {
  RosterView view;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    RosterMember member;
    member.is_healthy = member.is_started = true;
    const bool is_foreign = word.front() == 'x';
    member.is_learner = word.front() == 'L';
    if (is_foreign || member.is_learner) word.erase(0, 1);
    member.has_moved = word.back() == '~';
    member.is_healthy = !member.has_moved && word.back() != '!' && word.back() != '?' && word.back() != '-';
    member.is_started = word.back() != '-';
    member.id = std::stoull(word);
    if (word.back() == '?') view.lost.insert(member.id);
    if (!is_foreign) member.node = static_cast<int>(member.id);
    view.members.push_back(member);
  }
  return view;
}

struct Case {
  std::string members;
  std::vector<int> wanted;
  std::set<int> live;
  std::string action;  // "add 12", "promote 12", "remove 12", "" (all is well), "wait"
};

std::string said(const RosterAction& action) {
  switch (action.kind) {
    case Kind::add:
      return "add " + std::to_string(action.node);
    case Kind::promote:
      return "promote " + std::to_string(action.member);
    case Kind::remove:
      return "remove " + std::to_string(action.member);
    case Kind::move:
      return "move " + std::to_string(action.member);
    case Kind::lead:
      return "lead " + std::to_string(action.member);
    case Kind::none:
      break;
  }
  return action.reason.empty() ? "" : "wait";
}

void check(const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    RosterView view = members(each.members);
    view.wanted = each.wanted;
    view.live = each.live;
    const RosterAction action = decide(view);
    INFO("members " << each.members << ": " << action.reason);
    CHECK(said(action) == each.action);
    if (action.kind != Kind::none) CHECK(!action.reason.empty());
  }
}

EtcdMember listed(std::uint64_t id, const std::string& name, const std::string& url) {
  EtcdMember member;
  member.id = id;
  member.name = name;
  member.peer_urls = {url};
  return member;
}

}  // namespace

TEST_CASE("members are the first nodes, and always an odd number") {
  using Ids = std::vector<int>;
  CHECK(wanted_members({}, 0).empty());
  CHECK(wanted_members({11}, 0) == Ids{11});
  CHECK(wanted_members({11, 12}, 0) == Ids{11});
  CHECK(wanted_members({11, 12, 13}, 0) == Ids{11, 12, 13});
  CHECK(wanted_members({11, 12, 13, 14}, 0) == Ids{11, 12, 13});
  CHECK(wanted_members({11, 12, 13, 14, 15, 16}, 0) == Ids{11, 12, 13, 14, 15});
  CHECK(wanted_members({11, 12, 13, 14, 15, 16}, 3) == Ids{11, 12, 13});
  CHECK(wanted_members({11, 12, 13, 14}, 5) == Ids{11, 12, 13});
  CHECK(wanted_members({11, 12, 13}, 1) == Ids{11});
}

TEST_CASE("one member becomes three, one step at a time") {
  const std::vector<int> three{11, 12, 13};
  check({
      {"11", three, {11, 12, 13}, "add 12"},
      {"11 L12-", three, {11, 12, 13}, "wait"},
      {"11 L12!", three, {11, 12, 13}, "wait"},
      {"11 L12", three, {11, 12, 13}, "promote 12"},
      {"11 12", three, {11, 12, 13}, "add 13"},
      {"11 12 L13", three, {11, 12, 13}, "promote 13"},
      {"11 12 13", three, {11, 12, 13}, ""},
      // Only nodes that are there are added.
      {"11", three, {11}, ""},
      {"11", three, {11, 13}, "add 13"},
      // Two voters bear no failure at all: the second waits for the third.
      {"11 L12", three, {11, 12}, "wait"},
      // A learner that is away gives its place to a node that is there.
      {"11 L12!", three, {11, 13}, "remove 12"},
      {"11 L12!", three, {11}, "wait"},
  });
}

TEST_CASE("without a majority nothing is changed") {
  check({
      {"11 12! 13!", {11, 12, 13}, {11}, "wait"},
      {"11 12! 13!", {11}, {11}, "wait"},
      {"11 12! L13", {11, 12, 13}, {11, 13}, "wait"},
  });
}

TEST_CASE("a member of a node that is only away stays") {
  check({
      {"11 12 13!", {11, 12, 13}, {11, 12}, ""},
      {"11 12 13!", {11, 12, 13}, {11, 12, 14}, ""},
  });
}

TEST_CASE("a member that lost its data is removed and added anew") {
  check({
      {"11 12 13?", {11, 12, 13}, {11, 12, 13}, "remove 13"},
      {"11 12", {11, 12, 13}, {11, 12, 13}, "add 13"},
      {"11 12 L13?", {11, 12, 13}, {11, 12, 13}, "remove 13"},
      // The rest would be without a majority.
      {"11 12! 13?", {11, 12, 13}, {11, 13}, "wait"},
      {"11 12? 13 14! 15", {11, 12, 13, 14, 15}, {11, 12, 13, 15}, "remove 12"},
  });
}

TEST_CASE("a node that was removed takes its member with it") {
  check({
      // Dead: at once. Alive: after its successor has taken its place.
      {"11 12 13!", {11, 12, 14}, {11, 12, 14}, "remove 13"},
      {"11 12 13", {11, 12, 14}, {11, 12, 13, 14}, "add 14"},
      {"11 12 13 L14", {11, 12, 14}, {11, 12, 13, 14}, "promote 14"},
      {"11 12 13 14", {11, 12, 14}, {11, 12, 13, 14}, "remove 13"},
      // The successor is away: not waited for.
      {"11 12 13", {11, 12, 14}, {11, 12, 13}, "remove 13"},
      // Three nodes become two: one member is left.
      {"11 12 13", {11}, {11, 12}, "remove 12"},
      {"11 13", {11}, {11, 12}, "remove 13"},
      {"11", {11}, {11, 12}, ""},
      // The dead one of two first, or the majority is gone.
      {"11 12 13!", {11}, {11, 12}, "remove 13"},
      {"11 12", {11}, {11, 12}, "remove 12"},
      // A wanted one is away: the living one that is not wanted is needed for the majority.
      {"11 12! 13", {11, 12}, {11}, "wait"},
      {"x9 11 12", {11, 12, 13}, {11, 12}, "remove 9"},
      {"11 12 L13", {11}, {11, 12}, "remove 13"},
  });
}

TEST_CASE("the others are told where a node is that has a new address") {
  check({
      {"11 12~ 13", {11, 12, 13}, {11, 12, 13}, "move 12"},
      {"11 12~ L13", {11, 12, 13}, {11, 12, 13}, "wait"},  // no majority: nobody could agree on it
      {"11 12 L13~", {11, 12, 13}, {11, 12, 13}, "move 13"},
      {"11 12 13~", {11, 12, 14}, {11, 12, 13, 14}, "remove 13"},
  });
}

TEST_CASE("three members become five") {
  const std::vector<int> five{11, 12, 13, 14, 15};
  check({
      {"11 12 13", five, {11, 12, 13, 14, 15}, "add 14"},
      {"11 12 13 L14", five, {11, 12, 13, 14, 15}, "promote 14"},
      {"11 12 13 14", five, {11, 12, 13, 14, 15}, "add 15"},
      {"11 12 13 14 L15", five, {11, 12, 13, 14, 15}, "promote 15"},
      {"11 12 13 L14", five, {11, 12, 13, 14}, "wait"},
  });
}

TEST_CASE("no step takes the majority away") {
  // All rosters of up to five members, each well, away or lost, wanted or not, over nodes 11 to 15.
  int steps = 0;
  for (int code = 0; code < 6 * 6 * 6 * 6 * 6; ++code)
    for (int wanted_code = 1; wanted_code < 32; ++wanted_code) {
      RosterView view;
      std::size_t voters = 0, healthy = 0;
      for (int i = 0, rest = code; i < 5; ++i, rest /= 6) {
        const int state = rest % 6;  // none, well, away, lost, learner, learner away
        const int node = 11 + i;
        if (wanted_code >> i & 1) view.wanted.push_back(node);
        if (state != 2 && state != 5) view.live.insert(node);
        if (state == 0) continue;
        RosterMember member{static_cast<std::uint64_t>(node), node, state >= 4, true,
                            state == 1 || state == 4};
        if (state == 3) view.lost.insert(member.id);
        voters += !member.is_learner;
        healthy += !member.is_learner && member.is_healthy;
        view.members.push_back(member);
      }
      if (voters == 0) continue;
      const RosterAction action = decide(view);
      if (action.kind == Kind::none) continue;
      ++steps;
      for (const RosterMember& member : view.members) {
        if (member.id != action.member || action.kind == Kind::add) continue;
        if (action.kind == Kind::promote) {
          ++voters;
          healthy += member.is_healthy;
        } else if (!member.is_learner) {
          --voters;
          healthy -= member.is_healthy;
        }
      }
      if (healthy < voters / 2 + 1) {
        std::string all;
        for (const RosterMember& member : view.members)
          all +=
              (member.is_learner ? " L" : " ") + std::to_string(member.id) + (member.is_healthy ? "" : "!");
        FAIL(all << ": " << said(action));
      }
    }
  CHECK(steps > 1000);
}

TEST_CASE("etcd's leader is not on the master's machine, when there is another one for it") {
  const auto decided = [](const std::string& text, int master, std::uint64_t leader, std::set<int> live) {
    RosterView view = members(text);
    view.wanted = {11, 12, 13};
    view.live = std::move(live);
    view.master = master;
    view.leader = leader;
    return said(decide(view));
  };
  CHECK(decided("11 12 13", 11, 11, {11, 12, 13}) == "lead 12");
  CHECK(decided("11 12 13", 12, 12, {11, 12, 13}) == "lead 11");
  CHECK(decided("11 12 13", 11, 12, {11, 12, 13}) == "");
  CHECK(decided("11 12 13", 11, 0, {11, 12, 13}) == "");
  // Not to one that is away, or whose confd is.
  CHECK(decided("11 12! 13", 11, 11, {11, 12, 13}) == "lead 13");
  CHECK(decided("11 12 13", 11, 11, {11, 13}) == "lead 13");
  // A learner can't lead; members come first.
  CHECK(decided("11 12 L13", 11, 11, {11, 12, 13}) == "promote 13");
  CHECK(decided("11", 11, 11, {11}) != "lead 11");
}

TEST_CASE("what a node does with its own member") {
  const std::string url = "https://127.0.0.12:2380", other = "https://127.0.0.11:2380";
  OwnSituation own;
  own.node = 12;
  own.is_wanted = true;
  own.peer_url = url;
  const std::vector<EtcdMember> without{listed(1, "node-11", other)};
  const std::vector<EtcdMember> added{listed(1, "node-11", other), listed(2, "", url)};
  const std::vector<EtcdMember> with{listed(1, "node-11", other), listed(2, "node-12", url)};

  SECTION("no data: only a node that is alone founds a store") {
    CHECK(own_part(own).kind == Part::wait);
    own.is_sole = true;
    CHECK(own_part(own).kind == Part::found);
    // Its former fellows still answer: it takes the store over from them.
    own.members = without;
    CHECK(own_part(own).kind == Part::wait);
  }
  SECTION("no data: it is added first") {
    own.members = without;
    CHECK(own_part(own).kind == Part::wait);
    own.members = added;
    CHECK(own_part(own).kind == Part::join);
  }
  SECTION("no data, but a member that had some: never started empty under its old id") {
    own.members = with;
    CHECK(own_part(own).kind == Part::ask_anew);
    CHECK(own_part(own).member == 2);
  }
  SECTION("no data, and none wanted here") {
    own.is_wanted = false;
    own.members = without;
    CHECK(own_part(own).kind == Part::none);
  }
  SECTION("data: it runs, whoever answers") {
    own.has_data = true;
    CHECK(own_part(own).kind == Part::run);
    own.members = with;
    CHECK(own_part(own).kind == Part::run);
    own.members = added;  // killed before its name was known
    CHECK(own_part(own).kind == Part::run);
  }
  SECTION("data of a member that was removed") {
    own.has_data = true;
    own.members = without;
    CHECK(own_part(own).kind == Part::set_aside);
    own.runs = true;  // it ends by itself when it hears of it
    CHECK(own_part(own).kind == Part::run);
  }
}

TEST_CASE("data of a store that was given up is set aside, also while its member runs") {
  OwnSituation own;
  own.node = 13;
  own.has_data = own.runs = own.is_wanted = own.is_of_another_store = true;
  CHECK(own_part(own).kind == Part::set_aside);
  own.is_of_another_store = false;
  CHECK(own_part(own).kind == Part::run);
}

TEST_CASE("names of members") {
  CHECK(member_name(12) == "node-12");
  CHECK(node_of_member_name("node-12") == 12);
  CHECK(node_of_member_name("") == std::nullopt);
  CHECK(node_of_member_name("default") == std::nullopt);
  CHECK(node_of_member_name("node-x") == std::nullopt);
}
