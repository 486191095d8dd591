// NodeStorage: the devices of this node and the segments on them. The daemon has one; jobs reach it through
// the node operations storage.* (node_storage_operations.h), services of this node call it directly.
//
// Changes run one after the other, each durable in the superblocks before it is reported; none holds a lock
// while it writes, so that reports and questions for room never wait for a disk. After a failed change the
// superblocks are read again: what they say is what is. A segment lies on one or more devices of one disk;
// its home device has the whole record and, beside it, the folder with its content. Order of a change, and
// what a crash in it leaves:
//   allocate  claims on the other devices, folder, record on the home  | claims without record: given back at
//                                                                      | start; an empty folder, taken next
//                                                                      | time
//   grow      claims on the others, record on the home                 | as before, or grown
//   shrink    record on the home, claims on the others                 | as before, or shrunk
//   free      record marked, folder, claims, record                    | finished at start when it was marked
// docs/storage-devices.md has the crash table. Thread-safety: any thread, but never an I/O thread: these
// functions read and write files.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "exaconf/config.h"
#include "storage/device_specs.h"

namespace confd::storage {

struct Partition {
  std::string device;  // name
  std::uint64_t start_sector = 0, sectors = 0;
  friend bool operator==(const Partition&, const Partition&) = default;
};

struct LocalSegment {
  SegmentId id;
  std::uint64_t blocks = 0, block_size = 0;
  SegmentKind kind = SegmentKind::data;
  std::string disk;
  // OFFLINE as well when a device or the folder of it is missing, with the reason.
  SegmentState state = SegmentState::online;
  std::string reason;
  std::string folder;
  std::vector<Partition> partitions;
  std::uint64_t bytes() const { return blocks * block_size; }
};

struct SegmentRequest {
  SegmentId id;
  std::uint64_t blocks = 0, block_size = kDefaultBlockSize;
  std::string disk;
  SegmentKind kind = SegmentKind::data;
  SegmentState state = SegmentState::online;
};

// Which parameters st_device_modify gives; the others stay.
struct DeviceChange {
  std::optional<std::string> disk;
  std::optional<std::uint64_t> num_sectors;  // with the superblock region; 0 = all there are
  std::optional<std::uint64_t> sector_size;
  std::optional<bool> read_only;
};

class NodeStorage {
 public:
  using Options = StoragePlace;
  // All of it outlives this. `log` may be null.
  struct Services {
    StorageFiles& files;
    base::Clock& clock;
    base::Random& random;
    base::Log* log = nullptr;
  };
  NodeStorage(Options options, Services services);
  ~NodeStorage();

  // Takes the devices into use that EXAConf gives this node, lets go of unused ones that it no longer has,
  // and finishes what a crash left. What is wrong with a device is in its report and in the log. Error:
  // Code::timeout when another change does not end.
  base::Status apply(const exaconf::Config& config);
  // Measures usage every few seconds, warns in the log where SpaceWarnThreshold is passed, takes devices into
  // use that came back, and applies what follow() hands it. Ends with this object.
  void begin_watch();
  // A new revision: the watch applies it soon. Never waits.
  void follow(exaconf::ConfigPtr config);
  // One round of it.
  void watch_once(std::stop_token stop);

  int node() const { return options_.node; }
  std::vector<Device> devices() const;
  std::vector<LocalSegment> segments() const;
  std::optional<LocalSegment> segment(const SegmentId& id) const;
  // Bytes that the files of the segment take, by the last measure and what has_room() allowed since. Nothing
  // when it was not measured yet.
  std::optional<std::uint64_t> last_used_bytes(const SegmentId& id) const;
  // The same; measured now when it never was.
  base::Result<std::uint64_t> used_bytes(const SegmentId& id, std::stop_token stop);
  base::Result<std::uint64_t> used_bytes(const LocalSegment& segment, std::stop_token stop);
  // May a service write that much more into the segment's folder? Counts what it allowed until usage is
  // measured anew: ask for every piece when it is written. Errors: Code::busy when the segment, or the file
  // system below it, is full; the text says how full; Code::wrong_state, Code::not_found.
  base::Status has_room(const SegmentId& id, std::uint64_t bytes, std::stop_token stop);
  // MiB/s that Recovery takes without a BgRecLimit, for the node's report; 0: not measured yet.
  void tell_recovery_limit(std::uint64_t mib_per_second) { recovery_limit_ = mib_per_second; }
  std::uint64_t recovery_limit() const { return recovery_limit_; }
  // What is fuller than SpaceWarnThreshold allows: "disk disk1 is 93 % full: ...".
  std::vector<std::string> space_warnings() const;

