#include "daemon/archive_access.h"

#include <optional>

#include "base/text.h"
#include "services/archive_web.h"
#include "storage/local_archive_store.h"

namespace confd::daemon {

using base::MutexLock;
using rpc::HttpResponse;
using services::ArchiveRight;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kLookAgain{2};
// Longer than any delay of a refused login.
constexpr std::chrono::seconds kLoginPatience{60};

std::optional<storage::Volume> volume_of(const exaconf::Config& config, std::int64_t id) {
  const auto volumes = storage::volumes_of(config);
  const storage::Volume* volume = storage::find_volume(*volumes, id);
  if (volume == nullptr || volume->kind != storage::VolumeKind::archive) return std::nullopt;
  return *volume;
}

void refuse(rpc::StreamExchange& exchange, unsigned status, const std::string& text) {
  (void)exchange.send(services::archive_text(status, text)).ok();
}

}  // namespace

ArchiveAccess::ArchiveAccess(Parts parts) : parts_(std::move(parts)) {}

ArchiveAccess::~ArchiveAccess() {
  stop();
}

void ArchiveAccess::begin() {
  thread_ = std::thread([this] { run(); });
}

void ArchiveAccess::follow() {
  MutexLock lock(mutex_);
  ++asked_;
  wake_.notify_all();
}

void ArchiveAccess::stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  closing_.clear();
  doors_.clear();
}

void ArchiveAccess::run() {
  std::uint64_t seen = 0;
  MutexLock lock(mutex_);
  while (!stopping_) {
    seen = asked_;
    lock.unlock();
    const bool again = reconcile();
    lock.lock();
    const auto until = steady_clock::now() + kLookAgain;
    while (!stopping_ && seen == asked_) {
      if (!again)
        wake_.wait(mutex_);
      else if (wake_.wait_until(mutex_, until) == std::cv_status::timeout)
        break;
    }
  }
}

bool ArchiveAccess::reconcile() {
  std::map<ArchiveDoor::Place, std::string> wanted;
  const auto volumes = storage::volumes_of(*parts_.config());
  for (const storage::Volume& volume : *volumes)
    if (volume.kind == storage::VolumeKind::archive)
      for (const auto& [key, port] : volume.ports)
        wanted.emplace(ArchiveDoor::Place{volume.id, key, port}, volume.name);
  for (auto it = doors_.begin(); it != doors_.end();) {
    if (wanted.contains(it->first) && it->second->is_current()) {
      ++it;
      continue;
    }
    parts_.house.log.notice("port " + std::to_string(it->first.port) + " (" + it->first.kind +
                            ") of archive volume " + std::to_string(it->first.volume) + " is closed");
    it->second->close();
    closing_.push_back(std::move(it->second));
    it = doors_.erase(it);
  }
  std::erase_if(problems_, [&](const auto& problem) { return !wanted.contains(problem.first); });
  std::erase_if(closing_, [](const auto& door) { return door->has_ended(); });
  for (const auto& [place, volume] : wanted)
    if (!doors_.contains(place)) open(place, volume);
  return !closing_.empty() || doors_.size() < wanted.size();
}

void ArchiveAccess::open(const ArchiveDoor::Place& place, const std::string& volume) {
  auto door = std::make_unique<ArchiveDoor>(
      parts_.house, place,
      [this, id = place.volume](rpc::StreamExchange& exchange, const std::string& secret) {
        serve(id, exchange, secret);
      });
  const std::string what =
      "port " + std::to_string(place.port) + " (" + place.kind + ") of archive volume '" + volume + "' ";
  if (base::Status started = door->start(); !started) {
    std::string& known = problems_[place];
    if (known != started.error().text) parts_.house.log.err(what + "is not open: " + started.error().text);
    known = started.error().text;
    return;
  }
  problems_.erase(place);
  parts_.house.log.notice(what + "is open");
  doors_.emplace(place, std::move(door));
}

