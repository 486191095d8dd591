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
constexpr std::string_view kRoot = "root";

bool sees_all(const auth::Identity& who) {
  return who.user == kRoot || who.in("exaadm");
}

}  // namespace

bool Events::Subscription::is_heard() {
  if (stream && !presence->here) {
    last_listened = presence->left_at;
    stream.reset();
  }
  return stream != nullptr;
}

void Events::expire() {
  const auto now = clock_.steady_now();
  std::erase_if(subscriptions_, [&](const auto& entry) {
    return !entry.second->is_heard() && now - entry.second->last_listened > kUnheard;
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
  subscription->sees_all = sees_all(who);
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
  const auto presence = std::make_shared<Presence>();
  MutexLock lock(mutex_);
  const auto it = subscriptions_.find(id);
  if (it == subscriptions_.end() || it->second->user != who.user)
    return Error{Code::not_found, "There is no such subscription of user " + who.user +
                                      "; make one with the RPC method subscribe"};
  Subscription& subscription = *it->second;
  if (subscription.is_heard()) return Error{Code::busy, "Somebody listens to this subscription already"};
  auto stream = responder.begin_events([presence, &clock = clock_] {
    presence->left_at = clock.steady_now();
    presence->here = false;
  });
  std::string backlog = ": subscribed\n\n";
  if (subscription.dropped > 0)
    backlog += "event: dropped\ndata: {\"events\":" + std::to_string(subscription.dropped) + "}\n\n";
  for (const std::string& event : subscription.kept) backlog += event;
  // Written under the lock, so that no newer event gets in between; a write only hands bytes to the
  // connection. What a client that has gone already did not get is kept.
  if (stream->write(std::move(backlog))) {
    subscription.kept.clear();
    subscription.dropped = 0;
  }
  subscription.presence = presence;
  subscription.stream = std::move(stream);
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
    std::string event = "id: " + std::to_string(s->next++) + "\nevent: " + kind + "\ndata: " + text + "\n\n";
    if (s->is_heard() && s->stream->write(event)) continue;
    s->kept.push_back(std::move(event));
    if (s->kept.size() > kKept) {
      s->kept.pop_front();
      ++s->dropped;
    }
  }
}

void Events::refresh(const exaconf::Config& config) {
  if (!wanted()) return;
  std::vector<std::shared_ptr<Subscription>> ended;
  {
    MutexLock lock(mutex_);
    for (auto it = subscriptions_.begin(); it != subscriptions_.end();) {
      Subscription& s = *it->second;
      const exaconf::User* user = config.user(s.user);
      if (s.user == kRoot || (user && user->login_enabled)) {
        s.sees_all = sees_all(auth::identify(config, s.user, ""));
        ++it;
        continue;
      }
      ended.push_back(std::move(it->second));
      it = subscriptions_.erase(it);
    }
    wanted_ = subscriptions_.size();
  }
  for (const auto& subscription : ended)
    if (subscription->stream) subscription->stream->close();
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
