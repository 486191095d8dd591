// Scheduler: takes jobs, carries them through submitted -> scheduled -> executed -> finished -> committed,
// answers what became of them.
//
// Promises (design.md §12): an id that was returned is never lost or reused (P1); stages only move forward,
// and each is durable before its effect (P2); recovery never runs a job twice (P3). How:
// docs/stages-and-recovery.md.
//
// Threads: callers' threads do only checks and short locks (submit() reserves ids in blocks); the journal
// thread, the publisher's thread, the file thread of JobFiles, a time keeper, a housekeeper and worker
// threads do the rest.
// Callbacks come on any of these, once, and must not block. Thread-safety: any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "auth/identity.h"
#include "base/log.h"
#include "base/mutex.h"
#include "cluster/publisher.h"
#include "jobs/context.h"
#include "jobs/descriptor.h"
#include "scheduler/id_counter.h"
#include "scheduler/job_files.h"
#include "scheduler/job_notes.h"
#include "scheduler/journal.h"
#include "scheduler/planner.h"
#include "scheduler/record.h"
#include "scheduler/worker_pool.h"

namespace confd::scheduler {

struct SchedulerOptions {
  PlannerLimits limits;
  std::size_t queued_jobs = 10'000;
  std::size_t queued_jobs_per_user = 2'000;
  std::size_t recent_jobs = 500;  // ended jobs kept in memory
  Retention retention;
  std::uint64_t journal_bytes = 8u << 20;     // a checkpoint is taken beyond
  std::chrono::milliseconds look_every{500};  // for hand edits of EXAConf
};

struct Submission {
  std::string job;
  base::Value params;  // a struct, or null
  bool dry_run = false;
  bool is_volatile = false;  // no record on disk; read jobs only
  auth::IdentityPtr caller;
  base::Struct request;               // for the record
  std::vector<std::string> warnings;  // for the record
};

class Scheduler {
 public:
  // `directory`: <root>/spool/jobs. Reads back what a former process left, decides what becomes of it, then
  // is ready to take jobs; jobs that are to start again start at once. `store`, `services`, `log` outlive the
  // scheduler. `on_stage`: each job at each stage, on the thread that moved it.
  struct Hooks {
    std::function<void(const JobRecord&)> on_stage;
    std::function<void(exaconf::ConfigPtr)> on_revision;
    // With several nodes, see cluster::Publisher::Hooks; `was_published`: did this revision become the
    // cluster's?
    std::function<base::Status(const exaconf::Config& base, const exaconf::Config& next,
                               const std::vector<cluster::JobNote>& ends)>
        agree;
    std::function<void(std::int64_t revision, std::function<void(std::vector<int> behind)> done)> when_held;
    std::function<base::Result<bool>(std::int64_t revision, const std::string& checksum)> was_published;
    // An edit of EXAConf by hand, on a node that is not master: the revision that the master made of it.
    // Nothing: this node is master and takes it itself.
    std::function<std::optional<base::Result<exaconf::ConfigPtr>>(const exaconf::Config& base,
                                                                  const exaconf::Config& edited)>
        propose;
    // Why nothing can be changed now (no master, not master); asked before a modify job is taken.
    std::function<base::Status()> may_change;
    // Where all nodes see the jobs of each (scheduler/job_notes.h).
    std::optional<JobBoardHooks> board;
    // A job that is not on record here: another node's, or one of a former master. They block, for seconds at
    // most. Error: nobody knows it, or who could tell does not answer.
    std::function<base::Result<JobRecord>(JobId id)> find_elsewhere;
    std::function<base::Status(JobId id, const std::string& by)> stop_elsewhere;
    // Asked before a modify job runs: when another node became master meanwhile it runs there. Nothing: it
    // runs here. Blocks until it has ended.
    std::function<std::optional<base::Result<JobRecord>>(const JobRecord& job, const base::Struct& params,
                                                         std::stop_token stop)>
        run_elsewhere;
    // Modify jobs had to be refused because they could not be recorded here (a full disk). About a second
    // after the first of them; may block for seconds.
    std::function<void()> cannot_record;
  };
  static base::Result<std::unique_ptr<Scheduler>> open(SchedulerOptions options, std::string directory,
                                                       exaconf::Store& store, const std::string& exaconf_path,
                                                       jobs::JobServices& services, base::Log& log,
                                                       Hooks hooks);
  ~Scheduler();

