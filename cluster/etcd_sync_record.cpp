#include "cluster/etcd_sync_record.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace confd::cluster {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kOut = "out", kReturning = "returning";

// Of etcd's ranges: behind all keys that begin so.
std::string end_of(std::string prefix) {
  ++prefix.back();
  return prefix;
}

std::string copies_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '/') prefix.pop_back();
  return prefix + "-copies/";
}

EtcdClient::Call call_of(const SyncRecord::Limits& limits) {
  return {limits.deadline, limits.stop};
}

EtcdCompare is_at(const std::string& key, std::int64_t position) {
  return {EtcdCompare::Field::mod_revision, EtcdCompare::Is::equal, key, position, {}};
}

}  // namespace

EtcdSyncRecord::EtcdSyncRecord(EtcdClient& etcd, const std::string& prefix)
    : etcd_(etcd), prefix_(copies_prefix(prefix)) {}

std::string EtcdSyncRecord::key(const std::string& segment, int node) const {
  return prefix_ + segment + "/" + std::to_string(node);
}

Result<SyncRecord::Marks> EtcdSyncRecord::read(const std::string& segment, const Limits& limits) {
  const std::string below = prefix_ + segment + "/";
  const auto found = etcd_.range(below, end_of(below), call_of(limits));
  if (!found) return found.error();
  Marks marks;
  for (const KeyValue& value : *found)
    if (const auto node = base::parse_int(value.key.substr(below.size())))
      marks[static_cast<int>(*node)] = {value.mod_revision, value.value == kReturning};
  return marks;
}

Result<std::map<std::string, SyncRecord::Marks>> EtcdSyncRecord::read_all(const Limits& limits) {
  const auto found = etcd_.range(prefix_, end_of(prefix_), call_of(limits));
  if (!found) return found.error();
  std::map<std::string, Marks> all;
  for (const KeyValue& value : *found) {
    const std::size_t slash = value.key.rfind('/');
    const auto node = base::parse_int(value.key.substr(slash + 1));
    if (node && slash > prefix_.size())
      all[value.key.substr(prefix_.size(), slash - prefix_.size())][static_cast<int>(*node)] = {
          value.mod_revision, value.value == kReturning};
  }
  return all;
}

Status EtcdSyncRecord::leave_behind(const std::string& segment, const std::set<int>& without,
                                    const std::set<int>& with, const Limits& limits) {
  // Somebody else changes marks of this segment rarely, and each time something is done.
  for (;;) {
    const auto marks = read(segment, limits);
    if (!marks) return marks.error();
    const auto keeps =
        std::find_if(with.begin(), with.end(), [&](int node) { return !marks->contains(node); });
    if (keeps == with.end())
      return Error{Code::wrong_state, "the copies that have the change missed others meanwhile"};
    std::vector<EtcdOperation> puts;
    for (const int node : without) {
      const auto there = marks->find(node);
      if (there == marks->end() || there->second.is_returning)
        puts.push_back({EtcdOperation::Kind::put, key(segment, node), {}, std::string(kOut), 0});
    }
    if (puts.empty()) return {};
    // A mark that goes meanwhile ends a return, whose reader has seen the change: this one is put all the
    // same, which costs a comparison.
    const auto done = etcd_.transact({is_at(key(segment, *keeps), 0)}, puts, {}, call_of(limits));
    if (!done && done.error().code != Code::unknown_outcome) return done.error();
    if (done && done->succeeded) return {};
  }
}

Result<SyncRecord::Marks> EtcdSyncRecord::begin_return(const std::string& segment, int node,
                                                       const Limits& limits) {
  for (;;) {
    auto marks = read(segment, limits);
    if (!marks) return marks;
    const auto mine = marks->find(node);
    if (mine == marks->end() || mine->second.is_returning) return marks;
    const std::string at = key(segment, node);
    const auto done =
        etcd_.transact({is_at(at, mine->second.position)},
                       {{EtcdOperation::Kind::put, at, {}, std::string(kReturning), 0}}, {}, call_of(limits));
    if (!done && done.error().code != Code::unknown_outcome) return done.error();
  }
}

Status EtcdSyncRecord::remove(const std::string& segment, int node, std::int64_t position,
                              const Limits& limits) {
  const std::string at = key(segment, node);
  const auto done = etcd_.transact({is_at(at, position)}, {{EtcdOperation::Kind::remove, at, {}, {}, 0}}, {},
                                   call_of(limits));
  if (!done) return done.error();
  if (!done->succeeded)
    return Error{Code::conflict,
                 "the copy on node " + std::to_string(node) + " missed something more meanwhile"};
  return {};
}

}  // namespace confd::cluster
