// JobNotes: the scheduler's side of the cluster's board of jobs (cluster/job_board.h), so that the next
// master can answer for the jobs of this one. Jobs whose id is told are posted before; others once they have
// run for a while; ends follow, and jobs of nodes that are gone are ended here when this node is master.
//
// One thread of its own does all calls of the board; what waits shares a call. Callbacks run on that thread
// and must not block for long. Thread-safety: any thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "cluster/job_board.h"
#include "scheduler/record.h"

namespace confd::scheduler {

// What the daemon offers. All of them block, for seconds at most.
struct JobBoardHooks {
  std::function<base::Status(const std::vector<cluster::JobNote>&)> post;
  std::function<base::Result<std::vector<std::optional<std::string>>>(const std::vector<cluster::JobNote>&)>
      end;
  std::function<base::Result<std::optional<cluster::JobBoard::Found>>(const std::string& id)> find;
  // When this node is master: open notes of nodes that do not live, and of this one.
  std::function<base::Result<std::vector<cluster::JobNote>>()> stranded;
  std::function<base::Status()> prune;
};

class JobNotes {
 public:
  // How long an end waits for the board before it is told all the same; it is put later then.
  static constexpr std::chrono::seconds kPatience{2};
  // A job that runs for longer is posted although nobody knows its id.
  static constexpr std::chrono::milliseconds kPostAfter{200};

  // `carries_on`: does this process have that job in hand?
  JobNotes(JobBoardHooks board, int own_node, base::Clock& clock, base::Log& log,
           std::function<bool(JobId)> carries_on);
  ~JobNotes();  // what waits is tried once more

  // `done`: the job is on the board, or why not.
  void post(const JobRecord& record, std::function<void(base::Status)> done) EXCLUDES(mutex_);
  // The same, unless the job ends before.
  void post_later(const JobRecord& record) EXCLUDES(mutex_);
  // Its end goes to the board with its revision.
  void forget(JobId id) EXCLUDES(mutex_);
  // `done`, when the job is on the board or with `must_know`: after the end was put, with another end that
  // counts instead, if there is one. Otherwise at once, on the caller's thread.
  void end(const JobRecord& record, bool must_know, std::function<void(std::optional<JobRecord>)> done)
      EXCLUDES(mutex_);
  // The end on the board, if there is one.
  std::optional<JobRecord> find_end(JobId id);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Post {
    JobId id;
    cluster::JobNote note;
    std::function<void(base::Status)> done;
  };
  struct End {
    JobId id;
    cluster::JobNote note;
    std::function<void(std::optional<JobRecord>)> done;  // empty: nobody waits
    Time give_up;
  };
  struct Later {
    cluster::JobNote note;
    Time due;
  };
  void run(std::stop_token stop);
  void put_posts(std::vector<Post> posts);
  void put_ends(std::vector<End> ends);
  void end_stranded();

  const JobBoardHooks board_;
  const int own_node_;
  base::Clock& clock_;
  base::Log& log_;
  const std::function<bool(JobId)> carries_on_;

  base::Mutex mutex_;
  base::CondVar wake_;
  std::vector<Post> posts_ GUARDED_BY(mutex_);
  std::vector<End> ends_ GUARDED_BY(mutex_);
  std::map<JobId, Later> later_ GUARDED_BY(mutex_);
  std::set<JobId> posted_ GUARDED_BY(mutex_);
  Time retry_at_ GUARDED_BY(mutex_);
  std::size_t since_prune_ = 0;  // the thread's
  std::jthread thread_;
};

// How a job ends that nobody carries on.
JobRecord interrupted(JobRecord record, int lost_node, base::WallTime now);

}  // namespace confd::scheduler