  // Takes a job. A known job always gets an id, also when it is declined (bad parameters, no permission,
  // queue full): the record says why. `accepted`: the id, once it is durable (modify) or written (read).
  // Error: Code::unknown_job, or the journal can't be written. `ended`: the record with its result (also
  // after an Error above: never called then).
  void submit(Submission submission, std::function<void(base::Result<JobId>)> accepted,
              std::function<void(RecordPtr)> ended);

  // Calls back with true when the job has ended, with false at the timeout; Error: Code::unknown_job_id. A
  // job with a `timeout` parameter of its own is waited for that long (spec/rpc.md §3).
  void wait(JobId id, std::chrono::milliseconds timeout, std::function<void(base::Result<bool>)> done);
  // The job as it stands. Error: Code::unknown_job_id. `fetched`: the caller gets its result, so that it can
  // be archived.
  void find(JobId id, bool fetched, std::function<void(base::Result<RecordPtr>)> done);
  // The same, without asking elsewhere.
  void find_here(JobId id, std::function<void(base::Result<RecordPtr>)> done);
  // Newest first.
  void history(HistoryFilter filter, std::function<void(std::vector<RecordPtr>)> done);
  // Ends a queued job, asks a running one to stop. Errors: Code::unknown_job_id, Code::wrong_state when it
  // has ended.
  // Blocks when it is another node's.
  base::Status stop_job(JobId id, const std::string& by);

  exaconf::ConfigPtr config() const { return store_.current(); }
  // Takes up what the cluster agreed on; `done` when it is durable.
  void adopt(exaconf::ConfigPtr agreed, std::function<void(base::Status)> done) {
    publisher_->adopt(std::move(agreed), std::move(done));
  }

  // An edit by hand that was made on another node; see cluster::Publisher.
  void take_edit(cluster::HeldRevision base, exaconf::ConfigPtr edited,
                 std::function<void(base::Result<exaconf::ConfigPtr>)> done) {
    publisher_->take_edit(std::move(base), std::move(edited), std::move(done));
  }

  // No job is taken any more; returns when none runs or at the deadline, then those that run are asked to
  // stop. Queued ones stay for the next start.
  void drain(std::chrono::milliseconds deadline);

  struct Counters {
    std::size_t queued = 0, running = 0;
    std::uint64_t ended = 0;
  };
  Counters counters() const;

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  struct Deadline {
    JobId job;
  };
  struct FarWait {
    JobId job;
    base::SteadyTime until;
    std::function<void(base::Result<bool>)> done;
  };

  Scheduler(SchedulerOptions options, exaconf::Store& store, jobs::JobServices& services, base::Log& log,
            Hooks hooks);
  base::Status recover_jobs(Journal::Recovered recovered, const std::string& exaconf_path);
  JobPtr revive(const JobRecord& record);

