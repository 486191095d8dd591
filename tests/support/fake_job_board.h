// FakeJobBoard: the cluster's board of jobs in memory. A test lets calls fail, and looks at what is there.
// Thread-safety: any thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "scheduler/job_notes.h"

namespace confd::test {

class FakeJobBoard {
 public:
  // Hooks that work on this board, which outlives their users.
  scheduler::JobBoardHooks hooks() {
    scheduler::JobBoardHooks made;
    made.post = [this](const std::vector<cluster::JobNote>& notes) -> base::Status {
      base::MutexLock lock(mutex_);
      if (away_) return base::Error{base::Code::no_quorum, "the store does not answer"};
      for (const auto& note : notes) open_[note.id] = note.text;
      return {};
    };
    made.end = [this](const std::vector<cluster::JobNote>& notes)
        -> base::Result<std::vector<std::optional<std::string>>> {
      base::MutexLock lock(mutex_);
      if (away_) return base::Error{base::Code::no_quorum, "the store does not answer"};
      std::vector<std::optional<std::string>> earlier;
      for (const auto& note : notes) {
        open_.erase(note.id);
        const auto [it, is_new] = ended_.emplace(note.id, note.text);
        earlier.push_back(is_new ? std::nullopt : std::optional(it->second));
      }
      return earlier;
    };
    made.find = [this](const std::string& id) -> base::Result<std::optional<cluster::JobBoard::Found>> {
      base::MutexLock lock(mutex_);
      if (away_) return base::Error{base::Code::no_quorum, "the store does not answer"};
      if (const auto it = ended_.find(id); it != ended_.end())
        return std::optional(cluster::JobBoard::Found{it->second, true});
      if (const auto it = open_.find(id); it != open_.end())
        return std::optional(cluster::JobBoard::Found{it->second, false});
      return std::optional<cluster::JobBoard::Found>();
    };
    made.stranded = [this]() -> base::Result<std::vector<cluster::JobNote>> {
      base::MutexLock lock(mutex_);
      std::vector<cluster::JobNote> notes;
      if (is_master_)
        for (const auto& [id, text] : open_) notes.push_back({id, text, {}});
      return notes;
    };
    made.prune = [] { return base::Status(); };
    return made;
  }
  void set_away(bool away) {
    base::MutexLock lock(mutex_);
    away_ = away;
  }
  void set_master(bool is_master) {
    base::MutexLock lock(mutex_);
    is_master_ = is_master;
  }
  void put_open(const std::string& id, std::string text) {
    base::MutexLock lock(mutex_);
    open_[id] = std::move(text);
  }
  void put_ended(const std::string& id, std::string text) {
    base::MutexLock lock(mutex_);
    ended_.emplace(id, std::move(text));
  }
  std::map<std::string, std::string> open() const {
    base::MutexLock lock(mutex_);
    return open_;
  }
  std::map<std::string, std::string> ended() const {
    base::MutexLock lock(mutex_);
    return ended_;
  }

 private:
  mutable base::Mutex mutex_;
  bool away_ GUARDED_BY(mutex_) = false;
  bool is_master_ GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> open_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> ended_ GUARDED_BY(mutex_);
};

}  // namespace confd::test
