#include "cluster/etcd_roster.h"

#include <algorithm>

#include "base/text.h"

namespace confd::cluster {

namespace {

constexpr std::string_view kNamePrefix = "node-";
constexpr std::size_t kManyNodes = 5;

std::size_t majority(std::size_t voters) {
  return voters / 2 + 1;
}

using Kind = RosterAction::Kind;

std::string name_of(const RosterMember& member) {
  return member.node ? "node " + std::to_string(*member.node) : "a node that EXAConf does not have";
}

RosterAction act(Kind kind, const RosterMember& member, std::string reason) {
  return {kind, member.node.value_or(0), member.id, std::move(reason)};
}

RosterAction wait_for(std::string reason) {
  return {Kind::none, 0, 0, std::move(reason)};
}

// One look at the roster, with the questions decide() asks.
class Roster {
 public:
  explicit Roster(const RosterView& view) : view_(view) {
    for (const RosterMember& member : view.members) {
      if (member.is_learner)
        learner_ = &member;
      else
        voters_.push_back(&member);
    }
    healthy_ = static_cast<std::size_t>(
        std::count_if(voters_.begin(), voters_.end(), [](const auto* voter) { return voter->is_healthy; }));
    for (const int node : view.wanted)
      if (view.live.contains(node) && !member_of(node)) waiting_.push_back(node);
  }

  const RosterMember* learner() const { return learner_; }
  const std::vector<const RosterMember*>& voters() const { return voters_; }
  const std::vector<int>& waiting() const { return waiting_; }
  bool has_majority() const { return healthy_ >= majority(voters_.size()); }
  bool is_wanted(const RosterMember& member) const {
    return member.node && !view_.lost.contains(member.id) &&
           std::find(view_.wanted.begin(), view_.wanted.end(), *member.node) != view_.wanted.end();
  }
  bool is_lost(const RosterMember& member) const { return view_.lost.contains(member.id); }
  bool is_live(const RosterMember& member) const { return member.node && view_.live.contains(*member.node); }
  // Of the voters that stay more than half are there.
  bool can_spare(const RosterMember& voter) const {
    const std::size_t stay = voters_.size() - 1;
    return stay > 0 && healthy_ - (voter.is_healthy ? 1 : 0) >= majority(stay);
  }
  const RosterMember* unwanted_voter() const {
    for (const auto* voter : voters_)
      if (!is_wanted(*voter)) return voter;
    return nullptr;
  }
  // Without it, or with it, the voters are odd in number soon: a stop at two bears no failure at all.
  bool may_stay_even() const {
    return (voters_.size() + 1) % 2 == 1 || !waiting_.empty() || unwanted_voter() != nullptr;
  }

 private:
  const RosterMember* member_of(int node) const {
    for (const RosterMember& member : view_.members)
      if (member.node == node) return &member;
    return nullptr;
  }

