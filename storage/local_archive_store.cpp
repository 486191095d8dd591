#include "storage/local_archive_store.h"

#include <algorithm>
#include <map>
#include <thread>

#include "base/content_checksum.h"
#include "base/mutex.h"
#include "storage/piece_fanout.h"
#include "storage/states.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Struct;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kPiece = 1 << 20;
constexpr std::int64_t kPage = 500;
constexpr std::chrono::milliseconds kAgain{200};

Status in_time(const ArchiveLimits& limits, Clock::time_point deadline) {
  if (limits.stop.stop_requested()) return Error{Code::stopped, "stopped"};
  if (Clock::now() >= deadline) return Error{Code::timeout, "the archive volume took too long"};
  return {};
}

void wait_until(Clock::time_point when, const std::stop_token& stop) {
  base::Mutex mutex;
  base::CondVar wake;
  const std::stop_callback on_stop(stop, [&] {
    base::MutexLock lock(mutex);
    wake.notify_all();
  });
  base::MutexLock lock(mutex);
  while (!stop.stop_requested() && Clock::now() < when) wake.wait_until(mutex, when);
}

ArchiveLink::Transfer transfer(const ArchiveLimits& limits, Clock::time_point deadline) {
  ArchiveLink::Transfer rules;
  rules.timeout = std::max(std::chrono::milliseconds(1),
                           std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()));
  rules.stop = limits.stop;
  return rules;
}

bool is_live(const PeerCopy& copy) {
  return copy.entry && !copy.entry->removed();
}

// What the copies in sync say of the path; nothing when it is not there.
const PeerCopy* newest(const std::vector<PeerCopy>& copies) {
  const PeerCopy* found = nullptr;
  for (const PeerCopy& copy : copies)
    if (copy.in_sync && copy.entry && (found == nullptr || is_newer(*copy.entry, *found->entry)))
      found = &copy;
  return found != nullptr && is_live(*found) ? found : nullptr;
}

}  // namespace

std::vector<int> ranked_masters(const std::string& path, int masters) {
  std::vector<std::pair<std::string, int>> ranks;
  for (int index = 0; index < masters; ++index) {
    cluster::Sha256 hash;
    hash.add(std::to_string(index) + "/" + path);
    ranks.emplace_back(hash.finish(), index);
  }
  std::sort(ranks.rbegin(), ranks.rend());
  std::vector<int> order;
  for (const auto& [rank, index] : ranks) order.push_back(index);
  return order;
}

Result<Volume> LocalArchiveStore::open() const {
  const auto volumes = volumes_of(*config_());
  const Volume* volume = find_volume(*volumes, options_.volume);
  const std::string id = std::to_string(options_.volume);
  if (volume == nullptr) return Error{Code::not_found, "there is no volume with the ID " + id};
  const auto refuse = [&](const std::string& why) {
    return Error{Code::wrong_state, "volume '" + volume->name + "' " + why};
  };
  if (volume->kind != VolumeKind::archive) return refuse("is no archive volume");
  if (!volume->problem.empty()) return refuse("can't be used: " + volume->problem);
  if (volume->locked) return refuse("is locked; unlock it with st_volume_unlock");
  for (const int node : nodes_of(volume->placement)) {
    const std::string condition = resumed_condition(node);
    const auto& cleared = volume->cleared_conditions;
    if (is_storage_suspended(*config_(), node) &&
        std::find(cleared.begin(), cleared.end(), condition) == cleared.end())
      return refuse("is locked until " + condition + "; resume it with st_node_resume");
  }
  if (!volume->app_io) return refuse("has its application I/O switched off");
  return *volume;
}

std::vector<PeerCopy> LocalArchiveStore::ask_now(const std::vector<CopyPlace>& places,
                                                 const std::string& path, const ArchiveLimits& limits) const {
  const auto config = config_();
  auto copies = ask_copies(link_, places, path, suspended_nodes(*config), limits.stop);
  const auto volumes = volumes_of(*config);
  const Volume* volume = find_volume(*volumes, options_.volume);
  const int forced = volume == nullptr ? 1 : volume->forced_redundancy;
  if (forced <= 1) return copies;
  for (PeerCopy& copy : copies) {
    if (copy.place.id.level == forced) continue;
    copy.away =
        Error{Code::wrong_state, "the volume is forced to redundancy level " + std::to_string(forced)};
    copy.in_sync = false;
  }
  return copies;
}

