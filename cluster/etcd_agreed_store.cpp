#include "cluster/etcd_agreed_store.h"

#include <cstdio>
#include <utility>

#include "base/text.h"
#include "cluster/deflated_text.h"
#include "cluster/etcd_job_board.h"
#include "exaconf/document.h"

namespace confd::cluster {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::int64_t kHistory = 1000;
// After so many publications of this master the store forgets what was before the last so many: etcd's own
// compaction comes minutes later (docs/cluster.md, sizes). A follower that is further behind reads anew.
constexpr std::size_t kCompactEvery = 100;

EtcdClient::Call call_of(const AgreedStore::Limits& limits) {
  return {limits.deadline, limits.stop};
}

EtcdCompare in_term(std::string master_key, AgreedStore::Term term) {
  return {EtcdCompare::Field::create_revision, EtcdCompare::Is::equal, std::move(master_key), term, {}};
}

Error behind() {
  return {Code::conflict, "EXAConf in the store is not at the position expected"};
}

Error not_master() {
  return {Code::wrong_state, "the term as master is over"};
}

// "17 ABCD" -> 17, "ABCD"
std::pair<std::int64_t, std::string> number_and_rest(const std::string& text) {
  const std::size_t blank = text.find(' ');
  const auto number = base::parse_int(text.substr(0, blank));
  return {number.value_or(0), blank == std::string::npos ? std::string() : text.substr(blank + 1)};
}

}  // namespace

EtcdAgreedStore::EtcdAgreedStore(EtcdClient& etcd, std::string prefix, std::chrono::milliseconds silence)
    : etcd_(etcd), prefix_(std::move(prefix)), silence_(silence) {}

// The first key that does not start with it.
std::string EtcdAgreedStore::end_of(std::string_view name) const {
  std::string end = key(name);
  ++end.back();
  return end;
}

std::string EtcdAgreedStore::history_key(std::int64_t revision) const {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%012lld", static_cast<long long>(revision));
  return key("history/") + digits;
}

// Error: a value that no confd wrote.
Status EtcdAgreedStore::put(AgreedView& view, const KeyValue& value) const {
  const std::string name = value.key.substr(prefix_.size());
  if (name == "conf") {
    const auto text = inflated(value.value);
    if (!text) return Error{text.error().code, value.key + ": " + text.error().text};
    const auto document = exaconf::Document::parse(*text);
    const exaconf::Section* global = document ? document->root.section("Global") : nullptr;
    const auto revision = global ? base::parse_int(global->value_or("Revision", "")) : std::nullopt;
    if (!revision)
      return Error{Code::invalid_config, "the store's " + value.key + " is no EXAConf with a revision"};
    view.head = AgreedRevision{*revision, global->value_or("Checksum", ""), *text, value.mod_revision};
  } else if (name == "master") {
    view.master = static_cast<int>(number_and_rest(value.value).first);
  } else if (name == "successor") {
    view.successor = static_cast<int>(number_and_rest(value.value).first);
  } else if (name.starts_with("node/")) {
    const auto node = base::parse_int(name.substr(5));
    const auto [revision, checksum] = number_and_rest(value.value);
    if (node) view.live[static_cast<int>(*node)] = {revision, checksum};
  }
  return {};
}

Result<AgreedView> EtcdAgreedStore::read(const Limits& limits) {
  // One transaction: all of one moment. The history is not wanted here.
  const std::vector<EtcdOperation> ranges = {
      {EtcdOperation::Kind::range, key("conf"), {}, {}, 0},
      {EtcdOperation::Kind::range, key("master"), {}, {}, 0},
      {EtcdOperation::Kind::range, key("successor"), {}, {}, 0},
      {EtcdOperation::Kind::range, key("node/"), end_of("node/"), {}, 0},
  };
  const auto result = etcd_.transact({}, ranges, {}, call_of(limits));
  if (!result) return result.error();
  AgreedView view;
  view.position = result->revision;
  for (const auto& values : result->ranges)
    for (const KeyValue& value : values)
      if (Status done = put(view, value); !done) return done.error();
  return view;
}

