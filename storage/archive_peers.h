// The copies of one archive segment, asked over an ArchiveLink: what each knows, and which of them have
// everything that was acknowledged ("in sync"). Used by LocalArchiveStore and Recovery.
//
// A copy is in sync when it is ONLINE, its node has compared it since it started, no other such copy has a
// note that it missed something, and, unless all copies say this of themselves, the cluster's record has no
// mark for it (storage/archive_in_sync.h). Thread-safety: functions without state; copies are asked at the
// same time on threads that have ended when the function returns.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "storage/archive_link.h"
#include "storage/archive_manifest.h"
#include "storage/layout.h"

namespace confd::storage {

struct CopyPlace {
  SegmentKey id;
  int node = 0;
};
// Masters' copies first, then level by level.
std::vector<CopyPlace> copies_of(const Layout& layout, int index);
base::Struct copy_params(const SegmentKey& id);  // {vid, index, level}

struct PeerCopy {
  CopyPlace place;
  std::optional<base::Error> away;  // else all below is known
  bool online = false, in_step = false, in_sync = false;
  std::uint64_t counter = 0, digest = 0, damaged = 0, free_bytes = 0;
  std::map<int, std::uint64_t> missed;     // node -> note
  std::optional<ArchiveEntry> entry;       // of the path asked for
  bool marked = false;                     // agreed: it missed something
  std::optional<base::Error> unconfirmed;  // why that could not be asked
};
// `suspended`: nodes whose storage does no I/O now; they are not asked, and away.
std::vector<PeerCopy> ask_copies(ArchiveLink& link, const std::vector<CopyPlace>& copies,
                                 const std::string& path, const std::set<int>& suspended,
                                 const std::stop_token& stop);
// Sets in_sync of all.
void judge_copies(std::vector<PeerCopy>& copies);
const PeerCopy* first_in_sync(const std::vector<PeerCopy>& copies);
// "no copy of ... is in sync: node 12: ..., ...".
base::Error none_in_sync(const std::vector<PeerCopy>& copies);

// Runs `task` with 0 .. count-1 at the same time, one of them on this thread.
void in_parallel(std::size_t count, const std::function<void(std::size_t)>& task);

// Newer than all that any copy may hold. A copy that is away may have changes of writers that died with it
// (as many as were at work, far fewer than the leap). With the next number such a change could have the
// version of one that is acknowledged meanwhile, and win over it when the copy is back.
std::uint64_t next_version(const std::vector<PeerCopy>& copies);

// Runs `change` (a commit or a removal) on all `reached`; all else of `copies`, and where it fails, is noted
// as having missed it, on each copy that has it, and in the cluster's record. Ok when one that is in sync has
// it, with the notes.
// `change` gets the index in `copies` and the nodes without.
base::Status change_copies(ArchiveLink& link, const std::vector<PeerCopy>& copies,
                           const std::vector<std::size_t>& reached,
                           const std::function<base::Status(std::size_t, const base::Array&)>& change,
                           const std::stop_token& stop);

// Removes every file of the segment, on all copies that are reached; the others are noted, and do the same
// when they come back. Ok when a copy that has everything has done it. Error: Code::wrong_state when there is
// none.
base::Status clear_copies(ArchiveLink& link, const std::vector<CopyPlace>& copies,
                          const std::set<int>& suspended, const std::stop_token& stop);

}  // namespace confd::storage