Result<std::vector<PeerCopy>> LocalArchiveStore::ask(const Layout& layout, int index, const std::string& path,
                                                     const ArchiveLimits& limits, Time deadline) const {
  const auto places = copies_of(layout, index);
  const Time settled = std::min(deadline, Clock::now() + options_.settle);
  for (;;) {
    auto copies = ask_now(places, path, limits);
    if (first_in_sync(copies) != nullptr) return copies;
    if (Status going = in_time(limits, deadline); !going) return going.error();
    if (Clock::now() + kAgain > settled) return none_in_sync(copies);
    wait_until(Clock::now() + kAgain, limits.stop);
  }
}

Result<std::vector<PeerCopy>> LocalArchiveStore::locate(const std::string& path, const ArchiveLimits& limits,
                                                        Time deadline) const {
  if (Status good = check_archive_path(path); !good) return good.error();
  const auto volume = open();
  if (!volume) return volume.error();
  const Layout layout = layout_of(*volume);
  std::optional<Error> unknown;
  for (const int index : ranked_masters(path, volume->masters)) {
    auto copies = ask(layout, index, path, limits, deadline);
    if (!copies && !unknown) unknown = copies.error();
    if (copies && newest(*copies) != nullptr) return copies;
  }
  if (unknown) return *unknown;
  return std::vector<PeerCopy>();
}

Result<std::vector<PeerCopy>> LocalArchiveStore::place(const std::string& path, std::uint64_t size,
                                                       const ArchiveLimits& limits, Time deadline) const {
  auto there = locate(path, limits, deadline);
  if (!there || !there->empty()) return there;
  const auto volume = open();
  if (!volume) return volume.error();
  const Layout layout = layout_of(*volume);
  std::string full;
  for (const int index : ranked_masters(path, volume->masters)) {
    auto copies = ask(layout, index, path, limits, deadline);
    if (!copies) return copies;
    std::uint64_t free = ~std::uint64_t{0};
    for (const PeerCopy& copy : *copies)
      if (copy.in_sync) free = std::min(free, copy.free_bytes);
    if (free >= std::max<std::uint64_t>(size, 1)) return copies;
    full += (full.empty() ? "segment " : ", segment ") + std::to_string(index) + " has " +
            std::to_string(free) + " bytes free";
  }
  return Error{Code::busy, "volume '" + volume->name + "' is full: '" + path + "' has " +
                               std::to_string(size) + " bytes, " + full};
}

Result<LocalArchiveStore::Content> LocalArchiveStore::stage(const std::vector<PeerCopy>& copies,
                                                            const std::string& path, const Source& source,
                                                            std::optional<std::uint64_t> size,
                                                            const ArchiveLimits& limits, Time deadline) {
  Content content;
  content.staged.resize(copies.size());
  PieceFanout fanout(copies.size(), options_.patience, deadline, limits.stop);
  std::vector<std::string> sums(copies.size());
  std::vector<std::int64_t> sizes(copies.size());
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].away) {
      content.staged[i].error = copies[i].away;
      fanout.leave(i);
      continue;
    }
    threads.emplace_back([&, i] {
      Struct params = copy_params(copies[i].place.id);
      params.set("path", path);
      auto rules = transfer(limits, deadline);
      rules.stop = fanout.stop_of(i);
      const auto sent = link_.send(
          copies[i].place.node, "archive.put", params, [&fanout, i] { return fanout.take(i); }, rules);
      fanout.leave(i);
      const base::Value* stage = sent ? sent->find("stage") : nullptr;
      const base::Value* sum = sent ? sent->find("checksum") : nullptr;
      const base::Value* taken = sent ? sent->find("size") : nullptr;
      if (!sent)
        content.staged[i].error = sent.error();
      else if (stage == nullptr || !stage->is_string() || sum == nullptr || !sum->is_string() ||
               taken == nullptr || !taken->is_int())
        content.staged[i].error = Error{Code::internal, "archive.put answered something else"};
      else
        content.staged[i].stage = stage->as_string(), sums[i] = sum->as_string(), sizes[i] = taken->as_int();
    });
  }
  Status done;
  bool nobody = false;
  for (;;) {
    auto piece = source(kPiece);
    if (!piece) done = piece.error();
    if (!done || piece->empty()) break;
    content.size += piece->size();
    if (size && content.size > *size) break;
    if (done = in_time(limits, deadline); !done) break;
    if (nobody = !fanout.give(std::move(*piece)); nobody) break;
  }
  // When nobody takes any more, the copies say why.
  if (done && !nobody && size && content.size != *size)
    done = Error{Code::bad_parameter, "'" + path + "' was said to have " + std::to_string(*size) +
                                          " bytes, but not that many came"};
  fanout.end(done);
  threads.clear();
  // A copy without room, or that refuses the path, refuses for all; one that is away does not.
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const auto& error = content.staged[i].error;
    if (done && error && copies[i].in_sync && (error->code == Code::busy || error->code == Code::exists))
      return *error;
    if (!done || error) continue;
    // Each copy has computed its checksum: all must have the same. On the way to them TLS lets no byte
    // change.
    if (content.checksum.empty()) content.checksum = sums[i];
    if (sums[i] != content.checksum || static_cast<std::uint64_t>(sizes[i]) != content.size)
      return Error{Code::io_error, "'" + path + "' came to node " + std::to_string(copies[i].place.node) +
                                       " with another size or checksum; nothing is changed, write it again"};
  }
  if (!done) return done.error();
  return content;
}