Status EtcdAgreedStore::watch(AgreedView view, const std::function<bool(const AgreedView&)>& each,
                              std::stop_token stop) {
  Status problem;
  const Status ended = etcd_.watch(
      prefix_, end_of(""), view.position + 1,
      [&](std::int64_t revision, const std::vector<EtcdClient::Event>& events) {
        for (const EtcdClient::Event& event : events) {
          if (!event.removed) {
            problem = put(view, event.value);
            if (!problem) return false;
            continue;
          }
          const std::string name = event.value.key.substr(prefix_.size());
          if (name == "conf") view.head.reset();
          if (name == "master") view.master.reset();
          if (name == "successor") view.successor.reset();
          if (name.starts_with("node/"))
            if (const auto node = base::parse_int(name.substr(5))) view.live.erase(static_cast<int>(*node));
        }
        view.position = revision;
        return each(view);
      },
      silence_, std::move(stop));
  return problem ? ended : problem;
}

Result<AgreedStore::Lease> EtcdAgreedStore::open_lease(std::chrono::seconds life, const Limits& limits) {
  return etcd_.grant_lease(life, call_of(limits));
}

Status EtcdAgreedStore::renew(Lease lease, const Limits& limits) {
  const auto left = etcd_.keep_alive(lease, call_of(limits));
  return left ? Status() : Status(left.error());
}

Status EtcdAgreedStore::end_lease(Lease lease, const Limits& limits) {
  return etcd_.revoke_lease(lease, call_of(limits));
}

Status EtcdAgreedStore::report(Lease lease, int node, const HeldRevision& held, std::int64_t at,
                               const Limits& limits) {
  const EtcdOperation operation{EtcdOperation::Kind::put,
                                key("node/" + std::to_string(node)),
                                {},
                                std::to_string(held.revision) + " " + held.checksum,
                                lease};
  std::vector<EtcdCompare> conditions;
  if (at != 0)
    conditions.push_back({EtcdCompare::Field::mod_revision, EtcdCompare::Is::equal, key("conf"), at, {}});
  const auto done = etcd_.transact(conditions, {operation}, {}, call_of(limits));
  if (!done) return done.error();
  if (!done->succeeded) return behind();
  return {};
}

Result<AgreedStore::Term> EtcdAgreedStore::become_master(Lease lease, int node, std::int64_t at,
                                                         const Limits& limits) {
  const std::string master = key("master");
  const EtcdOperation take{EtcdOperation::Kind::put, master, {}, std::to_string(node), lease};
  const EtcdCompare is_head{EtcdCompare::Field::mod_revision, EtcdCompare::Is::equal, key("conf"), at, {}};
  const EtcdOperation look{EtcdOperation::Kind::range, master, {}, {}, 0};
  const EtcdOperation settled{EtcdOperation::Kind::remove, key("successor"), {}, {}, 0};
  const auto done = etcd_.transact({in_term(master, 0), is_head}, {take, settled}, {look}, call_of(limits));
  if (!done) return done.error();
  if (done->succeeded) return done->revision;
  const auto& there = done->ranges.at(0);
  if (there.empty()) return behind();
  if (there[0].lease != lease) return 0;
  // Ours already: the answer to an earlier call got lost. Is the head still the one of then?
  const Term term = there[0].create_revision;
  const auto same = etcd_.transact({in_term(master, term), is_head}, {}, {}, call_of(limits));
  if (!same) return same.error();
  if (same->succeeded) return term;
  if (Status left = resign(term, lease, 0, limits); !left) return left.error();
  return behind();
}

Status EtcdAgreedStore::resign(Term term, Lease lease, int successor, const Limits& limits) {
  std::vector<EtcdOperation> leave = {{EtcdOperation::Kind::remove, key("master"), {}, {}, 0}};
  if (successor != 0)
    leave.push_back({EtcdOperation::Kind::put, key("successor"), {}, std::to_string(successor), lease});
  const auto done = etcd_.transact({in_term(key("master"), term)}, leave, {}, call_of(limits));
  return done ? Status() : Status(done.error());
}

Status EtcdAgreedStore::end_former_term(int node, const Limits& limits) {
  const auto found = etcd_.range(key("master"), {}, call_of(limits));
  if (!found) return found.error();
  if (found->empty() || number_and_rest(found->front().value).first != node) return {};
  return resign(found->front().create_revision, 0, 0, limits);
}

