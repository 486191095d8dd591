#include "services/local_platform.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <utility>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/text.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = "/etc/made_by_platform";
constexpr std::chrono::milliseconds kBetweenLooks{20};
constexpr std::size_t kLastWords = 400;

std::string node_text(int node) {
  return "node " + std::to_string(node);
}

std::vector<int> ids_in(const base::Struct& request) {
  std::vector<int> ids;
  if (const base::Value* nodes = request.find("nodes"); nodes != nullptr && nodes->is_array())
    for (const base::Value& node : nodes->as_array())
      if (const base::Value* id = node.find("nid"); id != nullptr && id->is_int())
        ids.push_back(static_cast<int>(id->as_int()));
  return ids;
}

bool same_path(const fs::path& a, const fs::path& b) {
  std::error_code problem;
  const fs::path one = fs::weakly_canonical(a, problem), other = fs::weakly_canonical(b, problem);
  return !problem && one == other;
}

void pause(const std::stop_token& stop) {
  base::Mutex mutex;
  base::CondVar wake;
  const std::stop_callback on_stop(stop, [&] {
    base::MutexLock lock(mutex);
    wake.notify_all();
  });
  const auto until = std::chrono::steady_clock::now() + kBetweenLooks;
  base::MutexLock lock(mutex);
  while (!stop.stop_requested() && wake.wait_until(mutex, until) == std::cv_status::no_timeout) {
  }
}

Error stopped() {
  return {Code::stopped, "the job was stopped by job_stop"};
}

std::string last_words(const std::string& path) {
  const auto text = base::system_file_system().read(path);
  if (!text) return "nothing is in " + path;
  const std::string_view words = base::trim(*text);
  return std::string(words.size() > kLastWords ? words.substr(words.size() - kLastWords) : words);
}

}  // namespace

Status LocalPlatform::check(PlatformAction action) const {
  switch (action) {
    case PlatformAction::nodes:
    case PlatformAction::metadata:
    case PlatformAction::start_nodes:
    case PlatformAction::stop_nodes:
    case PlatformAction::terminate_nodes:
    case PlatformAction::remove_nodes:
      return {};
    case PlatformAction::add_nodes:
      if (options_.can_join) return {};
      return Error{Code::unsupported,
                   "nodes can't be added: EXAConf is kept on this node alone (`cluster: store: local`); name "
                   "another store in etc/confd.yaml and start confd again"};
    default:
      return Error{Code::unsupported, "the provider local has only processes on this machine and can't do " +
                                          std::string(action_name(action)) +
                                          "; with `platform: provider: hook` a program of yours does it"};
  }
}

PlatformAnswer LocalPlatform::run(PlatformAction action, const base::Struct& request,
                                  const PlatformLimits& limits) {
  if (Status able = check(action); !able) return {able.error(), {}};
  const std::vector<int> nodes = ids_in(request);
  if (action == PlatformAction::nodes) return {base::Struct{{"nodes", states(nodes)}}, {}};
  if (action == PlatformAction::metadata)
    return {base::Struct{{"metadata", base::Struct{{"folder", options_.folder},
                                                   {"program", options_.program},
                                                   {"started_by", options_.systemd_run.empty()
                                                                      ? "confd, as detached processes"
                                                                      : "systemd, as transient units"}}}},
            {}};
  for (const int node : nodes)
    if (node == options_.own_node)
      return {Error{Code::wrong_state, node_text(node) + " is this one, which carries the action out"}, {}};
  if (Status mine = turn_.take(limits); !mine) return {mine.error(), {}};
  log_.clear();
  const Status done = change(action, nodes, request, limits);
  std::string log = std::move(log_);
  turn_.give_up();
  if (!done) return {done.error(), std::move(log)};
  return {base::Struct(), std::move(log)};
}

Status LocalPlatform::change(PlatformAction action, const std::vector<int>& nodes,
                             const base::Struct& request, const PlatformLimits& limits) {
  switch (action) {
    case PlatformAction::start_nodes:
      for (const int node : nodes)
        if (Status done = start(node, limits); !done) return done;
      return {};
    case PlatformAction::add_nodes:
      return add(nodes, request, limits);
    case PlatformAction::remove_nodes:
      return remove(nodes, limits);
    default:  // stop_nodes, terminate_nodes: here a machine is a process
      return stop(nodes, limits);
  }
}

void LocalPlatform::note(const std::string& line) {
  log_ += line + "\n";
}

std::string LocalPlatform::root_of(int node) const {
  return node == options_.own_node ? options_.own_root : options_.folder + "/n" + std::to_string(node);
}

bool LocalPlatform::is_node_root(const std::string& root) const {
  std::error_code none;
  return fs::exists(root + "/etc/EXAConf", none);
}

