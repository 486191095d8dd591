// States of storage: what a volume, its segments and a node are at this moment (spec/storage-behaviour.md
// §6-8). A pure function of EXAConf and the reports of the nodes; states are never stored.
//
// Thread-safety: plain values, pure functions.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exaconf/config.h"
#include "storage/layout.h"
#include "storage/report.h"
#include "storage/volume.h"

namespace confd::storage {

enum class VolumeState { online, degraded, recovering, locked };
enum class CopyState { online, offline, recovering };
enum class SegmentType { master, redundant, deputy };
enum class NodeState { online, offline, suspended };

std::string_view text_of(VolumeState state);  // "ONLINE"
std::string_view text_of(CopyState state);
std::string_view text_of(SegmentType type);  // "MASTER"
std::string_view text_of(NodeState state);   // "online"

// One storage node: logical number, what EXAConf says, what it reports.
struct NodeStatus {
  int number = 0;  // "nid": storage counts its nodes from 0
  NodeState state = NodeState::offline;
  const NodeReport* report = nullptr;  // when it answered
};
using NodeStatuses = std::map<int, NodeStatus>;

// `reports`: of the nodes that are alive and answered; outlives the result. A suspended node stays suspended
// when it is off.
NodeStatuses node_statuses(const exaconf::Config& config, const std::map<int, NodeReport>& reports);
bool is_storage_suspended(const exaconf::Config& config, int node);
std::set<int> suspended_nodes(const exaconf::Config& config);
// "node 12 is resumed": the condition that each suspended node with a part of the volume makes.
std::string resumed_condition(int node);

struct SegmentStatus {
  Segment segment;
  CopyState state = CopyState::offline;
  SegmentType type = SegmentType::master;
  const SegmentReport* report = nullptr;  // when its node has it
};

struct VolumeStatus {
  VolumeState state = VolumeState::locked;
  std::vector<SegmentStatus> segments;           // as in the Layout; empty when the volume has a problem
  std::vector<std::string> unlock_conditions;    // those not cleared by hand; empty when locked by hand alone
  std::vector<std::pair<int, int>> unrecovered;  // node -> its segments that are not online, by node
};
VolumeStatus status_of(const Volume& volume, const NodeStatuses& nodes);

// "node 12 is resumed", "segment 0 is online", ...: what is written to ClearedConditions.
std::vector<std::string> conditions_of(const Volume& volume, const NodeStatuses& nodes);

}  // namespace confd::storage
