// The part of JobFiles that finds jobs again.
#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "scheduler/job_file_names.h"
#include "scheduler/job_files.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::WallTime;

bool HistoryFilter::matches(const JobRecord& r) const {
  if (!state.empty()) {
    const bool failed = r.ended && r.code != Code::ok;
    const bool ok = state == "failed"    ? failed
                    : state == "running" ? !r.ended && r.stage != Stage::submitted
                                         : state == stage_name(r.stage);
    if (!ok) return false;
  }
  if (!user.empty() && r.user != user) return false;
  if (!job.empty() && r.job != job) return false;
  const WallTime submitted = r.time(Stage::submitted);
  if (since && submitted < *since) return false;
  if (until && submitted > *until) return false;
  return true;
}

Result<RecordPtr> JobFiles::read_file(const std::string& path) const {
  const auto text = files_.read(path);
  if (!text) return text.error();
  const auto value = base::parse_yaml(*text);
  if (!value) return Error{Code::internal, path + ": " + value.error().text};
  auto record = from_value(*value);
  if (!record) return Error{Code::internal, path + ": " + record.error().text};
  return RecordPtr(std::make_shared<const JobRecord>(std::move(*record)));
}

std::vector<std::string> JobFiles::read_segments() const {
  (void)open_segment()->write_out().ok();  // the thread tells of problems
  std::vector<std::string> names;
  MutexLock lock(mutex_);
  for (const auto& [key, entry] : archive_)
    if (segment_of(key.second)) names.push_back(key.second);
  names.push_back(reads_->name());
  std::sort(names.begin(), names.end(),
            [](const auto& a, const auto& b) { return number_of(a) > number_of(b); });
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;  // newest first
}

Result<RecordPtr> JobFiles::find(JobId id) const {
  {
    MutexLock lock(mutex_);
    for (const auto* waiting : {&pending_, &failed_, &writing_})
      if (const auto it = waiting->find(id); it != waiting->end()) return it->second.record;
  }
  // Twice: between two looks the file may move on to a folder that was looked at before.
  for (int round = 0; round < 2; ++round)
    for (Folder folder : {Folder::archive, Folder::finish, Folder::run, Folder::queue}) {
      auto record = read_file(file_path(folder, id));
      if (record || record.error().code != Code::not_found) return record;
    }
  const std::string start = std::string(kLineStart) + "{\"job_id\":\"" + id.text() + "\"";
  // Most likely in the newest segment that starts below it; a job that ran long ended up in a later one.
  std::vector<std::string> segments = read_segments();
  std::stable_partition(segments.begin(), segments.end(),
                        [&](const std::string& name) { return number_of(name) <= id.number; });
  for (const std::string& name : segments) {
    const auto text = files_.read(base::join_path(folder_path(Folder::archive), name));
    if (!text) continue;  // retention took it meanwhile
    std::size_t at = text->compare(0, start.size(), start) == 0 ? 0 : text->find("\n" + start);
    if (at == std::string::npos) continue;
    if (at > 0) ++at;
    const std::size_t end = text->find('\n', at);
    const auto value = base::parse_json(
        std::string_view(*text).substr(at + kLineStart.size(), end - at - kLineStart.size()));
    if (!value) break;
    auto record = from_value(*value);
    if (!record) break;
    return RecordPtr(std::make_shared<const JobRecord>(std::move(*record)));
  }
  return Error{Code::unknown_job_id,
               "There is no job " + id.text() + " on record; it was never started or its record has expired"};
}

std::vector<RecordPtr> JobFiles::history(const HistoryFilter& filter,
                                         const std::function<bool(JobId)>& known) const {
  std::vector<RecordPtr> found;
  const auto take = [&](RecordPtr record, std::size_t& count) {
    if (known(record->id) || !filter.matches(*record)) return;
    found.push_back(std::move(record));
    ++count;
  };
  // Newest first in either kind of file; each kind alone may fill the limit, the caller sorts and cuts.
  std::size_t from_segments = 0;
  std::set<JobId> seen;  // a write that failed in the middle was done again
  for (const std::string& name : read_segments()) {
    if (from_segments >= filter.limit) break;
    const auto text = files_.read(base::join_path(folder_path(Folder::archive), name));
    if (!text) continue;
    const std::vector<std::string> lines = base::split(*text, '\n');
    for (auto line = lines.rbegin(); line != lines.rend() && from_segments < filter.limit; ++line) {
      if (!line->starts_with(kLineStart)) continue;
      const auto value = base::parse_json(std::string_view(*line).substr(kLineStart.size()));
      if (!value) continue;
      if (auto record = from_value(*value); record.ok() && seen.insert(record->id).second)
        take(std::make_shared<const JobRecord>(std::move(*record)), from_segments);
    }
  }
  std::vector<std::pair<JobId, std::string>> files;
  std::map<JobId, RecordPtr> unwritten;
  {
    MutexLock lock(mutex_);
    for (const auto* waiting : {&pending_, &failed_, &writing_})
      for (const auto& [id, pending] : *waiting) unwritten.try_emplace(id, pending.record);
    for (const auto& [id, place] : places_)
      if (!unwritten.contains(id)) files.emplace_back(id, file_path(place.folder, id));
    for (const auto& [key, entry] : archive_)
      if (const auto id = id_of(key.second); id && !unwritten.contains(*id))
        files.emplace_back(*id, file_path(Folder::archive, *id));
  }
  for (const auto& [id, record] : unwritten) files.emplace_back(id, "");
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::size_t from_files = 0;
  for (const auto& [id, path] : files) {
    if (from_files >= filter.limit) break;
    if (known(id)) continue;
    if (const auto it = unwritten.find(id); it != unwritten.end()) {
      take(it->second, from_files);
      continue;
    }
    auto record = read_file(path);
    // It may have moved on to another folder since.
    if (!record && record.error().code == Code::not_found) record = find(id);
    if (record) take(std::move(*record), from_files);
  }
  std::sort(found.begin(), found.end(), [](const RecordPtr& a, const RecordPtr& b) { return a->id > b->id; });
  return found;
}

}  // namespace confd::scheduler