std::optional<base::ProcessHandle> LocalPlatform::process_of(int node) const {
  const std::string root = root_of(node);
  const auto text = base::system_file_system().read(root + "/run/confd.pid");
  const auto id = text ? base::parse_int(base::trim(*text)) : std::nullopt;
  if (!id) return std::nullopt;
  return base::ProcessHandle::find(
      static_cast<pid_t>(*id), options_.program,
      [&](const std::vector<std::string>& arguments, const std::string& directory) {
        for (std::size_t i = 0; i < arguments.size(); ++i) {
          if (arguments[i].starts_with("--root="))
            return same_path(fs::path(directory) / arguments[i].substr(7), root);
          if (arguments[i] == "--root" && i + 1 < arguments.size())
            return same_path(fs::path(directory) / arguments[i + 1], root);
        }
        return false;
      });
}

// Those that were asked for, and those whose roots lie there besides.
base::Struct LocalPlatform::states(const std::vector<int>& asked) const {
  std::set<int> ids(asked.begin(), asked.end());
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(options_.folder, none)) {
    const std::string name = entry.path().filename();
    const auto id = name.starts_with("n") ? base::parse_int(name.substr(1)) : std::nullopt;
    if (id && *id > 0 && *id <= 1'000'000 && is_node_root(entry.path())) ids.insert(static_cast<int>(*id));
  }
  base::Struct nodes;
  for (const int id : ids) {
    const std::string root = root_of(id);
    base::Struct one{{"state", "absent"}, {"root", root}};
    if (id == options_.own_node) {
      one.set("state", "running");
      one.append("process", static_cast<std::int64_t>(::getpid()));
    } else if (const auto process = process_of(id)) {
      one.set("state", "running");
      one.append("process", static_cast<std::int64_t>(process->id()));
    } else if (is_node_root(root)) {
      one.set("state", "stopped");
    }
    nodes.append(std::to_string(id), std::move(one));
  }
  return nodes;
}

Status LocalPlatform::start(int node, const PlatformLimits& limits) {
  const std::string root = root_of(node);
  if (process_of(node)) {
    note(node_text(node) + " runs already");
    return {};
  }
  if (!is_node_root(root))
    return Error{Code::not_found, node_text(node) + " has no root at " + root +
                                      ": the provider local starts nodes that have theirs there; "
                                      "infra_instances_add makes them, and a link to another place will do"};
  return launch(node, limits);
}

// Returns when the node serves: it writes its process id then.
Status LocalPlatform::launch(int node, const PlatformLimits& limits) {
  const std::string root = root_of(node);
  const std::string output = root + "/logs/confd.out";
  base::Program program{{options_.program, "--root", root}, base::plain_environment(), "/"};
  if (options_.port) {
    program.arguments.emplace_back("--port");
    program.arguments.push_back(std::to_string(*options_.port));
  }
  std::error_code ignored;
  fs::create_directories(root + "/logs", ignored);
  fs::remove(root + "/run/confd.pid",
             ignored);  // of a confd that was killed: its number may be another's now
  pid_t started = 0;
  if (options_.systemd_run.empty()) {
    const auto id = base::start_detached(program, output);
    if (!id) return id.error();
    started = *id;
  } else {
    const std::size_t mark = std::hash<std::string>()(root) % 1'000'000;
    base::Program unit{{options_.systemd_run}, base::plain_environment(), "/"};
    if (::geteuid() != 0) unit.arguments.emplace_back("--user");
    for (const std::string& each :
         {std::string("--quiet"), std::string("--collect"), std::string("--property=TimeoutStopSec=60"),
          "--unit=confd-n" + std::to_string(node) + "-" + std::to_string(mark), std::string("--")})
      unit.arguments.push_back(each);
    unit.arguments.insert(unit.arguments.end(), program.arguments.begin(), program.arguments.end());
    unit.environment.insert(unit.environment.end(), options_.systemd_environment.begin(),
                            options_.systemd_environment.end());
    base::ProgramLimits bounds;
    bounds.timeout = std::min(limits.timeout, options_.start_patience);
    const auto end = base::run_program(unit, {}, bounds, limits.stop);
    if (!end) return end.error();
    if (end->why != base::ProgramEnd::Why::exited || end->status != 0)
      return Error{Code::job_error,
                   "systemd did not start " + node_text(node) + ": " + std::string(base::trim(end->errors))};
  }
  const auto until = std::chrono::steady_clock::now() + std::min(limits.timeout, options_.start_patience);
  const auto runs_still = [&] {
    return started == 0 || base::ProcessHandle::find(started, options_.program,
                                                     [](const auto&, const auto&) { return true; });
  };
  for (bool runs = true;; runs = runs_still()) {
    if (const auto process = process_of(node)) {
      note(node_text(node) + " runs as process " + std::to_string(process->id()));
      return {};
    }
    if (limits.stop.stop_requested()) return stopped();
    if (!runs) return Error{Code::job_error, node_text(node) + " ended at once: " + last_words(output)};
    if (std::chrono::steady_clock::now() >= until)
      return Error{Code::timeout,
                   node_text(node) + " does not serve yet; see " + root + "/logs/logd/ConfD.log"};
    pause(limits.stop);
  }
}

