#include "storage/remote_volume_probe.h"

#include <algorithm>

#include "storage/rclone_store.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Value;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::size_t kProbeSize = 4096;  // bytes
constexpr seconds kLongest{80};
constexpr seconds kOfPeer{100};  // that plus the way

RemoteProbe failed(const Error& error) {
  const bool not_mounted = error.code == Code::not_found || error.code == Code::unsupported;
  return {std::string(not_mounted ? kUnmounted : kConnectionProblem), error.text};
}

// Writes, reads back, compares, removes.
Status try_access(ArchiveStore& store, base::Random& random, const ArchiveLimits& limits) {
  const std::string path = "confd-probe-" + base::random_hex(random, 8);
  const std::string text = base::random_alphanumeric(random, kProbeSize);
  const auto in_step = [](const char* step, const Error& error) -> Status {
    return Error{error.code, std::string(step) + ": " + error.text};
  };
  bool given = false;
  const auto put = store.put(
      path, [&](std::size_t) -> Result<std::string> { return std::exchange(given, true) ? "" : text; },
      kProbeSize, limits);
  if (!put) return in_step("a file can't be written", put.error());
  std::string read;
  const auto got = store.get(
      path, 0,
      [&](std::string_view piece) -> Status {
        read += piece;
        return {};
      },
      limits);
  const Status removed = store.remove(path, limits);
  if (!got) return in_step("a file that was just written can't be read", got.error());
  if (read != text)
    return Error{Code::io_error, "a file that was just written is read back with another content"};
  if (!removed) return in_step("a file that was just written can't be removed", removed.error());
  return {};
}

}  // namespace

Result<RemoteProbe> probe_remote_volume(base::FileSystem& files, base::Random& random,
                                        const RcloneSettings& settings, const RemoteVolume& volume,
                                        bool write, const std::stop_token& stop) {
  const auto options = parse_remote_options(volume.options);
  if (!options) return failed(options.error());
  // Of each step; the seconds are for the machine, which may be busy.
  const ArchiveLimits limits{
      std::min<milliseconds>(options->timeout + seconds(5), kLongest / (write ? 2 : 1)), stop};
  auto store = RcloneStore::open(files, random, settings, volume, limits);
  Status done = store ? Status() : Status(store.error());
  if (done) done = write ? try_access(**store, random, limits) : (*store)->check_reachable(limits);
  if (done) return RemoteProbe{std::string(kOnline), ""};
  if (done.error().code == Code::stopped) return done.error();
  return failed(done.error());
}

void register_remote_volume_operations(cluster::NodeControl& nodes, base::FileSystem& files,
                                       base::Random& random, const RcloneSettings& settings) {
  cluster::OperationTraits traits;
  traits.repeatable = true;
  traits.timeout = kOfPeer;
  traits.params = {{"volume", Value::Type::structure}, {"write", Value::Type::boolean}};
  nodes.register_operation(
      "remote_volume.probe",
      [&files, &random, settings](const base::Struct& params, std::stop_token stop) -> Result<Value> {
        const auto volume = remote_volume_of(params.find("volume")->as_struct());
        if (!volume) return volume.error();
        const auto probe =
            probe_remote_volume(files, random, settings, *volume, params.find("write")->as_bool(), stop);
        if (!probe) return probe.error();
        base::Struct result{{"state", probe->state}};
        if (!probe->reason.empty()) result.append("reason", probe->reason);
        return Value(std::move(result));
      },
      traits);
}

}  // namespace confd::storage
