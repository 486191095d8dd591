// LoginGate: finds out who a request comes from, before anything else of it is looked at. Password checks
// (milliseconds of crypt(3)) run on threads of its own; refusals are answered late, as auth::Login says,
// without holding a thread. Thread-safety: any thread. `done` runs once, on the caller's thread when no
// password check is needed, else on one of the gate's.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "auth/login.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "exaconf/config.h"
#include "rpc/http_message.h"

namespace confd::daemon {

struct LoginResult {
  std::shared_ptr<const auth::Identity> identity;  // null: refused
  bool overloaded = false;                         // too many logins wait: come back later
  std::string reason;                              // for the log
};

class LoginGate {
 public:
  struct Limits {
    std::size_t threads = 2;
    std::size_t queue = 500;
    std::size_t queue_per_address = 50;
  };
  LoginGate(Limits limits, auth::Login& login, std::function<exaconf::ConfigPtr()> config, base::Log& log);
  ~LoginGate();

  void identify(const rpc::HttpRequest& head, std::function<void(LoginResult)> done) EXCLUDES(mutex_);

 private:
  struct Task {
    std::string authorization;
    std::string address;
    std::function<void(LoginResult)> done;
  };
  struct Refusal {
    std::string reason;
    std::function<void(LoginResult)> done;
  };
  LoginResult identify_local(const rpc::HttpRequest& head) const;
  void run();

  const Limits limits_;
  auth::Login& login_;
  const std::function<exaconf::ConfigPtr()> config_;
  base::Log& log_;
  base::Mutex mutex_;
  base::CondVar wake_;
  std::deque<Task> tasks_ GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> waiting_by_address_ GUARDED_BY(mutex_);
  std::multimap<base::SteadyTime, Refusal> refusals_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace confd::daemon