Status LocalPlatform::stop(const std::vector<int>& nodes, const PlatformLimits& limits) {
  std::vector<std::pair<int, base::ProcessHandle>> ending;
  for (const int node : nodes) {
    auto process = process_of(node);
    if (!process) {
      note(node_text(node) + " does not run");
      continue;
    }
    if (Status sent = process->signal(SIGTERM); !sent) return sent;
    note(node_text(node) + ": process " + std::to_string(process->id()) + " was asked to end");
    ending.emplace_back(node, std::move(*process));
  }
  const auto until = std::chrono::steady_clock::now() + limits.timeout;
  for (const auto& [node, process] : ending) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (process.wait_until_gone(std::max(left, std::chrono::milliseconds(0)), limits.stop)) continue;
    if (limits.stop.stop_requested()) return stopped();
    return Error{Code::timeout, node_text(node) + " did not end within " +
                                    std::to_string(limits.timeout.count() / 1000) +
                                    " s; it was asked to and goes on ending"};
  }
  return {};
}

Status LocalPlatform::add(const std::vector<int>& nodes, const base::Struct& request,
                          const PlatformLimits& limits) {
  const base::Value* join_info = request.find("join");
  const base::Value* address = join_info == nullptr ? nullptr : join_info->find("address");
  const base::Value* tokens = join_info == nullptr ? nullptr : join_info->find("tokens");
  if (address == nullptr || tokens == nullptr)
    return Error{Code::unsupported, "nodes can't be added: no join tokens can be made here"};
  // So that the next master finds this node, too.
  const std::string own = options_.folder + "/n" + std::to_string(options_.own_node);
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(own, ignored)))
    fs::create_directory_symlink(options_.own_root, own, ignored);
  for (const int node : nodes) {
    if (is_node_root(root_of(node))) continue;  // an earlier call came as far as this
    const base::Value* token = tokens->find(std::to_string(node));
    if (token == nullptr || !token->is_string())
      return Error{Code::internal, node_text(node) + " has no join token"};
    if (Status done = join(node, address->as_string(), token->as_string(), limits); !done) return done;
  }
  for (const int node : nodes)
    if (Status done = start(node, limits); !done) return done;
  return {};
}

Status LocalPlatform::join(int node, const std::string& address, const std::string& token,
                           const PlatformLimits& limits) {
  base::FileSystem& files = base::system_file_system();
  const std::string root = root_of(node);
  if (Status done = files.make_directories(root + "/etc", 0700); !done) return done;
  if (Status done = base::replace_file(files, root + std::string(kMark),
                                       "by " + node_text(options_.own_node) + "\n", 0600);
      !done)
    return done;
  if (!options_.settings.empty())
    if (Status done = base::replace_file(files, root + "/etc/confd.yaml", options_.settings, 0600); !done)
      return done;
  const std::string host = address.find(':') == std::string::npos ? address : "[" + address + "]";
  const base::Program program{{options_.program, "--root", root, "--join",
                               host + ":" + std::to_string(options_.join_port), "--token-file", "-"},
                              base::plain_environment(),
                              "/"};
  base::ProgramLimits bounds;
  bounds.timeout = limits.timeout;
  const auto end = base::run_program(program, token + "\n", bounds, limits.stop);
  if (!end) return end.error();
  if (end->why == base::ProgramEnd::Why::stopped) return stopped();
  if (end->why != base::ProgramEnd::Why::exited || end->status != 0)
    return Error{Code::job_error,
                 node_text(node) + " could not join: " + std::string(base::trim(end->errors))};
  note(node_text(node) + " joined, its root is " + root);
  return {};
}

Status LocalPlatform::remove(const std::vector<int>& nodes, const PlatformLimits& limits) {
  if (Status done = stop(nodes, limits); !done) return done;
  for (const int node : nodes) {
    const std::string root = root_of(node);
    std::error_code problem;
    if (!fs::exists(root, problem)) continue;
    if (fs::is_symlink(root, problem) || !fs::exists(root + std::string(kMark), problem)) {
      note(node_text(node) + ": " + root + " was not made by infra_instances_add and stays");
      continue;
    }
    // The mark goes last: what a crash leaves half deleted is deleted by the next call.
    for (const auto& entry : fs::directory_iterator(root, problem))
      if (entry.path().filename() != "etc") fs::remove_all(entry.path(), problem);
    for (const auto& entry : fs::directory_iterator(root + "/etc", problem))
      if (entry.path() != root + std::string(kMark)) fs::remove_all(entry.path(), problem);
    fs::remove_all(root, problem);
    if (problem)
      return Error{Code::io_error,
                   "can't delete " + root + " of " + node_text(node) + ": " + problem.message()};
    note(node_text(node) + ": " + root + " was deleted");
  }
  return {};
}

}  // namespace confd::services
