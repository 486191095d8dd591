#include "daemon/login_gate.h"

namespace confd::daemon {

using base::MutexLock;

LoginGate::LoginGate(Limits limits, auth::Login& login, std::function<exaconf::ConfigPtr()> config,
                     base::Log& log)
    : limits_(limits), login_(login), config_(std::move(config)), log_(log) {
  for (std::size_t i = 0; i < limits_.threads; ++i) threads_.emplace_back([this] { run(); });
}

LoginGate::~LoginGate() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  MutexLock lock(mutex_);
  for (Task& task : tasks_) task.done({nullptr, true, "confd is stopping"});
  for (auto& [when, refusal] : refusals_) refusal.done({nullptr, false, refusal.reason});
}

LoginResult LoginGate::identify_local(const rpc::HttpRequest& head) const {
  const exaconf::ConfigPtr config = config_();
  auto identity = auth::identify_local(*config, head.peer->uid);
  if (!identity) return {nullptr, false, identity.error().text};
  // confd_client -u: root may act as somebody else.
  if (const std::string* other = head.header("X-Confd-User"); other && *other != identity->user) {
    if (identity->user != "root")
      return {nullptr, false, "user " + identity->user + " may not act as " + *other + "; only root may"};
    if (!config->user(*other)) return {nullptr, false, "there is no user " + *other + " in EXAConf"};
    return {std::make_shared<const auth::Identity>(auth::identify(*config, *other, "local")), false, {}};
  }
  return {std::make_shared<const auth::Identity>(std::move(*identity)), false, {}};
}

void LoginGate::identify(const rpc::HttpRequest& head, std::function<void(LoginResult)> done) {
  if (head.peer) return done(identify_local(head));
  const std::string* authorization = head.header("Authorization");
  if (!authorization) return done({nullptr, false, "no credentials"});
  if (auto identity = login_.try_fast(*config_(), *authorization))
    return done({std::move(identity), false, {}});
  {
    MutexLock lock(mutex_);
    std::size_t& mine = waiting_by_address_[head.remote_address];
    if (tasks_.size() < limits_.queue && mine < limits_.queue_per_address) {
      ++mine;
      tasks_.push_back({*authorization, head.remote_address, std::move(done)});
      lock.unlock();
      wake_.notify_one();
      return;
    }
    if (mine == 0) waiting_by_address_.erase(head.remote_address);
  }
  done({nullptr, true, "too many logins wait to be checked"});
}

void LoginGate::run() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    const auto now = std::chrono::steady_clock::now();
    if (!refusals_.empty() && refusals_.begin()->first <= now) {
      Refusal refusal = std::move(refusals_.begin()->second);
      refusals_.erase(refusals_.begin());
      lock.unlock();
      refusal.done({nullptr, false, refusal.reason});
      lock.lock();
      continue;
    }
    if (tasks_.empty()) {
      if (refusals_.empty())
        wake_.wait(mutex_);
      else
        wake_.wait_until(mutex_, refusals_.begin()->first);
      continue;
    }
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    auth::Login::Outcome outcome = login_.verify(*config_(), task.authorization, task.address);
    if (outcome.identity) {
      task.done({std::move(outcome.identity), false, {}});
      task.done = nullptr;
      lock.lock();
    } else {
      log_.warn("login from " + task.address + " refused: " + outcome.reason);
      lock.lock();
      refusals_.emplace(std::chrono::steady_clock::now() + outcome.delay,
                        Refusal{outcome.reason, std::move(task.done)});
    }
    if (const auto mine = waiting_by_address_.find(task.address);
        mine != waiting_by_address_.end() && --mine->second == 0)
      waiting_by_address_.erase(mine);
  }
}

}  // namespace confd::daemon
