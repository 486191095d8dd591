// NewNode: a node that a job adds, and the section [Node : id] it becomes. For node_add_jobs. Facts:
// spec/exaconf.md §8 [Node : id]; what is ours: docs/jobs-decisions.md.
//
// Thread-safety: a plain value and functions of their arguments; they throw JobError.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "exaconf/transaction.h"
#include "exaconf/value_types.h"
#include "jobs/context.h"
#include "jobs/node_address.h"

namespace confd::jobs {

using Settings = std::vector<std::pair<std::string, std::string>>;  // key, value as EXAConf has it

struct NewDisk {
  std::string name;
  Settings settings;
};

struct NewNode {
  int id = 0;
  std::string name;
  exaconf::Network private_net;
  std::optional<exaconf::Network> public_net;
  std::string uuid;  // empty: made
  bool offline = false;
  Settings settings;  // further keys
  std::vector<NewDisk> disks;
};

// disk1 with dev.1, as `confd --init` makes it.
std::vector<NewDisk> default_disks();
std::vector<NewDisk> disks_of(const exaconf::Section& node);
// Each item a disk as node_list shows it, or the name of a disk of `source`. Throws Code::bad_parameter.
std::vector<NewDisk> given_disks(const base::Array& items, const exaconf::Section& source);

// Throws Code::unsupported when EXAConf is kept on one node only.
void check_cluster(JobContext& context);

// The nodes there are and those a job has planned: ids, names, UUIDs and addresses are given once.
class NodeRoll {
 public:
  explicit NodeRoll(const exaconf::Config& config);
  int next_id() const { return *ids_.rbegin() + 1; }
  // Throws Code::exists naming what is taken, Code::bad_parameter for what no node can have.
  void add(const NewNode& node);

 private:
  bool needs_public_ = false;
  std::set<int> ids_;
  std::set<std::string> names_, uuids_;
  AddressBook addresses_;
};

void write_node(JobContext& context, const NewNode& node);

}  // namespace confd::jobs
