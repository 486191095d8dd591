// The part of the Scheduler that works beside the jobs: deadlines of waiters, checkpoints of the journal, job
// numbers, ends that could not be recorded at once.
#include <algorithm>
#include <atomic>

#include "base/repeated_problem.h"
#include "scheduler/job.h"
#include "scheduler/scheduler.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {
constexpr std::chrono::milliseconds kLookFar{200};
}

// A job of another node is asked for again and again: nobody tells this node when it ends.
void Scheduler::wait_far(JobId id, std::chrono::milliseconds timeout,
                         std::function<void(Result<bool>)> done) {
  timeout = std::clamp<std::chrono::milliseconds>(timeout, {}, std::chrono::hours(24 * 365));
  {
    MutexLock lock(mutex_);
    far_waits_.push_back({id, services_.clock.steady_now() + timeout, std::move(done)});
  }
  time_.notify_one();
}

void Scheduler::look_far() {
  std::vector<JobId> ids;
  {
    MutexLock lock(mutex_);
    for (const FarWait& wait : far_waits_) ids.push_back(wait.job);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const JobId id : ids) {
    const auto found = hooks_.find_elsewhere(id);
    if (found && !found->ended) continue;
    // Who could tell may be back before the time is over.
    if (!found && found.error().code != Code::unknown_job_id) continue;
    std::vector<std::function<void(Result<bool>)>> over;
    {
      MutexLock lock(mutex_);
      std::erase_if(far_waits_, [&](FarWait& wait) {
        if (wait.job != id) return false;
        over.push_back(std::move(wait.done));
        return true;
      });
    }
    for (auto& done : over) done(found ? Result<bool>(true) : Result<bool>(found.error()));
  }
  MutexLock lock(mutex_);
  asking_far_ = false;
}

void Scheduler::keep_time() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    std::vector<std::function<void(Result<bool>)>> late;
    const auto now = services_.clock.steady_now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      const auto deadline = deadlines_.begin();
      if (const auto job = live_.find(deadline->second.job); job != live_.end()) {
        auto& waiters = job->second->waiters;
        const auto waiter = std::find_if(waiters.begin(), waiters.end(),
                                         [&](const Job::Waiter& w) { return w.deadline == deadline; });
        if (waiter != waiters.end()) {
          late.push_back(std::move(waiter->done));
          waiters.erase(waiter);
        }
      }
      deadlines_.erase(deadline);
    }
    std::erase_if(far_waits_, [&](FarWait& wait) {
      if (now < wait.until) return false;
      late.push_back(std::move(wait.done));
      return true;
    });
    if (!late.empty()) {
      lock.unlock();
      for (auto& done : late) done(false);
      lock.lock();
      continue;
    }
    if (!far_waits_.empty() && !asking_far_) {
      asking_far_ = true;
      askers_->post([this] { look_far(); });
    }
    // By the operating system's clock: a clock that is moved by hand is looked at each second.
    base::SteadyTime::duration sleep = std::chrono::seconds(1);
    if (!deadlines_.empty()) sleep = std::min(sleep, deadlines_.begin()->first - now);
    if (!far_waits_.empty()) sleep = std::min<base::SteadyTime::duration>(sleep, kLookFar);
    time_.wait_until(mutex_, std::chrono::steady_clock::now() + sleep);
  }
}

void Scheduler::keep_house() {
  base::RepeatedProblem no_numbers, not_cut, job_files;
  const auto told = [this](base::RepeatedProblem& what, const std::vector<std::string>& problems,
                           const std::string& of) {
    const auto now = std::chrono::steady_clock::now();
    if (!problems.empty()) {
      if (const auto line = what.came(of + ": " + problems.front(), problems.size(), now)) log_.err(*line);
    } else if (const auto untold = what.over(now)) {
      log_.notice(of + ": no problem any more" +
                  (*untold > 0 ? ", after " + std::to_string(*untold) + " more" : std::string()));
    }
  };
  const auto as_problems = [](const Status& done) {
    return done ? std::vector<std::string>() : std::vector<std::string>{done.error().text};
  };
  MutexLock lock(mutex_);
  while (!stopping_) {
    const auto next = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (!stopping_ && !house_due_ && std::chrono::steady_clock::now() < next)
      house_.wait_until(mutex_, next);
    house_due_ = false;
    lock.unlock();
    const Status numbers = ids_->wants_refill() ? ids_->refill() : Status();
    told(no_numbers, as_problems(numbers), "reserving job numbers");
    record_now();
    told(not_cut, as_problems(journal_->size() >= options_.journal_bytes ? checkpoint() : Status()),
         "cutting the job journal");
    told(job_files, files_->take_problems(), "job files");
    if (refused_by_disk_.exchange(false) && hooks_.cannot_record) hooks_.cannot_record();
    lock.lock();
  }
}

void Scheduler::record_later(RecordPtr record) {
  // Enough for a disk that is full for a while. Beyond, confd refuses jobs as fast as they come; what is
  // dropped here can only be started by a later confd if its refused line got to the disk whole.
  constexpr std::size_t kMost = 10'000;
  MutexLock lock(mutex_);
  if (unrecorded_.size() < kMost) unrecorded_.push_back(std::move(record));
}

void Scheduler::record_now() {
  std::vector<RecordPtr> records;
  {
    MutexLock lock(mutex_);
    records.swap(unrecorded_);
  }
  if (records.empty()) return;
  for (const RecordPtr& record : records)
    journal_->append(*record, Durability::power, [this, record](Status written) {
      if (!written) record_later(record);
    });
  (void)journal_->sync().ok();  // all of them were tried
}

// Cuts the journal: jobs that live go into a new segment; those that ended before this point are in the job
// files, which become durable now; the old segments go.
Status Scheduler::checkpoint() {
  const auto segment = journal_->start_segment();
  if (!segment) return segment.error();
  std::vector<std::shared_ptr<const JobRecord>> records;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, job] : live_)
      if (is_journaled(*job) && !job->declined)
        records.push_back(std::make_shared<const JobRecord>(job->record));
    records.insert(records.end(), unrecorded_.begin(), unrecorded_.end());
  }
  std::atomic<bool> lost = false;
  for (const RecordPtr& record : records)
    journal_->append(*record, Durability::power, [&lost](Status written) {
      if (!written) lost = true;
    });
  records.clear();
  if (Status done = journal_->sync(); !done) return done;
  if (lost) return Error{base::Code::io_error, "jobs that run could not be written to the new journal"};
  if (Status done = files_->checkpoint(); !done) return done;
  return journal_->retire(*segment);
}

}  // namespace confd::scheduler
