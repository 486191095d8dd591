// The roster of the managed store: which nodes shall run a member of etcd, what the master does next to get
// there, and what a node does with its own member. Pure functions; cluster/managed_store.h acts on them.
//
// Members: the first nodes of EXAConf by id, always an odd number, since an even one bears no more failures
// than the odd one below and needs more nodes for a majority. Members come in as learners, which do not
// count, and are promoted when they have caught up. One change at a time; none that could take the majority
// away. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/etcd_client.h"

namespace confd::cluster {

// The nodes that shall be members. `limit`: 1, 3, 5 or 7; 0: three, or five when there are five nodes or
// more. `nodes`: ids, ascending.
std::vector<int> wanted_members(const std::vector<int>& nodes, int limit);

struct RosterMember {
  std::uint64_t id = 0;
  std::optional<int> node;  // nothing: of no node in EXAConf
  bool is_learner = false;
  bool is_started = false;  // it was there at least once
  bool is_healthy = false;  // it answers and has a leader
  bool has_moved = false;   // the others look for it at a former address of its node
};

struct RosterView {
  std::vector<RosterMember> members;
  std::vector<int> wanted;
  std::set<int> live;            // nodes whose confd renews its lease
  std::set<std::uint64_t> lost;  // members whose data folder is gone, as their nodes say
  int master = 0;                // node; 0: not known
  std::uint64_t leader = 0;      // etcd's, a member; 0: not known
};

struct RosterAction {
  enum class Kind { none, add, promote, remove, move, lead } kind = Kind::none;
  int node = 0;              // add; else that of the member, 0 when unknown
  std::uint64_t member = 0;  // all but add
  std::string reason;        // for none too: what is waited for; empty: all is as it shall be
};

RosterAction decide(const RosterView& view);

struct OwnSituation {
  int node = 0;
  bool has_data = false;  // the data folder holds a log
  bool runs = false;
  bool is_wanted = false;
  bool is_sole = false;                            // EXAConf has this node only
  bool is_of_another_store = false;                // the data: the nodes' store of today is another one
  std::optional<std::vector<EtcdMember>> members;  // nothing: nobody answers
  std::string peer_url;                            // this node's
};

struct OwnPart {
  enum class Kind {
    none,       // no member here
    run,        // keep it running on its data
    found,      // a new store of one member
    join,       // start an empty member that the master added
    ask_anew,   // this member's data is gone: ask the master to add it anew
    set_aside,  // the data is that of a member that was removed
    wait,
  } kind = Kind::none;
  std::uint64_t member = 0;  // ask_anew
  std::string reason;
};

OwnPart own_part(const OwnSituation& situation);

// "node-12" <-> 12: the name of a node's member.
std::string member_name(int node);
std::optional<int> node_of_member_name(const std::string& name);

}  // namespace confd::cluster
