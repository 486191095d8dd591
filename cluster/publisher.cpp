#include "cluster/publisher.h"

#include <algorithm>
#include <optional>

#include "base/failpoint.h"

namespace confd::cluster {

using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

Publisher::Publisher(exaconf::Store& store, std::int64_t first_free, Hooks hooks)
    : store_(store), hooks_(std::move(hooks)), next_revision_(first_free), thread_([this] { run(); }) {}

Publisher::~Publisher() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Publisher::publish(PublishRequest request) {
  {
    MutexLock lock(mutex_);
    waiting_.push_back(std::move(request));
  }
  wake_.notify_one();
}

void Publisher::adopt(exaconf::ConfigPtr agreed, std::function<void(Status)> done) {
  {
    MutexLock lock(mutex_);
    adoptions_.push_back({std::move(agreed), std::move(done)});
  }
  wake_.notify_one();
}

void Publisher::take_up(exaconf::ConfigPtr agreed, const std::function<void(Status)>& done) {
  // The watch saw it before this node published a later one; only the newest is tried again (a full disk).
  if (agreed->revision() < agreed_revision_) return done({});
  const exaconf::ConfigPtr before = store_.current();
  Status status;
  if (agreed->text() != before->text()) status = store_.adopt(agreed);
  // Numbers this node gave out itself and the cluster did not take are not given to another text here.
  next_revision_ = std::max(next_revision_, agreed->revision() + 1);
  done(status);
  if (status && agreed->text() != before->text() && hooks_.on_revision) hooks_.on_revision(agreed);
}

void Publisher::take_edit(HeldRevision base, exaconf::ConfigPtr edited,
                          std::function<void(Result<exaconf::ConfigPtr>)> done) {
  {
    MutexLock lock(mutex_);
    far_edits_.push_back({std::move(base), std::move(edited), std::move(done)});
  }
  wake_.notify_one();
}

Result<exaconf::ConfigPtr> Publisher::publish_edit(const FarEdit& edit) {
  const exaconf::ConfigPtr base = store_.current();
  if (HeldRevision{base->revision(), base->checksum()} != edit.base)
    return Error{base::Code::conflict,
                 "it was made on revision " + std::to_string(edit.base.revision) + ", and revision " +
                     std::to_string(base->revision()) +
                     " is in force meanwhile; make it again on the file that is there now"};
  auto sealed = exaconf::seal(edit.edited->document(), std::max(next_revision_, base->revision() + 1));
  if (!sealed) return sealed.error();
  next_revision_ = (*sealed)->revision() + 1;
  if (hooks_.agree) {
    if (const Status agreed = hooks_.agree(*base, **sealed); !agreed) return agreed.error();
    agreed_revision_ = (*sealed)->revision();
    if (const Status written = store_.adopt(*sealed); !written && hooks_.on_problem)
      hooks_.on_problem({written.error().code,
                         "revision " + std::to_string((*sealed)->revision()) +
                             " is in force, but this node could not write it: " + written.error().text});
  } else if (const Status written = store_.commit(*sealed); !written) {
    return written.error();
  }
  if (hooks_.on_revision) hooks_.on_revision(*sealed);
  return *sealed;
}

void Publisher::run() {
  auto next_look = std::chrono::steady_clock::now() + hooks_.look_every;
  for (;;) {
    std::vector<PublishRequest> batch;
    std::vector<Adoption> adoptions;
    std::vector<FarEdit> far_edits;
    bool stopping = false;
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && adoptions_.empty() && far_edits_.empty() && !stopping_ &&
             std::chrono::steady_clock::now() < next_look)
        wake_.wait_until(mutex_, next_look);
      batch.swap(waiting_);
      adoptions.swap(adoptions_);
      far_edits.swap(far_edits_);
      stopping = stopping_;
    }
    for (Adoption& one : adoptions) take_up(std::move(one.config), one.done);
    for (const FarEdit& edit : far_edits) edit.done(publish_edit(edit));
    if (!batch.empty()) publish_batch(std::move(batch));
    if (std::chrono::steady_clock::now() >= next_look) {
      look();
      next_look = std::chrono::steady_clock::now() + hooks_.look_every;
    }
    if (stopping) {
      MutexLock lock(mutex_);
      if (waiting_.empty()) return;
    }
  }
}