  const RosterView& view_;
  std::vector<const RosterMember*> voters_;
  const RosterMember* learner_ = nullptr;
  std::vector<int> waiting_;  // wanted and alive, no member yet
  std::size_t healthy_ = 0;
};

std::string why_unwanted(const Roster& roster, const RosterMember& member) {
  if (roster.is_lost(member)) return name_of(member) + " has lost the data of its member";
  if (!member.node) return "EXAConf has no node for this member";
  return name_of(member) + " is not among the nodes that shall have a member";
}

}  // namespace

std::vector<int> wanted_members(const std::vector<int>& nodes, int limit) {
  std::size_t count = limit > 0 ? static_cast<std::size_t>(limit) : nodes.size() >= kManyNodes ? 5 : 3;
  count = std::min(count, nodes.size());
  if (count > 0 && count % 2 == 0) --count;
  return {nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(count)};
}

RosterAction decide(const RosterView& view) {
  const Roster roster(view);
  if (!roster.has_majority())
    return wait_for("more than half of the store's members are away: nothing can be changed");

  for (const RosterMember& member : view.members)
    if (member.has_moved && roster.is_wanted(member))
      return act(Kind::move, member, name_of(member) + " has another private address now");

  // A learner counts nowhere, so it goes without danger.
  if (const RosterMember* learner = roster.learner()) {
    if (!roster.is_wanted(*learner)) return act(Kind::remove, *learner, why_unwanted(roster, *learner));
    if (!roster.is_live(*learner) && !roster.waiting().empty())
      return act(Kind::remove, *learner,
                 name_of(*learner) + " is away, and node " + std::to_string(roster.waiting().front()) +
                     " waits for its place");
  }

  // Dead members that are not wanted only cost: first of all.
  for (const RosterMember* voter : roster.voters())
    if (!voter->is_healthy && !roster.is_wanted(*voter) && roster.can_spare(*voter))
      return act(Kind::remove, *voter, why_unwanted(roster, *voter));

  if (const RosterMember* learner = roster.learner()) {
    if (!learner->is_started || !learner->is_healthy)
      return wait_for(name_of(*learner) + " has not started its member yet");
    if (roster.may_stay_even()) return act(Kind::promote, *learner, name_of(*learner) + " has caught up");
  } else if (!roster.waiting().empty()) {
    const int node = roster.waiting().front();
    return {Kind::add, node, 0, "node " + std::to_string(node) + " shall have a member"};
  }

  // Those that live and are not wanted any more go last, when the others have taken their places.
  if (const RosterMember* voter = roster.unwanted_voter()) {
    if (roster.can_spare(*voter)) return act(Kind::remove, *voter, why_unwanted(roster, *voter));
    return wait_for("the member of " + name_of(*voter) + " goes when enough others are there");
  }
  if (const RosterMember* learner = roster.learner())
    return wait_for("the member of " + name_of(*learner) +
                    " is promoted when one more can be added: an even number bears no more failures");

  // When a machine dies, etcd's leader and the master should not die together: the lease of the master runs
  // anew from the moment etcd has another leader.
  for (const RosterMember& leader : view.members)
    if (leader.id == view.leader && leader.node == view.master)
      for (const RosterMember* other : roster.voters())
        if (other->id != leader.id && other->is_healthy && roster.is_live(*other))
          return act(Kind::lead, *other, "the leader shall not be on the master's machine");
  return {};
}

OwnPart own_part(const OwnSituation& own) {
  using Part = OwnPart::Kind;
  const EtcdMember* listed = nullptr;
  if (own.members)
    for (const EtcdMember& member : *own.members) {
      const bool same_url =
          std::find(member.peer_urls.begin(), member.peer_urls.end(), own.peer_url) != member.peer_urls.end();
      if (member.name == member_name(own.node) || (member.name.empty() && same_url)) listed = &member;
    }
  if (own.has_data && own.is_of_another_store)
    return {Part::set_aside, 0,
            "the data is that of a store that was given up (--recover-store on another node)"};
  if (own.has_data) {
    if (own.members && !listed && !own.runs)
      return {Part::set_aside, 0, "the store has no member of this node: it was removed while it was away"};
    return {Part::run, 0, {}};
  }
  if (!own.is_wanted) return {};
  // When one answers, the nodes that had it were just removed from EXAConf, and this one takes it over.
  if (own.is_sole && !own.members) return {Part::found, 0, "this is the only node of EXAConf"};
  if (!own.members)
    return {Part::wait, 0,
            "waiting for the store: this node has no data of it, and no other member answers. When all are "
            "lost for good: confd --recover-store"};
  if (!listed) return {Part::wait, 0, "waiting for the master to add this node to the store"};
  if (listed->name.empty()) return {Part::join, listed->id, "the master added this node to the store"};
  return {Part::ask_anew, listed->id,
          "the data of this node's member is gone: waiting for the master to add it anew"};
}

std::string member_name(int node) {
  return std::string(kNamePrefix) + std::to_string(node);
}

std::optional<int> node_of_member_name(const std::string& name) {
  if (!name.starts_with(kNamePrefix)) return std::nullopt;
  const auto node = base::parse_int(name.substr(kNamePrefix.size()));
  return node ? std::optional(static_cast<int>(*node)) : std::nullopt;
}

}  // namespace confd::cluster
