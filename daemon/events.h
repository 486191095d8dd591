// Events: subscriptions to stages of jobs and to revisions of EXAConf, delivered as Server-Sent Events
// (docs/events.md).
//
// subscribe() gives an id; GET /events?subscription=ID with the same login opens the stream. Up to 256 events
// are kept while nobody listens, and sent first; beyond that the oldest are dropped, which an event `dropped`
// says. A subscription nobody listens to for five minutes ends, so does that of a user who may not log in any
// more. Thread-safety: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "auth/identity.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "base/value.h"
#include "exaconf/config.h"
#include "rpc/http_server.h"

namespace confd::daemon {

struct SubscriptionFilter {
  bool stages = true;
  bool revisions = true;
  std::string job_id;  // stages of this job only; empty = all the caller may see
};

class Events {
 public:
  Events(base::Clock& clock, base::Random& random, std::size_t per_user)
      : clock_(clock), random_(random), per_user_(per_user) {}

  // Error: Code::busy when the user has too many.
  base::Result<std::string> subscribe(const auth::Identity& who, SubscriptionFilter filter) EXCLUDES(mutex_);
  // False when there is none of that id for this user.
  bool unsubscribe(const auth::Identity& who, const std::string& id) EXCLUDES(mutex_);
  // Opens the stream. Error: Code::not_found, Code::busy when somebody listens already.
  base::Status listen(const auth::Identity& who, const std::string& id, const rpc::Responder& responder)
      EXCLUDES(mutex_);

  // Cheap when nobody has subscribed.
  bool wanted() const { return wanted_.load(std::memory_order_relaxed) > 0; }
  // `owner`: the user the event belongs to, empty = everybody's. `job_id` may be empty.
  void publish(const std::string& kind, const std::string& owner, const std::string& job_id,
               const base::Value& data) EXCLUDES(mutex_);
  // A new revision: what users may see has changed, or they are gone.
  void refresh(const exaconf::Config& config) EXCLUDES(mutex_);
  // Ends all streams.
  void close() EXCLUDES(mutex_);

 private:
  // Whether the listener is there. Its end is told in the middle of a write, that is under the lock: so
  // without it.
  struct Presence {
    std::atomic<bool> here{true};
    std::atomic<base::SteadyTime> left_at{};
  };
  struct Subscription {
    std::string user;
    bool sees_all = false;
    SubscriptionFilter filter;
    std::deque<std::string> kept;
    std::uint64_t dropped = 0;
    std::uint64_t next = 1;
    std::shared_ptr<rpc::EventStream> stream;
    std::shared_ptr<Presence> presence;  // of `stream`
    base::SteadyTime last_listened;

    // Is somebody listening? Lets go of one who has left.
    bool is_heard();
  };
  void expire() REQUIRES_LOCK(mutex_);

  base::Clock& clock_;
  base::Random& random_;
  const std::size_t per_user_;
  std::atomic<std::size_t> wanted_{0};
  base::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Subscription>> subscriptions_ GUARDED_BY(mutex_);
};

}  // namespace confd::daemon