void Publisher::look() {
  const auto before = store_.current();
  exaconf::Store::Agree agree = hooks_.propose;
  if (!agree && hooks_.agree)
    agree = [this](const exaconf::Config& base, exaconf::ConfigPtr next) -> Result<exaconf::ConfigPtr> {
      if (const Status agreed = hooks_.agree(base, *next); !agreed) return agreed.error();
      agreed_revision_ = next->revision();
      return next;
    };
  const auto edit = store_.poll(next_revision_, agree);
  if (edit && hooks_.on_edit) hooks_.on_edit(*edit);
  if (const auto now = store_.current(); now != before && hooks_.on_revision) hooks_.on_revision(now);
}

void Publisher::publish_batch(std::vector<PublishRequest> batch) {
  struct Prepared {
    PublishRequest* request;
    Publication publication;
  };
  std::vector<Prepared> prepared;
  // An edit by hand that came first goes first: the jobs are put on top of it instead of being refused.
  look();
  const exaconf::ConfigPtr base = store_.current();
  exaconf::ConfigPtr head = base;
  for (PublishRequest& request : batch) {
    Publication publication;
    publication.base_revision = head->revision();
    // A hand edit may have moved the file past our counter.
    publication.revision = std::max(next_revision_, head->revision() + 1);
    exaconf::ConfigPtr next;
    Error problem;
    if (request.transaction.base() == head) {
      publication.diff = request.transaction.diff();
      auto sealed = exaconf::seal(request.transaction.document(), publication.revision);
      if (sealed)
        next = std::move(*sealed);
      else
        problem = sealed.error();
    } else if (auto rebased = request.transaction.rebased(head); rebased) {
      publication.diff = rebased->diff();
      auto sealed = exaconf::seal(rebased->document(), publication.revision);
      if (sealed)
        next = std::move(*sealed);
      else
        problem = sealed.error();
    } else {
      problem = rebased.error();
    }
    if (!next) {
      request.done(problem);
      continue;
    }
    next_revision_ = publication.revision + 1;
    head = std::move(next);
    prepared.push_back({&request, std::move(publication)});
  }
  if (prepared.empty()) return;

  for (Prepared& one : prepared) {
    one.publication.written_revision = head->revision();
    one.publication.written_checksum = head->checksum();
    one.request->before_write(one.publication);
  }
  Status status = hooks_.sync_records();
  CONFD_FAILPOINT("publisher.recorded");
  if (status && hooks_.agree) {
    status = hooks_.agree(*base, *head);
    CONFD_FAILPOINT("publisher.agreed");
    if (status) {
      agreed_revision_ = head->revision();
      // In force from here on. A node that can't write it down is behind, and takes it up again later.
      if (const Status written = store_.adopt(head); !written && hooks_.on_problem)
        hooks_.on_problem({written.error().code,
                           "revision " + std::to_string(head->revision()) +
                               " is in force, but this node could not write it: " + written.error().text});
    }
  } else if (status) {
    status = store_.commit(head);
  }
  CONFD_FAILPOINT("publisher.written");
  if (!status.ok() && status.error().code == base::Code::conflict)
    look();  // takes up or refuses the hand edit that was in the way
  if (status && hooks_.when_held) {
    if (hooks_.on_revision) hooks_.on_revision(head);
    auto held = std::make_shared<std::vector<Prepared>>(std::move(prepared));
    auto requests = std::make_shared<std::vector<PublishRequest>>(std::move(batch));
    hooks_.when_held(head->revision(), [held, requests](std::vector<int> behind) {
      for (Prepared& one : *held) {
        one.publication.behind = behind;
        one.request->done(std::move(one.publication));
      }
    });
    return;
  }
  for (Prepared& one : prepared) {
    if (status)
      one.request->done(std::move(one.publication));
    else
      one.request->done(status.error());
  }
  if (status && hooks_.on_revision) hooks_.on_revision(head);
}

}  // namespace confd::cluster