Result<std::uint64_t> LocalArchiveStore::put(const std::string& path, const Source& source,
                                             std::optional<std::uint64_t> size, const ArchiveLimits& limits) {
  const Time deadline = Clock::now() + limits.timeout;
  const auto before = place(path, size.value_or(0), limits, deadline);
  if (!before) return before.error();
  const auto content = stage(*before, path, source, size, limits, deadline);
  if (!content) return content.error();
  // The stream may have taken hours: who is in sync now, and what has the highest version?
  std::vector<CopyPlace> places;
  for (const PeerCopy& copy : *before) places.push_back(copy.place);
  const auto copies = ask_now(places, path, limits);
  std::vector<std::size_t> reached;
  std::optional<Error> why;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (!content->staged[i].error && !copies[i].away)
      reached.push_back(i);
    else if (!why && !before->at(i).away)
      why = content->staged[i].error ? content->staged[i].error : copies[i].away;
  }
  if (std::none_of(reached.begin(), reached.end(), [&](std::size_t i) { return copies[i].in_sync; }))
    return why ? *why : none_in_sync(copies);
  const std::uint64_t version = next_version(copies);
  if (Status going = in_time(limits, deadline); !going) return going.error();
  const auto commit = [&](std::size_t i, const base::Array& without) -> Status {
    Struct params = copy_params(copies[i].place.id);
    params.set("path", path);
    params.set("stage", content->staged[i].stage);
    params.set("version", static_cast<std::int64_t>(version));
    params.set("without", without);
    const auto done = link_.run(copies[i].place.node, "archive.commit", params, limits.stop);
    return done ? Status() : Status(done.error());
  };
  if (Status done = change_copies(link_, copies, reached, commit, limits.stop); !done) return done.error();
  return content->size;
}

Result<std::uint64_t> LocalArchiveStore::get(const std::string& path, std::uint64_t offset, const Sink& sink,
                                             const ArchiveLimits& limits) {
  const Time deadline = Clock::now() + limits.timeout;
  const auto copies = locate(path, limits, deadline);
  if (!copies) return copies.error();
  const PeerCopy* current = copies->empty() ? nullptr : newest(*copies);
  if (current == nullptr) return Error{Code::not_found, "there is no file '" + path + "'"};
  if (!limits.checksum.empty() && limits.checksum != current->entry->checksum)
    return Error{Code::conflict, "'" + path + "' was written anew meanwhile"};
  std::vector<const PeerCopy*> sources;
  for (const PeerCopy& copy : *copies)
    if (!copy.away && is_live(copy) && is_same(*copy.entry, *current->entry)) sources.push_back(&copy);
  std::stable_partition(sources.begin(), sources.end(),
                        [&](const PeerCopy* copy) { return copy->place.node == link_.own_node(); });
  std::uint64_t given = 0;
  base::ContentChecksum hash;
  std::optional<Error> why;
  for (const PeerCopy* copy : sources) {
    if (Status going = in_time(limits, deadline); !going) return going.error();
    Struct params = copy_params(copy->place.id);
    params.set("path", path);
    params.set("offset", static_cast<std::int64_t>(offset + given));
    params.set("version", static_cast<std::int64_t>(current->entry->version));
    Status taken;
    const auto got = link_.fetch(
        copy->place.node, "archive.get", params,
        [&](std::string_view piece) {
          hash.update(piece);
          given += piece.size();
          return taken = sink(piece);
        },
        transfer(limits, deadline));
    if (!taken) return taken.error();
    if (got && offset == 0 && hash.finish() != current->entry->checksum)
      return Error{Code::io_error, "'" + path + "' arrived with a wrong checksum; read it again"};
    if (got) return given;
    why = got.error();
    if (why->code == Code::stopped || why->code == Code::bad_parameter) break;
  }
  return *why;
}

