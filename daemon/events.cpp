#include "daemon/events.h"

#include <vector>

#include "base/json.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {
constexpr std::size_t kKept = 256;
constexpr std::chrono::minutes kUnheard{5};
}  // namespace

void Events::expire() {
  const auto now = clock_.steady_now();
  std::erase_if(subscriptions_, [&](const auto& entry) {
    return !entry.second->stream && now - entry.second->last_listened > kUnheard;
  });
  wanted_ = subscriptions_.size();
}

Result<std::string> Events::subscribe(const auth::Identity& who, SubscriptionFilter filter) {
  const std::string id = base::random_hex(random_, 16);
  MutexLock lock(mutex_);
  expire();
  std::size_t mine = 0;
  for (const auto& [other, subscription] : subscriptions_) mine += subscription->user == who.user;
  if (mine >= per_user_)
    return Error{Code::busy, "User " + who.user + " has " + std::to_string(mine) +
                                 " subscriptions, which is the limit; end one with unsubscribe"};
  auto subscription = std::make_shared<Subscription>();
  subscription->user = who.user;
  subscription->sees_all = who.user == "root" || who.in("exaadm");
  subscription->filter = std::move(filter);
  subscription->last_listened = clock_.steady_now();
  subscriptions_[id] = std::move(subscription);
  wanted_ = subscriptions_.size();
  return id;
}

bool Events::unsubscribe(const auth::Identity& who, const std::string& id) {
  std::shared_ptr<rpc::EventStream> stream;
  {
    MutexLock lock(mutex_);
    const auto it = subscriptions_.find(id);
    if (it == subscriptions_.end() || it->second->user != who.user) return false;
    stream = std::move(it->second->stream);
    subscriptions_.erase(it);
    wanted_ = subscriptions_.size();
  }
  if (stream) stream->close();
  return true;
}

Status Events::listen(const auth::Identity& who, const std::string& id, const rpc::Responder& responder) {
  std::shared_ptr<Subscription> subscription;
  {
    MutexLock lock(mutex_);
    const auto it = subscriptions_.find(id);
    if (it == subscriptions_.end() || it->second->user != who.user)
      return Error{Code::not_found, "There is no such subscription of user " + who.user +
                                        "; make one with the RPC method subscribe"};
    if (it->second->stream) return Error{Code::busy, "Somebody listens to this subscription already"};
    subscription = it->second;
  }
  auto stream = responder.begin_events([this, weak = std::weak_ptr(subscription)] {
    MutexLock lock(mutex_);
    if (const auto gone = weak.lock()) {
      gone->stream.reset();
      gone->last_listened = clock_.steady_now();
    }
  });
  std::string backlog = ": subscribed\n\n";
  {
    MutexLock lock(mutex_);
    for (const std::string& event : subscription->kept) backlog += event;
    subscription->kept.clear();
    subscription->stream = stream;
    // Written under the lock, so that no newer event gets in between; a write only queues bytes for the
    // connection's own thread.
    stream->write(std::move(backlog));
  }
  return {};
}

void Events::publish(const std::string& kind, const std::string& owner, const std::string& job_id,
                     const base::Value& data) {
  if (!wanted()) return;
  const std::string text = base::render_json(data);
  MutexLock lock(mutex_);
  expire();
  for (const auto& [id, s] : subscriptions_) {
    if (kind == "stage" ? !s->filter.stages : !s->filter.revisions) continue;
    if (!owner.empty() && !s->sees_all && s->user != owner) continue;
    if (!s->filter.job_id.empty() && !job_id.empty() && s->filter.job_id != job_id) continue;
    std::string event = "id: " + std::to_string(s->next++) + "\nevent: " + kind + "\n";
    if (s->dropped > 0) event += ": " + std::to_string(s->dropped) + " earlier events were dropped\n";
    event += "data: " + text + "\n\n";
    if (s->stream && s->stream->write(event)) {
      s->dropped = 0;
      continue;
    }
    s->kept.push_back(std::move(event));
    if (s->kept.size() > kKept) {
      s->kept.pop_front();
      ++s->dropped;
    }
  }
}

void Events::close() {
  std::vector<std::shared_ptr<rpc::EventStream>> streams;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, subscription] : subscriptions_)
      if (subscription->stream) streams.push_back(std::move(subscription->stream));
    subscriptions_.clear();
    wanted_ = 0;
  }
  for (const auto& stream : streams) stream->close();
}

}  // namespace confd::daemon
