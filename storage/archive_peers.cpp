#include "storage/archive_peers.h"

#include <algorithm>
#include <set>
#include <thread>

#include "storage/archive_in_sync.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Struct;
using base::Value;

namespace {

std::uint64_t count(const Value& value, std::string_view name) {
  const Value* found = value.find(name);
  return found != nullptr && found->is_int() ? static_cast<std::uint64_t>(found->as_int()) : 0;
}

PeerCopy ask(ArchiveLink& link, const CopyPlace& place, const std::string& path,
             const std::stop_token& stop) {
  PeerCopy copy;
  copy.place = place;
  Struct params = copy_params(place.id);
  params.set("path", path);
  const auto answer = link.run(place.node, "archive.find", params, stop);
  if (!answer) {
    copy.away = answer.error();
    return copy;
  }
  const Value* state = answer->find("state");
  const Value* in_step = answer->find("in_step");
  const Value* missed = answer->find("missed");
  const Value* entry = answer->find("entry");
  if (state == nullptr || !state->is_string() || in_step == nullptr || !in_step->is_bool() ||
      missed == nullptr || !missed->is_array()) {
    copy.away = Error{Code::internal,
                      "node " + std::to_string(place.node) + " answered archive.find with something else"};
    return copy;
  }
  copy.online = state->as_string() == "ONLINE";
  copy.in_step = in_step->as_bool();
  copy.counter = count(*answer, "counter");
  copy.digest = count(*answer, "digest");
  copy.damaged = count(*answer, "damaged");
  copy.free_bytes = count(*answer, "free_bytes");
  for (const Value& note : missed->as_array())
    copy.missed[static_cast<int>(count(note, "node"))] = count(note, "note");
  if (entry != nullptr && entry->is_struct()) {
    const Value* checksum = entry->find("checksum");
    copy.entry = ArchiveEntry{count(*entry, "version"), count(*entry, "size"),
                              checksum != nullptr && checksum->is_string() ? checksum->as_string() : "", ""};
  }
  return copy;
}

}  // namespace

std::vector<CopyPlace> copies_of(const Layout& layout, int index) {
  std::vector<CopyPlace> copies;
  for (const Segment& segment : layout.segments)
    if (segment.id.index == index) copies.push_back({segment.id, segment.node});
  return copies;
}

Struct copy_params(const SegmentKey& id) {
  return {{"vid", id.volume}, {"index", id.index}, {"level", id.level}};
}

void in_parallel(std::size_t count, const std::function<void(std::size_t)>& task) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < count; ++i) threads.emplace_back([&task, i] { task(i); });
  if (count > 0) task(0);
}

void judge_copies(std::vector<PeerCopy>& copies) {
  for (PeerCopy& copy : copies) {
    copy.in_sync = !copy.away && copy.online && copy.in_step && !copy.marked && !copy.unconfirmed;
    for (const PeerCopy& other : copies)
      if (!other.away && other.online && other.in_step && other.missed.contains(copy.place.node))
        copy.in_sync = false;
  }
}

std::vector<PeerCopy> ask_copies(ArchiveLink& link, const std::vector<CopyPlace>& copies,
                                 const std::string& path, const std::set<int>& suspended,
                                 const std::stop_token& stop) {
  std::vector<PeerCopy> found(copies.size());
  in_parallel(copies.size(), [&](std::size_t i) {
    if (!suspended.contains(copies[i].node)) {
      found[i] = ask(link, copies[i], path, stop);
      return;
    }
    found[i].place = copies[i];
    found[i].away = Error{Code::wrong_state, "its storage is suspended"};
  });
  judge_copies(found);
  cluster::SyncRecord* const record = link.record();
  if (record == nullptr || !needs_record(found)) return found;
  const auto marks = read_marks(*record, copies.front().id, stop);
  // What a copy answered before the record was read may be from before it had everything.
  in_parallel(copies.size(), [&](std::size_t i) {
    if (!found[i].away) found[i] = ask(link, copies[i], path, stop);
  });
  apply_marks(found, marks);
  return found;
}