  void queue(JobPtr job) REQUIRES_LOCK(mutex_);
  void enqueue(JobPtr job) EXCLUDES(mutex_);
  void leave_queue(const Job& job) REQUIRES_LOCK(mutex_);
  void end_unstarted(const JobPtr& job);
  void start_planned(std::vector<JobPtr> jobs);
  std::vector<JobPtr> plan_now() REQUIRES_LOCK(mutex_);
  void run_job(const JobPtr& job);
  void execute(const JobPtr& job);
  bool run_elsewhere(const JobPtr& job);
  void publish(const JobPtr& job, exaconf::Transaction transaction);
  base::Result<exaconf::ConfigPtr> publish_early(exaconf::Transaction transaction);
  base::Status sync_publications() EXCLUDES(mutex_);
  void reach(const JobPtr& job, Stage stage, bool is_last = false) EXCLUDES(mutex_);
  void settle(Job& job) REQUIRES_LOCK(mutex_);
  void fail(const JobPtr& job, base::Code code, std::string text) EXCLUDES(mutex_);
  base::Status record_end(const JobPtr& job) EXCLUDES(mutex_);
  void release(const JobPtr& job, bool is_on_file) EXCLUDES(mutex_);
  void keep(const RecordPtr& record) REQUIRES_LOCK(mutex_);
  void end(const JobPtr& job) EXCLUDES(mutex_);
  void end_committed(const JobPtr& job) EXCLUDES(mutex_);
  void end_recorded(const JobPtr& job) EXCLUDES(mutex_);
  void note_publication(const JobPtr& job);
  void wait_far(JobId id, std::chrono::milliseconds timeout, std::function<void(base::Result<bool>)> done)
      EXCLUDES(mutex_);
  void look_far() EXCLUDES(mutex_);
  void refuse_unrecorded(const JobPtr& job, const base::Error& problem) EXCLUDES(mutex_);
  void decline(const JobPtr& job, base::Code code, std::string text,
               std::function<void(base::Result<JobId>)> accepted);
  static base::Status name_locks(Job& job);
  bool is_journaled(const Job& job) const;
  Durability durability(const Job& job) const;
  RecordPtr find_in_memory(JobId id) const EXCLUDES(mutex_);
  RecordPtr view_of(const Job& job) const REQUIRES_LOCK(mutex_);
  void keep_time() EXCLUDES(mutex_);
  void keep_house() EXCLUDES(mutex_);
  void record_later(RecordPtr record) EXCLUDES(mutex_);
  void record_now() EXCLUDES(mutex_);
  base::Status checkpoint() EXCLUDES(mutex_);

  const SchedulerOptions options_;
  exaconf::Store& store_;
  jobs::JobServices& services_;
  base::Log& log_;
  const Hooks hooks_;
  std::unique_ptr<IdCounter> ids_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<JobFiles> files_;

  mutable base::Mutex mutex_;
  base::CondVar idle_;   // a job left the running set
  base::CondVar time_;   // the time keeper's
  base::CondVar house_;  // the housekeeper's
  std::map<JobId, JobPtr> live_ GUARDED_BY(mutex_);
  // By order of submission; a modify job's entry for the planner is kept beside it, because many may wait.
  std::deque<JobPtr> read_queue_ GUARDED_BY(mutex_);
  std::vector<JobPtr> modify_queue_ GUARDED_BY(mutex_);
  std::vector<QueuedJob> modify_view_ GUARDED_BY(mutex_);
  std::size_t queued_ GUARDED_BY(mutex_) = 0;  // in a queue, or on the way into the journal
  std::map<std::string, std::size_t> queued_by_user_ GUARDED_BY(mutex_);
  Running running_ GUARDED_BY(mutex_);
  std::size_t telling_ GUARDED_BY(mutex_) = 0;  // jobs that have ended and whose callers are being told
  std::map<JobId, RecordPtr> recent_ GUARDED_BY(mutex_);
  std::deque<JobId> recent_order_ GUARDED_BY(mutex_);
  std::multimap<base::SteadyTime, Deadline> deadlines_ GUARDED_BY(mutex_);  // one a waiter
  std::vector<FarWait> far_waits_ GUARDED_BY(mutex_);                       // for jobs of other nodes
  bool asking_far_ GUARDED_BY(mutex_) = false;
  std::vector<RecordPtr> unrecorded_ GUARDED_BY(mutex_);            // ends the journal could not take yet
  std::optional<base::Error> lost_publication_ GUARDED_BY(mutex_);  // since the last sync_publications()
  std::uint64_t ended_ GUARDED_BY(mutex_) = 0;
  bool draining_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool house_due_ GUARDED_BY(mutex_) = false;
  std::atomic<bool> refused_by_disk_{false};

  std::vector<cluster::JobNote> publishing_ends_;  // publisher thread only
  std::size_t publishing_bytes_ = 0;               // of these
  std::unique_ptr<JobNotes> notes_;                // with several nodes
  std::unique_ptr<cluster::Publisher> publisher_;
  std::unique_ptr<WorkerPool> askers_;      // looks jobs up at other nodes
  std::unique_ptr<WorkerPool> readers_;     // looks single jobs up in files
  std::unique_ptr<WorkerPool> historians_;  // reads many files
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<WorkerPool> read_workers_;
  std::thread time_keeper_;
  std::thread housekeeper_;
};

}  // namespace confd::scheduler
