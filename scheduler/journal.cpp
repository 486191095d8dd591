#include "scheduler/journal.h"

#include <zlib.h>

#include <algorithm>
#include <future>
#include <map>
#include <optional>

#include "base/failpoint.h"
#include "base/json.h"
#include "base/text.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kPrefix = "journal.";

std::string crc_text(std::string_view text) {
  const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
  char bytes[4];
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(crc >> (24 - 8 * i));
  return base::to_hex({bytes, 4});
}

std::optional<std::uint64_t> segment_number(const std::string& name) {
  if (name.compare(0, kPrefix.size(), kPrefix) != 0) return std::nullopt;
  const auto number = base::parse_int(std::string_view(name).substr(kPrefix.size()));
  if (!number || *number < 1) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

bool is_later(const JobRecord& a, const JobRecord& b) {
  if (a.ended != b.ended) return a.ended;
  if (a.stage != b.stage) return a.stage > b.stage;
  return a.published.has_value() && !b.published.has_value();
}

}  // namespace

Result<Journal::Recovered> Journal::recover(base::FileSystem& files, const std::string& directory) {
  Recovered recovered;
  const auto names = files.list(directory);
  if (!names) return names.error();
  std::map<JobId, JobRecord> latest;
  for (const std::string& name : *names) {
    const auto number = segment_number(name);
    if (!number) continue;
    recovered.next_segment = std::max(recovered.next_segment, *number + 1);
    const auto text = files.read(base::join_path(directory, name));
    if (!text) return text.error();
    std::string_view rest = *text;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      const bool whole = end != std::string_view::npos && line.size() > 9 && line[8] == ' ' &&
                         crc_text(line.substr(9)) == line.substr(0, 8);
      auto value = whole ? base::parse_json(line.substr(9)) : Result<base::Value>(Error{});
      auto record = value ? from_value(*value) : Result<JobRecord>(Error{});
      if (!record) {
        ++recovered.torn_lines;
        continue;
      }
      if (record->published && !record->ended)
        recovered.doubtful.insert_or_assign(record->id, *record->published);
      auto [it, is_new] = latest.try_emplace(record->id, *record);
      if (!is_new && is_later(*record, it->second)) it->second = std::move(*record);
    }
  }
  recovered.records.reserve(latest.size());
  for (auto& [id, record] : latest) recovered.records.push_back(std::move(record));
  std::erase_if(recovered.doubtful, [&](const auto& one) {
    const auto it = std::lower_bound(recovered.records.begin(), recovered.records.end(), one.first,
                                     [](const JobRecord& r, JobId id) { return r.id < id; });
    return !it->ended || it->code == Code::ok;
  });
  return recovered;
}

Journal::Journal(base::FileSystem& files, std::string directory, std::uint64_t segment)
    : files_(files), directory_(std::move(directory)), segment_(segment) {}

Result<std::unique_ptr<Journal>> Journal::open(base::FileSystem& files, std::string directory,
                                               std::uint64_t segment) {
  std::unique_ptr<Journal> journal(new Journal(files, std::move(directory), segment));
  if (Status done = journal->open_segment(segment); !done) return done.error();
  journal->thread_ = std::thread([raw = journal.get()] { raw->run(); });
  return journal;
}

Journal::~Journal() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status Journal::open_segment(std::uint64_t segment) {
  auto file =
      files_.create(base::join_path(directory_, std::string(kPrefix) + std::to_string(segment)), 0600);
  if (!file) return file.error();
  if (Status done = files_.sync_directory(directory_); !done) return done;
  file_ = std::move(*file);
  segment_ = segment;
  broken_ = false;
  acknowledged_ = false;
  MutexLock lock(mutex_);
  size_ = 0;
  return {};
}

void Journal::push(Item item) {
  {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(item));
  }
  wake_.notify_one();
}

void Journal::append(const JobRecord& record, Durability durability, std::function<void(Status)> done) {
  std::string text;
  append_record_json(text, record);
  push({crc_text(text) + " " + text + "\n", durability, false, std::move(done)});
}

Status Journal::append_and_wait(const JobRecord& record, Durability durability) {
  std::promise<Status> promise;
  auto written = promise.get_future();
  append(record, durability, [&promise](Status status) { promise.set_value(std::move(status)); });
  return written.get();  // the journal thread answers every item, at the latest when it ends
}

Status Journal::sync() {
  std::promise<Status> promise;
  auto written = promise.get_future();
  push({"", Durability::power, false, [&promise](Status status) { promise.set_value(std::move(status)); }});
  return written.get();
}

std::uint64_t Journal::size() const {
  MutexLock lock(mutex_);
  return size_;
}

Result<std::uint64_t> Journal::start_segment() {
  std::promise<Status> promise;
  std::uint64_t number = 0;
  auto started = promise.get_future();
  push({"", Durability::power, true, [&](Status status) {
          number = segment_;
          promise.set_value(std::move(status));
        }});
  const Status status = started.get();
  if (!status) return status.error();
  return number;
}

Status Journal::retire(std::uint64_t below) {
  const auto names = files_.list(directory_);
  if (!names) return names.error();
  for (const std::string& name : *names)
    if (const auto number = segment_number(name); number && *number < below)
      if (Status done = files_.remove(base::join_path(directory_, name)); !done) return done;
  return files_.sync_directory(directory_);
}

Status Journal::write(const std::string& text) {
  if (broken_) {
    // Lines that were only written there so far deserve their sync all the same.
    if (acknowledged_) (void)file_->sync().ok();
    if (Status done = open_segment(acknowledged_ ? segment_ + 1 : segment_); !done) return done;
  }
  const Status done = text.empty() ? Status() : file_->append(text);
  CONFD_FAILPOINT("journal.written");
  // What part of it reached the disk is unknown: nothing may follow it in this file.
  if (!done) broken_ = true;
  return done;
}

Status Journal::sync_file() {
  const Status done = file_->sync();
  CONFD_FAILPOINT("journal.synced");
  if (!done) broken_ = true;
  return done;
}

void Journal::run() {
  for (;;) {
    std::vector<Item> batch;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) wake_.wait(mutex_);
      if (queue_.empty()) return;
      batch.swap(queue_);
    }
    // Items up to a rotation share one write and one sync.
    for (std::size_t from = 0; from < batch.size();) {
      std::size_t to = from;
      std::string text;
      bool sync = false;
      while (to < batch.size() && !batch[to].rotate) {
        text += batch[to].line;
        sync |= batch[to].durability == Durability::power;
        ++to;
      }
      if (to > from) {
        Status status = write(text);
        const auto answer = [&](Durability durability) {
          for (std::size_t i = from; i < to; ++i) {
            if (batch[i].durability != durability) continue;
            acknowledged_ |= status.ok() && !batch[i].line.empty();
            if (batch[i].done) batch[i].done(status);
          }
        };
        {
          MutexLock lock(mutex_);
          size_ += text.size();
        }
        answer(Durability::process);  // these need not wait for the disk
        if (status && sync) status = sync_file();
        answer(Durability::power);
      }
      if (to < batch.size()) {
        Status status = write("");
        if (status) status = sync_file();
        if (status) status = open_segment(segment_ + 1);
        if (batch[to].done) batch[to].done(status);
        ++to;
      }
      from = to;
    }
  }
}

}  // namespace confd::scheduler
