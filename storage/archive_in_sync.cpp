#include "storage/archive_in_sync.h"

#include <algorithm>

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using cluster::SyncRecord;

namespace {

// A reader asks again until its own time is over; what was written waits for the agreement longer.
constexpr std::chrono::seconds kToRead{3}, kToAgree{15}, kMissing{60};

SyncRecord::Limits within(std::chrono::seconds time, const std::stop_token& stop) {
  return {std::chrono::steady_clock::now() + time, stop};
}

// Every copy that is not reached was left behind by one that is ONLINE and that nobody left behind.
bool all_others_are_noted(const std::vector<PeerCopy>& copies) {
  std::set<int> noted, by_voters;
  for (const PeerCopy& copy : copies)
    if (!copy.away)
      for (const auto& [node, note] : copy.missed) noted.insert(node);
  for (const PeerCopy& copy : copies)
    if (!copy.away && copy.online && !noted.contains(copy.place.node))
      for (const auto& [node, note] : copy.missed) by_voters.insert(node);
  return std::all_of(copies.begin(), copies.end(),
                     [&](const PeerCopy& copy) { return !copy.away || by_voters.contains(copy.place.node); });
}

// The same by the record: its marks can't be out of date. A copy that is not ONLINE may be one that was never
// filled; it has no mark either.
bool all_others_are_marked(const std::vector<PeerCopy>& copies) {
  const bool one_is_current = std::any_of(copies.begin(), copies.end(), [](const PeerCopy& copy) {
    return !copy.away && copy.online && !copy.marked;
  });
  return one_is_current && std::all_of(copies.begin(), copies.end(),
                                       [](const PeerCopy& copy) { return !copy.away || copy.marked; });
}

}  // namespace

std::string segment_name(const SegmentKey& id) {
  return std::to_string(id.volume) + "/" + std::to_string(id.index);
}

bool needs_record(const std::vector<PeerCopy>& copies) {
  const auto in_sync =
      std::count_if(copies.begin(), copies.end(), [](const PeerCopy& copy) { return copy.in_sync; });
  return in_sync > 0 && in_sync < static_cast<std::ptrdiff_t>(copies.size());
}

Result<SyncRecord::Marks> read_marks(SyncRecord& record, const SegmentKey& id, const std::stop_token& stop) {
  return record.read(segment_name(id), within(kToRead, stop));
}

Result<std::map<std::string, SyncRecord::Marks>> read_all_marks(SyncRecord& record,
                                                                const std::stop_token& stop) {
  return record.read_all(within(kToRead, stop));
}

void apply_marks(std::vector<PeerCopy>& copies, const Result<SyncRecord::Marks>& marks) {
  for (PeerCopy& copy : copies) {
    copy.marked = marks && marks->contains(copy.place.node);
    copy.unconfirmed = marks ? std::optional<Error>() : marks.error();
  }
  judge_copies(copies);
}

Status leave_behind(SyncRecord* record, const std::vector<PeerCopy>& copies,
                    const std::set<std::size_t>& have, const std::stop_token& stop) {
  if (record == nullptr || have.size() == copies.size()) return {};
  std::set<int> with, without;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (!have.contains(i))
      without.insert(copies[i].place.node);
    else if (copies[i].in_sync)
      with.insert(copies[i].place.node);
  }
  Status done =
      record->leave_behind(segment_name(copies.front().place.id), without, with, within(kToAgree, stop));
  if (done || done.error().code == Code::wrong_state) return done;
  return Error{done.error().code,
               "the change is on all copies that can be reached, but that others missed it could not be "
               "agreed on: " +
                   done.error().text};
}

ReturnOfCopy::ReturnOfCopy(SyncRecord* record, const SegmentKey& id, int node, const std::stop_token& stop)
    : record_(record),
      id_(id),
      node_(node),
      marks_(record == nullptr ? Result<SyncRecord::Marks>(SyncRecord::Marks())
                               : record->begin_return(segment_name(id), node, within(kToRead, stop))) {}

void ReturnOfCopy::apply(std::vector<PeerCopy>& copies) const {
  if (record_ != nullptr) apply_marks(copies, marks_);
}

bool ReturnOfCopy::is_enough(const std::vector<PeerCopy>& copies) const {
  // All of them: what was ever acknowledged is on one of them, whatever was agreed.
  if (std::none_of(copies.begin(), copies.end(), [](const PeerCopy& copy) { return copy.away.has_value(); }))
    return true;
  const bool one_in_sync = std::any_of(copies.begin(), copies.end(), [&](const PeerCopy& copy) {
    return copy.in_sync && copy.place.node != node_;
  });
  if (record_ == nullptr) return one_in_sync || all_others_are_noted(copies);
  return marks_.ok() && (one_in_sync || all_others_are_marked(copies));
}

Status ReturnOfCopy::end(const std::stop_token& stop) const {
  // Not known: all copies were reached, and the mark, if there is one, goes in a later round.
  if (record_ == nullptr || !marks_) return {};
  const auto mine = marks_->find(node_);
  if (mine == marks_->end()) return {};
  Status done = record_->remove(segment_name(id_), node_, mine->second.position, within(kToRead, stop));
  if (!done && done.error().code == Code::conflict) return Error{Code::busy, done.error().text};
  return done;
}

void LeftoverMarks::look(const std::vector<Volume>& volumes, base::SteadyTime now,
                         const std::stop_token& stop) {
  const auto marks = read_all_marks(record_, stop);
  if (!marks) return;
  std::set<std::pair<std::string, int>> places;
  for (const Volume& volume : volumes) {
    if (!volume.problem.empty()) return;  // nobody knows where its copies are
    for (const Segment& segment : layout_of(volume).segments)
      places.emplace(segment_name(segment.id), segment.node);
  }
  std::map<std::pair<std::string, int>, Seen> missing;
  for (const auto& [segment, by_node] : *marks)
    for (const auto& [node, mark] : by_node) {
      const std::pair copy(segment, node);
      if (places.contains(copy)) continue;
      const auto before = seen_.find(copy);
      const bool same = before != seen_.end() && before->second.position == mark.position;
      const Seen seen{mark.position, same ? before->second.since : now};
      // What fails is tried again at the next look.
      if (now - seen.since < kMissing || !record_.remove(segment, node, mark.position, within(kToRead, stop)))
        missing.emplace(copy, seen);
    }
  seen_ = std::move(missing);
}

}  // namespace confd::storage
