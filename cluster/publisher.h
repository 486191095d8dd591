// Publisher: makes transactions the revision in force; the only caller of exaconf::Store::commit(). One
// thread of its own.
//
// Group commit: all transactions waiting when it comes round share one write of the file, in order of
// arrival, while each gets its own revision number; the file holds the last of them. A transaction whose
// edits no longer apply, or whose result is not valid, fails alone. Before the write, `before_write` of each
// request tells its revision, so that the job record can be made durable first; one call of `sync_records`
// makes all of them durable. Revision numbers given out are never used again in this process, nor after a
// restart below `first_free` (P6).
//
// It also looks for hand edits of the file (Store::poll) every 500 ms.
// Thread-safety: publish() from any thread; callbacks run on the publisher's thread and must not block for
// long.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "cluster/agreed_store.h"
#include "exaconf/store.h"
#include "exaconf/transaction.h"

namespace confd::cluster {

struct Publication {
  std::int64_t base_revision = 0;  // the revision it was applied to
  std::int64_t revision = 0;       // the one it became
  // What the file holds after the shared write: the last revision of the batch. Recovery looks for this pair.
  std::int64_t written_revision = 0;
  std::string written_checksum;
  base::Value diff;         // against base_revision
  std::vector<int> behind;  // nodes that did not hold it in time; they catch up by themselves
};

struct PublishRequest {
  exaconf::Transaction transaction;
  std::function<void(const Publication&)> before_write;  // queue the record
  std::function<void(base::Result<Publication>)> done;   // published and durable, or why not
};

class Publisher {
 public:
  // `sync_records`: blocks until all records queued by before_write are durable. `on_edit`: a hand edit was
  // taken or refused. `on_revision`: after each visible change, with the new revision.
  struct Hooks {
    std::function<base::Status()> sync_records;
    std::function<void(const exaconf::Store::Edit&)> on_edit;
    std::function<void(exaconf::ConfigPtr)> on_revision;
    std::chrono::milliseconds look_every{500};
    // With several nodes. `agree`: makes `next` what all nodes are to hold; what it refuses is not written.
    // After it said ok the revision is in force, whatever becomes of this node. `when_held`: calls back when
    // the nodes that can be reached hold it, with those that do not (yet).
    std::function<base::Status(const exaconf::Config& base, const exaconf::Config& next)> agree;
    std::function<void(std::int64_t revision, std::function<void(std::vector<int> behind)> done)> when_held;
    // A node that is not master asks the master to take an edit by hand; without it `agree` is asked.
    exaconf::Store::Agree propose;
    std::function<void(const base::Error&)> on_problem;  // for the log
  };
  Publisher(exaconf::Store& store, std::int64_t first_free, Hooks hooks);
  ~Publisher();  // publishes what waits, then ends

  void publish(PublishRequest request) EXCLUDES(mutex_);
  // Takes up what was agreed on elsewhere, whatever this node holds; `done` when it is durable. What comes
  // too late, behind a publication of this node, is left out.
  void adopt(exaconf::ConfigPtr agreed, std::function<void(base::Status)> done) EXCLUDES(mutex_);
  // Takes an edit that was made by hand on another node on the revision `base`: it becomes the next revision
  // here, `done` gets it. Code::conflict: another revision is in force meanwhile.
  void take_edit(HeldRevision base, exaconf::ConfigPtr edited,
                 std::function<void(base::Result<exaconf::ConfigPtr>)> done) EXCLUDES(mutex_);
  exaconf::ConfigPtr current() const { return store_.current(); }

 private:
  void run();
  void publish_batch(std::vector<PublishRequest> batch);
  void look();
  struct FarEdit {
    HeldRevision base;
    exaconf::ConfigPtr edited;
    std::function<void(base::Result<exaconf::ConfigPtr>)> done;
  };
  base::Result<exaconf::ConfigPtr> publish_edit(const FarEdit& edit);
  void take_up(exaconf::ConfigPtr agreed, const std::function<void(base::Status)>& done);

  exaconf::Store& store_;
  const Hooks hooks_;
  std::int64_t next_revision_;        // publisher thread only
  std::int64_t agreed_revision_ = 0;  // the newest that agree() took; publisher thread only
  base::Mutex mutex_;
  base::CondVar wake_;
  std::vector<PublishRequest> waiting_ GUARDED_BY(mutex_);
  struct Adoption {
    exaconf::ConfigPtr config;
    std::function<void(base::Status)> done;
  };
  std::vector<Adoption> adoptions_ GUARDED_BY(mutex_);
  std::vector<FarEdit> far_edits_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace confd::cluster
