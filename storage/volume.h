// Volume: an [EXAVolume : name] section of EXAConf with its types, defaults (spec/exaconf.md §8) and the keys
// that are ours. What a volume should be; what is there is told by the nodes (storage/report.h).
//
// Our own keys, written only when they differ from the default: ID, Placement, Locked, AppIO, IntIO,
// ForcedRedundancy, ClearedConditions (docs/storage-volumes.md). A section that makes no sense is a Volume
// with a `problem`: a mistake in one must not hide the others. Thread-safety: plain values, pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "exaconf/config.h"
#include "exaconf/transaction.h"
#include "exaconf/value_types.h"

namespace confd::storage {

enum class VolumeKind { data, archive };

// Who holds one copy of one master segment. `next`: the node that takes it over (st_volume_move_node); until
// it has everything, both hold it.
struct Holder {
  int node = 0;
  std::optional<int> next;
  friend bool operator==(const Holder&, const Holder&) = default;
};
// One row a master segment: its own node, then those of its copies.
using Placement = std::vector<std::vector<Holder>>;

struct Volume {
  std::string name;
  std::int64_t id = 0;
  bool has_id = false;  // it has one in EXAConf: its segments were made. Else: the one it will get.
  VolumeKind kind = VolumeKind::data;
  std::uint64_t size = 0;  // usable bytes, before redundancy
  std::string disk;
  int masters = 1;
  int redundancy = 1;
  Placement placement;
  std::uint64_t block_size = 4096;
  std::uint64_t stripe_size = 256 << 10;
  std::uint64_t partition_size = 0;  // archive volumes; 0 = not given
  exaconf::Owner owner{500, 500};
  std::string permissions = "rwx------";  // nine characters
  std::vector<std::string> labels;        // of EXAConf
  std::map<std::string, int> ports;       // "HttpPort" -> 8080
  bool shared = true;
  int priority = 10;
  bool locked = false;  // by hand
  bool app_io = true;
  bool int_io = true;
  int forced_redundancy = 1;
  std::vector<std::string> cleared_conditions;
  std::string problem;  // why it can't be worked with; empty = fine

  bool is_temporary() const;
};

// All of them, sorted by id. An id that is missing is the lowest free one, in the order of the file.
using Volumes = std::vector<Volume>;
std::shared_ptr<const Volumes> volumes_of(const exaconf::Config& config);
const Volume* find_volume(const Volumes& volumes, std::string_view name);
const Volume* find_volume(const Volumes& volumes, std::int64_t id);
// The lowest id that none of them has.
std::int64_t free_id(const Volumes& volumes);

// "v0001": how a volume without a name is shown (spec/storage-behaviour.md §2).
std::string default_name(std::int64_t id);
// "rwx" -> "rwx------"; nothing for text that is no such thing.
std::optional<std::string> full_permissions(std::string_view text);

// The rule for volumes without a Placement: the first `masters` nodes are masters; level r of master i lies
// on nodes[masters * (r - 1) + i] where given, else on the next neighbour within the last level given (spec
// §5). Error: Code::bad_parameter when that puts two copies of one segment on one node.
base::Result<Placement> placed_by_rule(const std::vector<int>& nodes, int masters, int redundancy);
// All nodes of a placement, each once: masters first, then level by level.
std::vector<int> nodes_of(const Placement& placement);
// A node takes over a segment from another one.
bool is_moving(const Volume& volume);
// Writes Nodes, NumMasterNodes, Redundancy, and Placement where the rule gives another one.
base::Status write_placement(exaconf::Transaction& edits, const std::string& section,
                             const Placement& placement);

// "1048577 KiB": the largest binary unit of which it is a whole number; read back it is the same.
std::string exact_size(std::uint64_t bytes);
std::string section_of(const Volume& volume);  // "EXAVolume : data1"

}  // namespace confd::storage
