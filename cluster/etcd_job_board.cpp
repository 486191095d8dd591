#include "cluster/etcd_job_board.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace confd::cluster {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

// etcd takes 128 operations in a transaction, and half a megabyte is far below what it takes in a request.
constexpr std::size_t kAtOnce = 50;
constexpr std::size_t kBytesAtOnce = 512u << 10;
constexpr int kPruneAtOnce = 100;

std::string jobs_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '/') prefix.pop_back();
  return prefix + "-jobs/";
}

std::string end_of(std::string prefix) {
  ++prefix.back();
  return prefix;
}

std::string ended_text(const JobNote& note) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(note.ended.time_since_epoch());
  return std::to_string(seconds.count()) + " " + note.text;
}

std::string record_of(const std::string& ended) {
  const std::size_t blank = ended.find(' ');
  return blank == std::string::npos ? std::string() : ended.substr(blank + 1);
}

EtcdClient::Call call_of(const JobBoard::Limits& limits) {
  return {limits.deadline, limits.stop};
}

// Pieces of a list that one transaction can take.
template <class Each>
Status in_pieces(const std::vector<JobNote>& notes, const Each& each) {
  for (std::size_t from = 0; from < notes.size();) {
    std::size_t to = from, bytes = 0;
    while (to < notes.size() && to - from < kAtOnce &&
           (to == from || bytes + notes[to].text.size() <= kBytesAtOnce))
      bytes += notes[to++].text.size();
    if (Status done = each(from, to); !done) return done;
    from = to;
  }
  return {};
}

}  // namespace

EtcdJobBoard::EtcdJobBoard(EtcdClient& etcd, const std::string& prefix)
    : etcd_(etcd), master_key_(prefix + "master"), prefix_(jobs_prefix(prefix)) {}

void EtcdJobBoard::append_ends(std::vector<EtcdOperation>& operations, const std::string& prefix,
                               const std::vector<JobNote>& ends) {
  const std::string jobs = jobs_prefix(prefix);
  for (const JobNote& note : ends) {
    operations.push_back({EtcdOperation::Kind::put, jobs + "ended/" + note.id, {}, ended_text(note), 0});
    operations.push_back({EtcdOperation::Kind::remove, jobs + "open/" + note.id, {}, {}, 0});
  }
}

Status EtcdJobBoard::post(AgreedStore::Term term, const std::vector<JobNote>& notes, const Limits& limits) {
  return in_pieces(notes, [&](std::size_t from, std::size_t to) -> Status {
    std::vector<EtcdOperation> puts;
    for (std::size_t i = from; i < to; ++i)
      puts.push_back({EtcdOperation::Kind::put, prefix_ + "open/" + notes[i].id, {}, notes[i].text, 0});
    const EtcdCompare in_term{
        EtcdCompare::Field::create_revision, EtcdCompare::Is::equal, master_key_, term, {}};
    const auto done = etcd_.transact({in_term}, puts, {}, call_of(limits));
    if (!done) return done.error();
    if (!done->succeeded) return Error{Code::wrong_state, "the term as master is over"};
    return {};
  });
}

Result<std::vector<std::optional<std::string>>> EtcdJobBoard::end(const std::vector<JobNote>& notes,
                                                                  const Limits& limits) {
  std::vector<std::optional<std::string>> earlier(notes.size());
  const auto put = [&](std::size_t from, std::size_t to) -> Result<EtcdTransactionResult> {
    std::vector<EtcdCompare> none_there;
    std::vector<EtcdOperation> puts, looks;
    for (std::size_t i = from; i < to; ++i) {
      const std::string key = prefix_ + "ended/" + notes[i].id;
      none_there.push_back({EtcdCompare::Field::create_revision, EtcdCompare::Is::equal, key, 0, {}});
      looks.push_back({EtcdOperation::Kind::range, key, {}, {}, 0});
      // A post that came after the end goes too. Not in one go with others, whose end is not there yet.
      if (to - from == 1)
        looks.push_back({EtcdOperation::Kind::remove, prefix_ + "open/" + notes[i].id, {}, {}, 0});
      puts.push_back({EtcdOperation::Kind::put, key, {}, ended_text(notes[i]), 0});
      puts.push_back({EtcdOperation::Kind::remove, prefix_ + "open/" + notes[i].id, {}, {}, 0});
    }
    return etcd_.transact(none_there, puts, looks, call_of(limits));
  };
  const Status done = in_pieces(notes, [&](std::size_t from, std::size_t to) -> Status {
    const auto together = put(from, to);
    if (!together) return together.error();
    if (together->succeeded) return {};
    // Somebody was there before with one or more of them: each by itself.
    for (std::size_t i = from; i < to; ++i) {
      const auto alone = put(i, i + 1);
      if (!alone) return alone.error();
      if (alone->succeeded || alone->ranges.empty() || alone->ranges[0].empty()) continue;
      const std::string there = alone->ranges[0][0].value;
      // Our own, when the answer to an earlier try got lost.
      if (there != ended_text(notes[i])) earlier[i] = record_of(there);
    }
    return {};
  });
  if (!done) return done.error();
  return earlier;
}

Result<std::vector<JobNote>> EtcdJobBoard::open_jobs(const Limits& limits) {
  const std::string open = prefix_ + "open/";
  const auto found = etcd_.range(open, end_of(open), call_of(limits));
  if (!found) return found.error();
  std::vector<JobNote> notes;
  for (const KeyValue& value : *found) notes.push_back({value.key.substr(open.size()), value.value});
  return notes;
}

Result<std::optional<JobBoard::Found>> EtcdJobBoard::find(const std::string& id, const Limits& limits) {
  const std::vector<EtcdOperation> looks = {
      {EtcdOperation::Kind::range, prefix_ + "ended/" + id, {}, {}, 0},
      {EtcdOperation::Kind::range, prefix_ + "open/" + id, {}, {}, 0},
  };
  const auto found = etcd_.transact({}, looks, {}, call_of(limits));
  if (!found) return found.error();
  const auto& ended = found->ranges.at(0);
  const auto& open = found->ranges.at(1);
  if (!ended.empty()) return std::optional(Found{record_of(ended[0].value), true});
  if (!open.empty()) return std::optional(Found{open[0].value, false});
  return std::optional<Found>();
}

Status EtcdJobBoard::prune(std::size_t most, base::WallTime oldest, const Limits& limits) {
  const std::string ended = prefix_ + "ended/";
  const auto before = std::chrono::duration_cast<std::chrono::seconds>(oldest.time_since_epoch()).count();
  for (;;) {
    const auto found = etcd_.oldest(ended, end_of(ended), kPruneAtOnce, call_of(limits));
    if (!found) return found.error();
    std::size_t too_many =
        found->count > static_cast<std::int64_t>(most) ? static_cast<std::size_t>(found->count) - most : 0;
    std::vector<EtcdOperation> removals;
    for (const KeyValue& value : found->values) {
      const auto seconds = base::parse_int(value.value.substr(0, value.value.find(' ')));
      if (too_many == 0 && seconds && *seconds >= before) break;
      too_many -= std::min<std::size_t>(too_many, 1);
      removals.push_back({EtcdOperation::Kind::remove, value.key, {}, {}, 0});
    }
    if (removals.empty()) return {};
    const auto done = etcd_.transact({}, removals, {}, call_of(limits));
    if (!done) return done.error();
    if (removals.size() < found->values.size()) return {};
  }
}

}  // namespace confd::cluster
