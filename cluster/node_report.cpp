#include "cluster/node_report.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "base/text.h"
#include "cluster/node_logs.h"

namespace confd::cluster {
namespace {

base::Error unreadable(std::string_view what) {
  return {base::Code::internal, "can't read " + std::string(what) + " of this node"};
}

// The number behind "Name:" in lines such as "MemTotal:  24684096 kB", in bytes.
std::optional<std::int64_t> kilobytes_of(std::string_view text, std::string_view name) {
  for (const std::string& line : base::split(text, '\n')) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    const std::string_view rest = base::trim(std::string_view(line).substr(name.size() + 1));
    const auto number = base::parse_int(rest.substr(0, rest.find(' ')));
    if (number) return *number * 1024;
  }
  return std::nullopt;
}

base::Result<base::Value> disk_space(const std::string& directory) {
  struct statvfs space {};
  if (::statvfs(directory.c_str(), &space) != 0)
    return base::Error{base::Code::io_error,
                       "can't read the free space of " + directory + ": " + std::strerror(errno)};
  const auto bytes = [&](fsblkcnt_t blocks) {
    return static_cast<std::int64_t>(blocks) * static_cast<std::int64_t>(space.f_frsize);
  };
  return base::Value(base::Struct{{"path", directory},
                                  {"total", bytes(space.f_blocks)},
                                  {"free", bytes(space.f_bfree)},
                                  {"available", bytes(space.f_bavail)}});
}

// "0.41 0.32 0.21 3/104 8357": load of 1, 5 and 15 minutes.
base::Result<base::Value> load_averages() {
  double load[3];
  if (::getloadavg(load, 3) != 3) return unreadable("the load");
  return base::Value(base::Array{load[0], load[1], load[2]});
}

class NodeReport {
 public:
  explicit NodeReport(NodeReportSources sources) : sources_(std::move(sources)) {}

  // The node does not boot again under a running confd: once read, it stays.
  base::Result<std::int64_t> boot_time() {
    {
      base::MutexLock lock(mutex_);
      if (boot_time_) return *boot_time_;
    }
    const auto text = sources_.files.read("/proc/stat");
    if (!text) return text.error();
    const auto boot_time = parse_boot_time(*text);
    if (!boot_time) return boot_time;
    base::MutexLock lock(mutex_);
    boot_time_ = *boot_time;
    return *boot_time_;
  }

  base::Result<base::Value> report() {
    const auto booted = boot_time();
    if (!booted) return booted.error();
    const auto meminfo = sources_.files.read("/proc/meminfo");
    if (!meminfo) return meminfo.error();
    auto memory = parse_memory(*meminfo);
    if (!memory) return memory;
    const auto uptime = sources_.files.read("/proc/uptime");
    if (!uptime) return uptime.error();
    const auto seconds_up = base::parse_int(uptime->substr(0, uptime->find('.')));
    if (!seconds_up) return unreadable("/proc/uptime");
    auto load = load_averages();
    if (!load) return load;
    auto disk = disk_space(sources_.root_directory);
    if (!disk) return disk;
    utsname names{};
    if (::uname(&names) != 0) return unreadable("the kernel's name");
    return base::Value(base::Struct{
        {"hostname", names.nodename},
        {"platform", std::string(names.sysname) + " " + names.machine},
        {"kernel", names.release},
        {"boot_time", *booted},
        {"uptime", *seconds_up},
        {"cores", static_cast<std::int64_t>(::sysconf(_SC_NPROCESSORS_ONLN))},
        {"load", std::move(*load)},
        {"memory", std::move(*memory)},
        {"disk", std::move(*disk)},
        {"confd_version", sources_.version},
    });
  }

 private:
  const NodeReportSources sources_;
  base::Mutex mutex_;
  std::optional<std::int64_t> boot_time_ GUARDED_BY(mutex_);
};

}  // namespace

base::Result<std::int64_t> parse_boot_time(std::string_view proc_stat) {
  for (const std::string& line : base::split(proc_stat, '\n'))
    if (line.starts_with("btime "))
      if (const auto seconds = base::parse_int(base::trim(std::string_view(line).substr(6)))) return *seconds;
  return unreadable("the boot time (btime in /proc/stat)");
}

base::Result<base::Value> parse_memory(std::string_view proc_meminfo) {
  static constexpr std::pair<std::string_view, std::string_view> kLines[] = {{"total", "MemTotal"},
                                                                             {"free", "MemFree"},
                                                                             {"available", "MemAvailable"},
                                                                             {"swap_total", "SwapTotal"},
                                                                             {"swap_free", "SwapFree"}};
  base::Struct memory;
  for (const auto& [name, line] : kLines) {
    const auto bytes = kilobytes_of(proc_meminfo, line);
    if (!bytes) return unreadable(std::string(line) + " in /proc/meminfo");
    memory.append(std::string(name), *bytes);
  }
  return base::Value(std::move(memory));
}

void register_node_operations(NodeControl& control, NodeReportSources sources) {
  register_log_operations(control, sources.files, sources.root_directory);
  const auto report = std::make_shared<NodeReport>(std::move(sources));
  const OperationTraits reads{.repeatable = true};
  control.register_operation(
      "node.boot_time",
      [report](const base::Struct&, std::stop_token) -> base::Result<base::Value> {
        const auto seconds = report->boot_time();
        if (!seconds) return seconds.error();
        return base::Value(base::Struct{{"boot_time", *seconds}});
      },
      reads);
  control.register_operation(
      "node.report", [report](const base::Struct&, std::stop_token) { return report->report(); }, reads);
}

}  // namespace confd::cluster