  // All of these: Code::stopped, Code::timeout when others change things for too long, Code::io_error,
  // Code::wrong_state with the device or segment that can't.
  // The same request again is fine and changes nothing. Errors: Code::busy with what is free where;
  // Code::exists when the segment is there with other numbers, or files are in the place of its folder;
  // Code::not_found for a disk without devices.
  base::Result<LocalSegment> allocate(const SegmentRequest& request, std::stop_token stop);
  // Fine when it is not there.
  base::Status free(const SegmentId& id, std::stop_token stop);
  // Grows or shrinks to `blocks`. Errors also: Code::not_found; Code::wrong_state when more is used than
  // would be left.
  base::Result<LocalSegment> resize(const SegmentId& id, std::uint64_t blocks, std::stop_token stop);
  // Empties the folder (0, or more than it holds), or overwrites that many bytes with zeroes.
  base::Status clear(const SegmentId& id, std::uint64_t num_bytes, std::stop_token stop);
  // RECOVERING makes a missing folder anew; without one, ONLINE is Code::wrong_state.
  base::Status set_state(const SegmentId& id, SegmentState state, std::stop_token stop);

  // `spec.name` and `spec.disk` given, path and folder are found here. No segment goes on it before EXAConf
  // names it, which apply() or use_device() tells.
  base::Status add_device(DeviceSpec spec, std::stop_token stop);
  base::Status use_device(const std::string& name, std::stop_token stop);
  base::Status modify_device(const std::string& name, const DeviceChange& change, std::stop_token stop);
  // Code::wrong_state when segments are on it. Its superblock is erased.
  base::Status remove_device(const std::string& name, std::stop_token stop);
  base::Status disable_device(const std::string& name, std::stop_token stop);
  base::Status enable_device(const std::string& name, std::stop_token stop);
  base::Status enlarge_device(const std::string& name, std::uint64_t num_sectors, std::stop_token stop);
  base::Status clear_device_errors(const std::string& name, std::stop_token stop);

 private:
  using Devices = std::vector<Device>;
  struct Usage {
    std::uint64_t bytes = 0;
    std::uint64_t allowed = 0;  // by has_room() since
    base::SteadyTime measured;
    base::SteadyTime::duration took{};  // to measure it
  };
  // The turn to change things, and the copy that is changed.
  class Change;

  std::shared_ptr<const Devices> snapshot() const;
  // With the files looked at: what vanished is offline.
  std::shared_ptr<const Devices> looked() const;
  DeviceSpec located(DeviceSpec spec) const {
    return storage::located(services_.files, options_, std::move(spec));
  }
  void note(base::LogLevel level, const std::string& text) const;
  void report_new(const Device& device) const;
  // Reads all devices again and finishes what was begun.
  void take_into_use(Devices& devices, const std::vector<DeviceSpec>& specs);
  void settle(Devices& devices);
  void drop_unknown_claims(Devices& devices);
  // Takes offline devices into use whose files changed since they were looked at.
  void reopen_changed(Devices& devices);
  // Folder and claims of a segment that is marked, then its record.
  base::Status finish_free(Devices& devices, Device& home, const SegmentId& id);
  LocalSegment describe(const Devices& devices, const Device& home, const SegmentRecord& record) const;
  base::Result<LocalSegment> place(Devices& devices, const SegmentRequest& request);
  base::Result<LocalSegment> resized(Devices& devices, const SegmentId& id, std::uint64_t blocks);
  base::Status write_claims(Devices& devices, const SegmentRecord& record, const Device& home);
  base::Result<Usage> measured(const LocalSegment& segment, std::stop_token stop);
  std::optional<Usage> last_usage(const SegmentId& id) const;
  void look_at_devices(const std::stop_token& stop);
  void measure_all(const std::stop_token& stop);
  base::Status change_device(const std::string& name, std::stop_token stop,
                             const std::function<base::Status(Devices&, Device&)>& change);
  void find_warnings(const Devices& devices, const std::vector<LocalSegment>& segments);
  // One at a time empties or removes a folder.
  base::Status begin_work(const SegmentId& id);
  void end_work(const SegmentId& id);

  const Options options_;
  const Services services_;
  mutable base::Mutex mutex_;
  base::CondVar turn_free_;
  bool turn_taken_ GUARDED_BY(mutex_) = false;
  std::shared_ptr<const Devices> devices_ GUARDED_BY(mutex_);
  std::map<SegmentId, Usage> usage_ GUARDED_BY(mutex_);
  std::set<SegmentId> at_work_ GUARDED_BY(mutex_);
  int warn_threshold_ GUARDED_BY(mutex_) = 90;
  std::map<std::string, std::string> warnings_ GUARDED_BY(mutex_);  // thing -> text
  // Names that EXAConf had last, and those removed here that it still has.
  std::set<std::string> configured_ GUARDED_BY(mutex_);
  std::set<std::string> removed_ GUARDED_BY(mutex_);
  exaconf::ConfigPtr to_apply_ GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> recovery_limit_{0};
  std::jthread watch_, measure_;
};

}  // namespace confd::storage
