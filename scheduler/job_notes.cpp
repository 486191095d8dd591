#include "scheduler/job_notes.h"

#include <algorithm>
#include <utility>

#include "base/json.h"

namespace confd::scheduler {

using base::Code;
using base::MutexLock;
using base::Status;
using cluster::JobNote;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kLookEvery{1};
constexpr std::chrono::milliseconds kRetry{200};
constexpr std::size_t kPruneEvery = 200;  // ends
constexpr std::size_t kMostWaiting = 10'000;

JobNote note_of(const JobRecord& record) {
  JobNote note;
  note.id = record.id.text();
  append_record_json(note.text, record);
  for (const base::WallTime time : record.times) note.ended = std::max(note.ended, time);
  return note;
}

std::optional<JobRecord> parse(const std::string& text) {
  const auto value = base::parse_json(text);
  if (!value) return std::nullopt;
  auto record = from_value(*value);
  if (!record) return std::nullopt;
  return std::move(*record);
}

}  // namespace

JobRecord interrupted(JobRecord record, int lost_node, base::WallTime now) {
  const std::string node = "node " + std::to_string(lost_node);
  record.text =
      record.stage == Stage::submitted
          ? node + " was lost before this job was started; nothing was changed, submit it again"
          : node +
                " was lost while this job ran there; EXAConf was not changed by it, but its commands may "
                "have been carried out in part: look at the things it is about, then submit it again";
  record.code = Code::interrupted;
  record.output.reset();
  record.published.reset();
  record.diff = base::Value();
  record.reach(Stage::finished, now);
  record.ended = true;
  return record;
}

JobNotes::JobNotes(JobBoardHooks board, int own_node, base::Clock& clock, base::Log& log,
                   std::function<bool(JobId)> carries_on)
    : board_(std::move(board)),
      own_node_(own_node),
      clock_(clock),
      log_(log),
      carries_on_(std::move(carries_on)),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

JobNotes::~JobNotes() {
  thread_.request_stop();
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void JobNotes::post(const JobRecord& record, std::function<void(Status)> done) {
  Post post{record.id, note_of(record), std::move(done)};
  {
    MutexLock lock(mutex_);
    posts_.push_back(std::move(post));
  }
  wake_.notify_all();
}

void JobNotes::post_later(const JobRecord& record) {
  Later later{note_of(record), Clock::now() + kPostAfter};
  MutexLock lock(mutex_);
  if (!posted_.contains(record.id)) later_.insert_or_assign(record.id, std::move(later));
}

void JobNotes::forget(JobId id) {
  MutexLock lock(mutex_);
  later_.erase(id);
  posted_.erase(id);
}

void JobNotes::end(const JobRecord& record, bool must_know,
                   std::function<void(std::optional<JobRecord>)> done) {
  End end{record.id, note_of(record), nullptr, Clock::now() + kPatience};
  {
    MutexLock lock(mutex_);
    later_.erase(record.id);
    if (posted_.erase(record.id) > 0 || must_know) end.done = std::exchange(done, nullptr);
    // A store that is away for long: the job's own node has them all.
    if (end.done || ends_.size() < kMostWaiting) ends_.push_back(std::move(end));
  }
  wake_.notify_all();
  if (done) done(std::nullopt);
}

std::optional<JobRecord> JobNotes::find_end(JobId id) {
  const auto found = board_.find(id.text());
  if (!found || !*found || !(*found)->has_ended) return std::nullopt;
  return parse((*found)->text);
}

void JobNotes::run(std::stop_token stop) {
  auto next_look = Clock::now() + kLookEvery;
  for (;;) {
    std::vector<Post> posts;
    std::vector<End> ends;
    const bool stopping = stop.stop_requested();
    {
      MutexLock lock(mutex_);
      const auto has_work = [&]() REQUIRES_LOCK(mutex_) {
        const auto now = Clock::now();
        return !posts_.empty() || (!ends_.empty() && now >= retry_at_) ||
               std::any_of(later_.begin(), later_.end(), [&](const auto& l) { return l.second.due <= now; });
      };
      while (!stopping && !stop.stop_requested() && !has_work() && Clock::now() < next_look)
        wake_.wait_until(mutex_,
                         std::min(next_look, Clock::now() + (later_.empty() && ends_.empty()
                                                                 ? std::chrono::milliseconds(kLookEvery)
                                                                 : kRetry / 4)));
      posts.swap(posts_);
      if (stopping || Clock::now() >= retry_at_) ends.swap(ends_);
      for (auto it = later_.begin(); it != later_.end();) {
        if (Clock::now() < it->second.due) {
          ++it;
          continue;
        }
        posts.push_back({it->first, std::move(it->second.note), nullptr});
        it = later_.erase(it);
      }
    }
    if (!posts.empty()) put_posts(std::move(posts));
    if (!ends.empty()) put_ends(std::move(ends));
    if (stopping) break;
    if (Clock::now() >= next_look) {
      end_stranded();
      next_look = Clock::now() + kLookEvery;
    }
  }
  std::vector<End> left;
  {
    MutexLock lock(mutex_);
    left.swap(ends_);
  }
  for (End& end : left)
    if (end.done) end.done(std::nullopt);
}

void JobNotes::put_posts(std::vector<Post> posts) {
  std::vector<JobNote> notes;
  {
    // Before the call: one whose answer gets lost may be there.
    MutexLock lock(mutex_);
    for (const Post& post : posts) posted_.insert(post.id);
  }
  for (Post& post : posts) notes.push_back(std::move(post.note));
  const Status done = board_.post(notes);
  for (Post& post : posts)
    if (post.done) post.done(done);
}

void JobNotes::put_ends(std::vector<End> ends) {
  std::vector<JobNote> notes;
  for (const End& end : ends) notes.push_back(end.note);
  auto put = board_.end(notes);
  if (put) {
    for (std::size_t i = 0; i < ends.size(); ++i)
      if (ends[i].done) ends[i].done((*put)[i] ? parse(*(*put)[i]) : std::nullopt);
    since_prune_ += ends.size();
    if (since_prune_ >= kPruneEvery) {
      since_prune_ = 0;
      if (const Status done = board_.prune(); !done)
        log_.warn("old results of jobs could not be removed from the cluster's store: " + done.error().text);
    }
    return;
  }
  for (End& end : ends)
    if (end.done && Clock::now() >= end.give_up) std::exchange(end.done, nullptr)(std::nullopt);
  MutexLock lock(mutex_);
  retry_at_ = Clock::now() + kRetry;
  ends_.insert(ends_.begin(), std::make_move_iterator(ends.begin()), std::make_move_iterator(ends.end()));
}

void JobNotes::end_stranded() {
  const auto stranded = board_.stranded();
  if (!stranded) return;  // no quorum: the next look tells
  std::vector<JobNote> ends;
  for (const JobNote& note : *stranded) {
    auto record = parse(note.text);
    if (!record) {
      log_.err("the cluster's store holds a record of job " + note.id + " that can't be read");
      continue;
    }
    if (record->id.node == own_node_) {
      if (carries_on_(record->id)) continue;
      MutexLock lock(mutex_);
      if (std::any_of(ends_.begin(), ends_.end(), [&](const End& end) { return end.id == record->id; }))
        continue;
    }
    log_.notice("job " + note.id + " (" + record->job + ") is not carried on by node " +
                std::to_string(record->id.node) + " any more and counts as interrupted");
    ends.push_back(note_of(interrupted(std::move(*record), JobId::parse(note.id)->node, clock_.now())));
  }
  if (!ends.empty()) (void)board_.end(ends).ok();  // otherwise at the next look
}

}  // namespace confd::scheduler