Result<std::int64_t> EtcdAgreedStore::publish(std::int64_t base, Term term, const AgreedRevision& next,
                                              const std::vector<JobNote>& ends, const Limits& limits) {
  const std::string conf = key("conf");
  const std::string number = history_key(next.revision);
  const std::vector<EtcdCompare> conditions = {
      {EtcdCompare::Field::mod_revision, EtcdCompare::Is::equal, conf, base, {}},
      in_term(key("master"), term),
      // No number ever stands for two texts, whatever a node believes.
      {EtcdCompare::Field::create_revision, EtcdCompare::Is::equal, number, 0, {}},
  };
  std::vector<EtcdOperation> then = {
      {EtcdOperation::Kind::put, conf, {}, deflated(next.text), 0},
      {EtcdOperation::Kind::put, number, {}, next.checksum, 0},
  };
  if (next.revision > kHistory)
    then.push_back(
        {EtcdOperation::Kind::remove, key("history/"), history_key(next.revision - kHistory), {}, 0});
  EtcdJobBoard::append_ends(then, prefix_, ends);
  const std::vector<EtcdOperation> otherwise = {
      {EtcdOperation::Kind::range, key("master"), {}, {}, 0},
      {EtcdOperation::Kind::range, number, {}, {}, 0},
  };
  const auto done = etcd_.transact(conditions, then, otherwise, call_of(limits));
  if (!done) return done.error();
  if (done->succeeded) {
    base::MutexLock lock(mutex_);
    published_.push_back(done->revision);
    return done->revision;
  }
  const auto& master = done->ranges.at(0);
  if (master.empty() || master[0].create_revision != term) return not_master();
  return Error{Code::conflict,
               done->ranges.at(1).empty()
                   ? "EXAConf in the store is not the revision this change was made on"
                   : "revision " + std::to_string(next.revision) + " exists in the store already"};
}

Status EtcdAgreedStore::tidy(const Limits& limits) {
  std::int64_t forget = 0;
  {
    base::MutexLock lock(mutex_);
    if (published_.size() < 2 * kCompactEvery) return {};
    forget = published_[published_.size() - kCompactEvery];
  }
  if (Status done = etcd_.compact(forget, call_of(limits)); !done) return done;
  base::MutexLock lock(mutex_);
  while (published_.front() < forget) published_.pop_front();
  return {};
}

Result<std::int64_t> EtcdAgreedStore::fence(const AgreedRevision& head, Term term, const Limits& limits) {
  const std::vector<EtcdCompare> conditions = {
      {EtcdCompare::Field::mod_revision, EtcdCompare::Is::equal, key("conf"), head.position, {}},
      in_term(key("master"), term),
  };
  const std::vector<EtcdOperation> then = {
      {EtcdOperation::Kind::put, key("conf"), {}, deflated(head.text), 0}};
  const std::vector<EtcdOperation> otherwise = {{EtcdOperation::Kind::range, key("master"), {}, {}, 0}};
  const auto done = etcd_.transact(conditions, then, otherwise, call_of(limits));
  if (!done) return done.error();
  if (done->succeeded) return done->revision;
  const auto& master = done->ranges.at(0);
  if (master.empty() || master[0].create_revision != term) return not_master();
  return behind();
}

Result<std::optional<std::int64_t>> EtcdAgreedStore::was_published(const HeldRevision& what,
                                                                   const Limits& limits) {
  // Linearizable: a transaction of ours that is still on its way inside etcd is decided before this answer.
  const auto found = etcd_.range(history_key(what.revision), {}, call_of(limits));
  if (!found) return found.error();
  if (!found->empty())
    return found->front().value == what.checksum ? std::optional(found->front().mod_revision) : std::nullopt;
  const auto view = read(limits);
  if (!view) return view.error();
  // A store that was made anew from one node's EXAConf knows nothing of what was before that.
  const auto oldest = etcd_.oldest(key("history/"), end_of("history/"), 1, call_of(limits));
  if (!oldest) return oldest.error();
  const bool is_before_all =
      !oldest->values.empty() && history_key(what.revision) < oldest->values.front().key;
  if (is_before_all || (view->head && what.revision <= view->head->revision - kHistory))
    return Error{Code::unknown_outcome,
                 "revision " + std::to_string(what.revision) + " is longer ago than the store remembers"};
  return std::optional<std::int64_t>();
}

Status EtcdAgreedStore::restore(const AgreedRevision& next, const Limits& limits) {
  const std::vector<EtcdOperation> puts = {
      {EtcdOperation::Kind::put, key("conf"), {}, deflated(next.text), 0},
      {EtcdOperation::Kind::put, history_key(next.revision), {}, next.checksum, 0},
  };
  const auto done = etcd_.transact({}, puts, {}, call_of(limits));
  return done ? Status() : Status(done.error());
}

}  // namespace confd::cluster
