#include "storage/rclone.h"

#include <algorithm>
#include <cctype>

#include "base/secret_text.h"
#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::ProgramEnd;
using base::Result;
using base::Status;
using std::chrono::milliseconds;

namespace {

constexpr std::string_view kRemote = "volume";
constexpr std::size_t kLongestReason = 500;

// rclone's exit codes (rclone.org/docs, "List of exit codes").
constexpr int kNoFolder = 3;
constexpr int kNoFile = 4;

std::string section_name(std::size_t host) {
  return std::string(kRemote) + (host == 0 ? "" : std::to_string(host + 1));
}

// "2026/11/22 09:59:05 Failed to cat: directory not found" -> "Failed to cat: directory not found"
std::string_view without_time(std::string_view line) {
  constexpr std::string_view kShape = "0000/00/00 00:00:00 ";
  if (line.size() < kShape.size()) return line;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = std::isdigit(static_cast<unsigned char>(line[i])) != 0;
    if (kShape[i] == '0' ? !digit : line[i] != kShape[i]) return line;
  }
  return line.substr(kShape.size());
}

// "Failed to lsf with 2 errors: last error was: X" -> "X", "Failed to cat: X" -> "X", "ERROR : X" -> "X"
std::string_view cause_in(std::string_view line) {
  constexpr std::string_view kLast = "last error was: ";
  constexpr std::string_view kError = "ERROR : ";
  if (const std::size_t at = line.find(kLast); at != std::string_view::npos)
    return line.substr(at + kLast.size());
  if (line.starts_with(kError)) return line.substr(kError.size());
  const std::size_t colon = line.find(": ");
  return colon == std::string_view::npos ? line : line.substr(colon + 2);
}

// Without what rclone was doing, which its caller knows.
std::string_view without_task(std::string_view cause) {
  for (const std::string_view task : {"error in ListJSON: ", "error listing: ", "NewFs: "})
    if (const std::size_t at = cause.find(task); at != std::string_view::npos)
      cause.remove_prefix(at + task.size());
  return cause;
}

// The last word of rclone on why it failed.
std::string reason_in(const std::string& errors) {
  std::string reason;
  bool is_sum = false;
  for (const std::string& each : base::split(errors, '\n')) {
    const std::string_view line = base::trim(without_time(each));
    if (line.starts_with("Failed to ")) {
      reason = without_task(cause_in(line));
      is_sum = true;
    } else if (is_sum && line.starts_with("caused by: ")) {
      reason += ", " + std::string(line);
    } else if (!is_sum && line.starts_with("ERROR")) {
      reason = without_task(cause_in(line));
    } else if (reason.empty() && !line.starts_with("NOTICE") && !line.starts_with("INFO")) {
      reason = line;
    }
  }
  if (reason.size() > kLongestReason) reason = reason.substr(0, kLongestReason) + "...";
  return reason.empty() ? "rclone did not say why" : reason;
}

// The server is there, and has no such bucket, container or share; rclone has no exit code for it when it
// writes, nor for shares at all.
bool tells_of_nothing_there(std::string_view reason) {
  for (const std::string_view each :
       {"NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist", "Network Name Not Found"})
    if (reason.find(each) != std::string_view::npos) return true;
  return false;
}

std::string seconds_text(milliseconds time) {
  return std::to_string(std::max<std::int64_t>(1, time.count() / 1000)) + " s";
}

std::string go_duration(milliseconds time) {
  return std::to_string(std::max<std::int64_t>(1, time.count())) + "ms";
}

Error not_installed(const std::string& program, const Error& error) {
  if (error.code != Code::not_found) return error;
  return {Code::unsupported,
          "remote volumes need " + program + ", which is not there: apt-get install rclone on every node"};
}

}  // namespace

Result<std::vector<RcloneSetting>> with_obscured(const std::string& program,
                                                 std::vector<RcloneSetting> settings,
                                                 const Rclone::Limits& limits) {
  for (RcloneSetting& setting : settings) {
    if (!setting.obscured) continue;
    if (setting.value.find_first_of("\r\n") != std::string::npos)
      return Error{Code::bad_parameter, "a password must not hold line breaks"};
    base::ProgramLimits bounds;
    bounds.timeout = limits.timeout;
    const auto end = base::run_program({{program, "obscure", "-"}, base::plain_environment()},
                                       setting.value + "\n", bounds, limits.stop);
    if (!end) return not_installed(program, end.error());
    if (end->why == ProgramEnd::Why::stopped) return Error{Code::stopped, "the job was stopped"};
    if (end->why != ProgramEnd::Why::exited || end->status != 0)
      return Error{Code::internal, program + " can't obscure a password: " + reason_in(end->errors)};
    setting.value = base::trim(end->output);
    setting.obscured = false;
  }
  return settings;
}

Rclone::Rclone(base::FileSystem& files, RemoteVolume volume, RcloneRemote remote,
               const RcloneSettings& settings, std::string configuration)
    : files_(files),
      volume_(std::move(volume)),
      remote_(std::move(remote)),
      program_(settings.program),
      spool_(settings.spool),
      configuration_(std::move(configuration)) {}

Rclone::~Rclone() {
  (void)files_.remove(configuration_).ok();
}