const PeerCopy* first_in_sync(const std::vector<PeerCopy>& copies) {
  const auto found =
      std::find_if(copies.begin(), copies.end(), [](const auto& copy) { return copy.in_sync; });
  return found == copies.end() ? nullptr : &*found;
}

Error none_in_sync(const std::vector<PeerCopy>& copies) {
  if (copies.empty()) return {Code::wrong_state, "the segment has no copies"};
  std::string text = "no copy of segment " + std::to_string(copies.front().place.id.index) + " of volume " +
                     std::to_string(copies.front().place.id.volume) + " has everything: ";
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const PeerCopy& copy = copies[i];
    text += (i == 0 ? "node " : "; node ") + std::to_string(copy.place.node) + ": ";
    text += copy.away          ? copy.away->text
            : !copy.online     ? "RECOVERING"
            : copy.marked      ? "it missed changes that only others have"
            : copy.unconfirmed ? "whether it has everything could not be asked: " + copy.unconfirmed->text
                               : "it is being compared with the others";
  }
  return {Code::wrong_state, text};
}

std::uint64_t next_version(const std::vector<PeerCopy>& copies) {
  constexpr std::uint64_t kLeap = std::uint64_t{1} << 20;
  std::uint64_t highest = 0;
  bool is_one_away = false;
  for (const PeerCopy& copy : copies) {
    if (copy.away)
      is_one_away = true;
    else
      highest = std::max(highest, copy.counter);
  }
  return highest + (is_one_away ? kLeap : 1);
}

Status change_copies(ArchiveLink& link, const std::vector<PeerCopy>& copies,
                     const std::vector<std::size_t>& reached,
                     const std::function<Status(std::size_t, const base::Array&)>& change,
                     const std::stop_token& stop) {
  const auto without = [&](const std::set<std::size_t>& have) {
    base::Array nodes;
    for (std::size_t i = 0; i < copies.size(); ++i)
      if (!have.contains(i)) nodes.emplace_back(copies[i].place.node);
    return nodes;
  };
  std::set<std::size_t> have(reached.begin(), reached.end());
  // Each round loses a copy or ends.
  for (bool first = true;; first = false) {
    const base::Array missing = without(have);
    const std::vector<std::size_t> present(have.begin(), have.end());
    std::vector<Status> done(present.size());
    in_parallel(present.size(), [&](std::size_t i) {
      if (first) {
        done[i] = change(present[i], missing);
        return;
      }
      Struct params = copy_params(copies[present[i]].place.id);
      params.set("nodes", missing);
      const auto noted = link.run(copies[present[i]].place.node, "archive.note", params, stop);
      if (!noted) done[i] = noted.error();
    });
    bool all = true;
    std::optional<Error> why;
    for (std::size_t i = 0; i < present.size(); ++i) {
      if (done[i]) continue;
      all = false;
      if (copies[present[i]].in_sync || !why) why = done[i].error();
      have.erase(present[i]);
    }
    const bool kept = std::any_of(have.begin(), have.end(), [&](std::size_t i) { return copies[i].in_sync; });
    if (!kept) return why ? *why : none_in_sync(copies);
    if (all) return leave_behind(link.record(), copies, have, stop);
  }
}

Status clear_copies(ArchiveLink& link, const std::vector<CopyPlace>& places, const std::set<int>& suspended,
                    const std::stop_token& stop) {
  const auto copies = ask_copies(link, places, "", suspended, stop);
  if (first_in_sync(copies) == nullptr) return none_in_sync(copies);
  std::vector<std::size_t> reached;
  for (std::size_t i = 0; i < copies.size(); ++i)
    if (!copies[i].away) reached.push_back(i);
  const std::uint64_t version = next_version(copies);
  const auto clear = [&](std::size_t i, const base::Array& without) -> Status {
    Struct params = copy_params(copies[i].place.id);
    params.set("version", static_cast<std::int64_t>(version));
    params.set("without", without);
    const auto done = link.run(copies[i].place.node, "archive.clear", params, stop);
    return done ? Status() : Status(done.error());
  };
  return change_copies(link, copies, reached, clear, stop);
}

}  // namespace confd::storage
