#include "daemon/archive_door.h"

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "base/mutex.h"
#include "base/program.h"
#include "base/text.h"
#include "storage/volume.h"

namespace confd::daemon {

using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using std::chrono::steady_clock;

namespace {

constexpr const char* kPython = "/usr/bin/python3";
// What is on its way when a port closes may end within this time.
constexpr std::chrono::seconds kFarewell{30};
constexpr std::chrono::seconds kFirstPause{1}, kLongestPause{30};
constexpr std::chrono::minutes kWentWell{1};

std::string program_folder() {
  std::error_code problem;
  const auto own = std::filesystem::read_symlink("/proc/self/exe", problem);
  return own.parent_path().string() + "/archive_doors";
}

std::string last_line(std::string_view text) {
  text = base::trim(text);
  return std::string(text.substr(text.rfind('\n') + 1));
}

std::string short_kind(const std::string& kind) {  // "SftpPort" -> "sftp"
  return base::to_lower(kind.substr(0, kind.size() - 4));
}

void pause(std::chrono::seconds time, const std::stop_token& stop) {
  base::Mutex mutex;
  base::CondVar wake;
  const std::stop_callback on_stop(stop, [&] {
    MutexLock lock(mutex);
    wake.notify_all();
  });
  const auto until = steady_clock::now() + time;
  MutexLock lock(mutex);
  while (!stop.stop_requested() && steady_clock::now() < until) wake.wait_until(mutex, until);
}

}  // namespace

ArchiveDoor::ArchiveDoor(const House& house, Place place, Serve serve)
    : house_(house), place_(std::move(place)), serve_(std::move(serve)) {}

ArchiveDoor::~ArchiveDoor() {
  programs_.clear();
  if (server_) server_->stop();
}

Status ArchiveDoor::start() {
  rpc::StreamServerOptions options;
  options.on_event = [&log = house_.log](const std::string& text) { log.warn(text); };
  if (is_program()) {
    secret_ = base::random_hex(house_.random, 32);
    options.endpoints.push_back({"127.0.0.1", 0});
    options.connections_per_address = options.connection_limit;  // all are the program's
  } else {
    for (const std::string& address : house_.addresses)
      options.endpoints.push_back({address, static_cast<std::uint16_t>(place_.port)});
    if (place_.kind == "HttpsPort") options.tls = house_.tls;
  }
  server_ = std::make_unique<rpc::StreamServer>(std::move(options), *this);
  if (Status started = server_->start(); !started) return started;
  return is_program() ? start_programs() : Status();
}

Status ArchiveDoor::start_programs() {
  const std::string kind = short_kind(place_.kind);
  for (const std::string& folder : {house_.root.archive_logs(), house_.root.archive_keys()})
    if (Status made = house_.files.make_directories(folder, 0700); !made) return made;
  base::Struct settings{{"kind", kind},
                        {"volume", storage::default_name(place_.volume)},
                        {"port", place_.port},
                        {"address", "127.0.0.1"},
                        {"inner_port", static_cast<std::int64_t>(server_->ports().front())},
                        {"secret", secret_},
                        {"host_key", house_.root.archive_keys() + "/sftp_host_key"}};
  if (kind == "ftps") {
    const auto certificate = house_.certificate();
    if (!certificate) return certificate.error();
    certificate_ = certificate->certificate_chain_pem;
    settings.set("certificate", certificate->certificate_chain_pem);
    settings.set("key", certificate->private_key_pem);
  }
  for (const std::string& address : house_.addresses) {
    settings.set("listen", address);
    settings.set("log", house_.root.archive_logs() + "/" + storage::default_name(place_.volume) + "." + kind +
                            "." + address + ".log");
    programs_.emplace_back([this, address, input = base::render_json(base::Value(settings))](
                               std::stop_token stop) { keep_running(address, input, stop); });
  }
  return {};
}

void ArchiveDoor::keep_running(const std::string& address, const std::string& input,
                               const std::stop_token& stop) {
  const std::string kind = short_kind(place_.kind);
  base::Program program;
  program.arguments = {kPython, program_folder() + (kind == "sftp" ? "/sftp_door.py" : "/ftp_door.py")};
  program.environment = base::plain_environment();
  program.environment.emplace_back("PYTHONDONTWRITEBYTECODE=1");
  program.environment.emplace_back("PYTHONWARNINGS=ignore");
  base::ProgramLimits limits;
  limits.timeout = std::chrono::hours(24 * 365 * 10);
  std::string said;
  auto wait = kFirstPause;
  while (!stop.stop_requested()) {
    const auto begun = steady_clock::now();
    const auto end = base::run_program(program, input, limits, stop);
    if (stop.stop_requested()) return;
    const std::string why = end ? last_line(end->errors) : end.error().text;
    if (why != said)
      house_.log.err("the " + kind + " server of archive volume " + std::to_string(place_.volume) + " at " +
                     address + " port " + std::to_string(place_.port) + " ended" +
                     (why.empty() ? "" : ": " + why) + "; it is started again");
    said = why;
    wait = steady_clock::now() - begun >= kWentWell ? kFirstPause : std::min(wait * 2, kLongestPause);
    pause(wait, stop);
  }
}

void ArchiveDoor::close() {
  programs_.clear();
  server_->stop_accepting();
  until_ = steady_clock::now() + kFarewell;
}

bool ArchiveDoor::has_ended() const {
  return server_->connections() == 0 || steady_clock::now() >= until_;
}

bool ArchiveDoor::is_current() const {
  if (certificate_.empty()) return true;
  const auto certificate = house_.certificate();
  return !certificate || certificate->certificate_chain_pem == certificate_;
}

}  // namespace confd::daemon