Result<std::optional<ArchiveFile>> LocalArchiveStore::find(const std::string& path,
                                                           const ArchiveLimits& limits) {
  const auto copies = locate(path, limits, Clock::now() + limits.timeout);
  if (!copies) return copies.error();
  const PeerCopy* current = copies->empty() ? nullptr : newest(*copies);
  if (current == nullptr) return std::optional<ArchiveFile>();
  return std::optional(ArchiveFile{path, current->entry->size, current->entry->checksum});
}

Status LocalArchiveStore::list_segment(const std::vector<PeerCopy>& copies, const std::string& folder,
                                       const ArchiveLimits& limits, std::vector<ArchiveFile>& found) {
  Status done;
  for (const PeerCopy& copy : copies) {
    if (!copy.in_sync) continue;
    done = {};
    std::vector<ArchiveFile> files;
    for (bool more = true; more && done;) {
      Struct params = copy_params(copy.place.id);
      params.set("folder", folder);
      params.set("after", files.empty() ? "" : files.back().path);
      params.set("most", kPage);
      const auto page = link_.run(copy.place.node, "archive.list", params, limits.stop);
      const base::Value* list = page ? page->find("files") : nullptr;
      if (list == nullptr || !list->is_array()) {
        done = page ? Error{Code::internal, "archive.list answered something else"} : page.error();
        break;
      }
      for (const base::Value& file : list->as_array()) {
        const base::Value* path = file.find("path");
        const base::Value* size = file.find("size");
        if (path != nullptr && path->is_string() && size != nullptr && size->is_int())
          files.push_back({path->as_string(), static_cast<std::uint64_t>(size->as_int())});
      }
      more = list->as_array().size() == static_cast<std::size_t>(kPage);
    }
    if (!done) continue;
    found.insert(found.end(), files.begin(), files.end());
    return {};
  }
  return done;
}

Result<std::vector<ArchiveFile>> LocalArchiveStore::list(const std::string& folder,
                                                         const ArchiveLimits& limits) {
  if (!folder.empty())
    if (Status good = check_archive_path(folder); !good) return good.error();
  const Time deadline = Clock::now() + limits.timeout;
  const auto volume = open();
  if (!volume) return volume.error();
  const Layout layout = layout_of(*volume);
  std::map<std::string, std::uint64_t> all;
  for (int index = 0; index < volume->masters; ++index) {
    const auto copies = ask(layout, index, "", limits, deadline);
    if (!copies) return copies.error();
    std::vector<ArchiveFile> found;
    if (Status done = list_segment(*copies, folder, limits, found); !done) return done.error();
    for (const ArchiveFile& file : found) all.emplace(file.path, file.size);
  }
  std::vector<ArchiveFile> files;
  for (const auto& [path, size] : all) files.push_back({path, size});
  return files;
}

Status LocalArchiveStore::remove(const std::string& path, const ArchiveLimits& limits) {
  if (Status good = check_archive_path(path); !good) return good;
  const Time deadline = Clock::now() + limits.timeout;
  const auto volume = open();
  if (!volume) return volume.error();
  const Layout layout = layout_of(*volume);
  for (const int index : ranked_masters(path, volume->masters)) {
    const auto copies = ask(layout, index, path, limits, deadline);
    if (!copies) return copies.error();
    if (newest(*copies) == nullptr) continue;
    std::vector<std::size_t> reached;
    for (std::size_t i = 0; i < copies->size(); ++i)
      if (!(*copies)[i].away) reached.push_back(i);
    const std::uint64_t version = next_version(*copies);
    const auto remove_there = [&](std::size_t i, const base::Array& without) -> Status {
      Struct params = copy_params((*copies)[i].place.id);
      params.set("path", path);
      params.set("version", static_cast<std::int64_t>(version));
      params.set("without", without);
      const auto done = link_.run((*copies)[i].place.node, "archive.remove", params, limits.stop);
      return done ? Status() : Status(done.error());
    };
    if (Status done = change_copies(link_, *copies, reached, remove_there, limits.stop); !done) return done;
  }
  return {};
}

}  // namespace confd::storage