std::shared_ptr<const auth::Identity> ArchiveAccess::identify(rpc::StreamExchange& exchange,
                                                              const rpc::HttpRequest& head,
                                                              const std::string& volume) {
  struct Waiting {
    base::Mutex mutex;
    base::CondVar wake;
    std::optional<LoginResult> result GUARDED_BY(mutex);
  };
  const auto waiting = std::make_shared<Waiting>();
  parts_.gate.identify(head, [waiting](LoginResult result) {
    MutexLock lock(waiting->mutex);
    waiting->result = std::move(result);
    waiting->wake.notify_all();
  });
  const std::stop_token stop = exchange.stop();
  const std::stop_callback on_stop(stop, [waiting] {
    MutexLock lock(waiting->mutex);
    waiting->wake.notify_all();
  });
  const auto deadline = steady_clock::now() + kLoginPatience;
  MutexLock lock(waiting->mutex);
  while (!waiting->result && !stop.stop_requested())
    if (waiting->wake.wait_until(waiting->mutex, deadline) == std::cv_status::timeout) break;
  const LoginResult result = waiting->result.value_or(LoginResult{nullptr, true, {}});
  lock.unlock();
  if (result.identity) return result.identity;
  if (result.overloaded) {
    refuse(exchange, 503, "too many logins wait to be checked; try again");
    return nullptr;
  }
  HttpResponse response =
      services::archive_text(401, "volume '" + volume + "' wants a user and his password");
  response.headers.emplace_back("WWW-Authenticate",
                                "Basic realm=\"confd archive volume\", charset=\"UTF-8\"");
  (void)exchange.send(std::move(response)).ok();
  return nullptr;
}

bool ArchiveAccess::take_turn(const storage::Volume& volume, const std::string& user, std::string& other) {
  MutexLock lock(mutex_);
  const auto [writer, is_first] = writers_.emplace(volume.id, user);
  other = writer->second;
  return is_first;
}

void ArchiveAccess::end_turn(std::int64_t volume) {
  MutexLock lock(mutex_);
  writers_.erase(volume);
}

void ArchiveAccess::serve(std::int64_t id, rpc::StreamExchange& exchange, const std::string& secret) {
  const exaconf::ConfigPtr before = parts_.config();
  const auto named = volume_of(*before, id);
  rpc::HttpRequest head = exchange.request();
  if (!secret.empty()) {
    const std::string* shown = head.header("X-Confd-Door");
    const std::string* client = head.header("X-Confd-Client");
    if (shown == nullptr || client == nullptr || !base::constant_time_equal(*shown, secret))
      return refuse(exchange, 403, "this port is of confd's own programs");
    head.remote_address = *client;
  }
  const auto identity = identify(exchange, head, named ? named->name : std::to_string(id));
  if (!identity) return;
  const exaconf::ConfigPtr config = parts_.config();  // a login takes its time
  const auto volume = volume_of(*config, id);
  if (!volume) return refuse(exchange, 404, "there is no such archive volume any more");
  const rpc::HttpRequest& request = exchange.request();
  const auto right = services::right_for(request.method);
  if (!right) {
    HttpResponse response =
        services::archive_text(405, "the method " + request.method + " is not known here");
    response.headers.emplace_back("Allow", services::kArchiveMethods);
    (void)exchange.send(std::move(response)).ok();
    return;
  }
  const services::ArchiveUser user = services::archive_user(*config, *identity);
  const bool reads = request.method == "COPY" || request.method == "MOVE";
  for (const ArchiveRight needed : {*right, reads ? ArchiveRight::read : *right})
    if (!services::may(user, *volume, needed))
      return refuse(exchange, 403, services::refusal(user, *volume, needed));
  const std::string name = "volume '" + volume->name + "' ";
  if (volume->locked) return refuse(exchange, 423, name + "is locked; st_volume_unlock unlocks it");
  if (!volume->app_io)
    return refuse(exchange, 503,
                  name + "has its application I/O switched off (st_volume_set_io_status); wait");
  const bool alone = *right == ArchiveRight::write && !volume->shared;
  std::string other;
  if (alone && !take_turn(*volume, user.name, other))
    return refuse(exchange, 423, name + "is not shared, and user '" + other + "' writes to it; try again");
  struct Turn {  // ends with the request, however that ends
    ArchiveAccess* access;
    std::int64_t volume;
    ~Turn() {
      if (access) access->end_turn(volume);
    }
  };
  const Turn turn{alone ? this : nullptr, id};
  storage::LocalArchiveStore store(parts_.link, parts_.config, {.volume = id});
  services::answer_archive_request(exchange, store, volume->name);
}

}  // namespace confd::daemon