Result<std::unique_ptr<Rclone>> Rclone::open(base::FileSystem& files, base::Random& random,
                                             const RcloneSettings& settings, const RemoteVolume& volume,
                                             const Limits& limits) {
  const std::string known_hosts = files.status(settings.known_hosts) ? settings.known_hosts : std::string();
  auto remote = rclone_remote(volume, known_hosts);
  if (!remote) return remote.error();
  std::string text;
  for (std::size_t host = 0; host < remote->sections.size(); ++host) {
    // Hosts differ in nothing but their address: the password is obscured once.
    if (host > 0)
      for (std::size_t i = 0; i < remote->sections[host].size(); ++i)
        if (remote->sections[host][i].obscured) remote->sections[host][i] = remote->sections[0][i];
    auto ready = with_obscured(settings.program, std::move(remote->sections[host]), limits);
    if (!ready) return ready.error();
    remote->sections[host] = std::move(*ready);
    const auto section = rclone_section(section_name(host), remote->sections[host]);
    if (!section) return section.error();
    text += *section;
  }
  for (const std::string& folder : {settings.folder, settings.spool})
    if (Status made = files.make_directories(folder, 0700); !made) return made.error();
  const std::string path = base::join_path(settings.folder, base::random_hex(random, 12) + ".conf");
  auto file = files.create(path, 0600);
  if (!file) return file.error();
  std::unique_ptr<Rclone> rclone(new Rclone(files, volume, std::move(*remote), settings, path));
  if (Status written = (*file)->append(text); !written) return written.error();
  file->reset();
  if (Status found = rclone->find_host(limits); !found) return found.error();
  return rclone;
}

std::string Rclone::place(const std::string& path) const {
  std::string place = section_name(host_) + ":" + remote_.root;
  if (!path.empty() && !remote_.root.empty() && remote_.root.back() != '/') place += '/';
  return place + path;
}

Status Rclone::find_host(const Limits& limits) {
  if (remote_.sections.size() < 2) return {};
  const auto until = std::chrono::steady_clock::now() + limits.timeout;
  std::vector<std::string> reasons;
  for (std::size_t host = 0; host < remote_.sections.size(); ++host) {
    const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    // Each gets its share of what is left, so that a silent one does not take it all.
    Limits share = limits;
    share.timeout = std::max(left / static_cast<int>(remote_.sections.size() - host), milliseconds(1));
    host_ = host;
    const auto end = run({{"lsf", "--max-depth", "1", place("")}}, share);
    if (end || end.error().code == Code::not_found) return {};
    if (end.error().code == Code::stopped) return end.error();
    reasons.push_back(end.error().text);
  }
  return Error{Code::io_error, "no host of the volume answers: " + base::join(reasons, "; ")};
}

Result<ProgramEnd> Rclone::run(const Call& call, const Limits& limits) const {
  // A server that is silent is given up then, whatever the call may take in all.
  const bool is_transfer = call.streams.input || call.streams.output;
  const milliseconds patience = is_transfer ? remote_.transfer_timeout : remote_.timeout;
  const milliseconds silence = std::min(patience, limits.timeout);
  base::Program program;
  program.arguments = {program_,
                       "--config=" + configuration_,
                       "--temp-dir=" + spool_,
                       "--ask-password=false",
                       "--retries=1",
                       std::string("--low-level-retries=") + (remote_.resumes ? "2" : "1"),
                       "--contimeout=" + go_duration(std::min<milliseconds>(remote_.timeout, limits.timeout)),
                       "--timeout=" + go_duration(silence),
                       "--stats=0"};
  program.arguments.insert(program.arguments.end(), remote_.flags.begin(), remote_.flags.end());
  program.arguments.insert(program.arguments.end(), call.arguments.begin(), call.arguments.end());
  program.environment = base::plain_environment();
  program.environment.insert(program.environment.end(), remote_.environment.begin(),
                             remote_.environment.end());
  base::ProgramLimits bounds;
  bounds.timeout = limits.timeout;
  bounds.grace = std::chrono::seconds(2);
  bounds.output = limits.output;
  auto end = base::run_streaming(program, call.streams, bounds, limits.stop);
  if (!end) {
    // Of a stream, unless rclone could not be started.
    if (end.error().text.starts_with("can't start ")) return not_installed(program_, end.error());
    return end.error();
  }
  if (end->why == ProgramEnd::Why::exited && end->status == 0) return end;
  if (end->why == ProgramEnd::Why::too_much_output) return end;
  return failure(*end, limits);
}

Error Rclone::failure(const ProgramEnd& end, const Limits& limits) const {
  const std::string volume = "remote volume '" + volume_.name + "'";
  std::string reason = reason_in(end.errors);
  base::mask_secret(reason, volume_.password);
  reason = base::without_secrets(std::move(reason));
  switch (end.why) {
    case ProgramEnd::Why::stopped:
      return {Code::stopped, volume + ": the job was stopped"};
    case ProgramEnd::Why::timed_out:
      return {Code::timeout, volume + ": its server did not answer within " + seconds_text(limits.timeout)};
    case ProgramEnd::Why::signalled:
      return {Code::io_error, volume + ": rclone was ended by signal " + std::to_string(end.status)};
    default:
      break;
  }
  const bool missing = end.status == kNoFolder || end.status == kNoFile || tells_of_nothing_there(reason);
  return {missing ? Code::not_found : Code::io_error, volume + ": " + reason};
}

void remove_left_files(base::FileSystem& files, const RcloneSettings& settings) {
  for (const std::string& folder : {settings.folder, settings.spool}) {
    const auto names = files.list(folder);
    if (!names) continue;
    for (const std::string& name : *names) (void)files.remove(base::join_path(folder, name)).ok();
  }
}

}  // namespace confd::storage
