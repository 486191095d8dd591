// What the parts of NodeStorage share: the turn to change something, and look-ups in a list of devices.
// Only for storage/node_storage*.cpp. Thread-safety: a Change belongs to one thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "storage/node_storage.h"

namespace confd::storage {

// From begin() to the end of its life nobody else changes anything; `devices` is what is changed, and what
// everybody sees when it ends.
class NodeStorage::Change {
 public:
  // Errors: Code::stopped, Code::timeout.
  static base::Result<std::unique_ptr<Change>> begin(NodeStorage& storage, const std::stop_token& stop);
  ~Change();
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  // To be called after a failure: what was changed in memory is forgotten, and when anything was written, the
  // superblocks are read again.
  void undo();

  Devices devices;

 private:
  explicit Change(NodeStorage& storage) : storage_(storage) {}
  NodeStorage& storage_;
  std::shared_ptr<const Devices> before_;
};

inline void sort_claims(std::vector<Claim>& claims) {
  std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return std::tie(a.id, a.home, a.start) < std::tie(b.id, b.home, b.start);
  });
}

// The device that has the segment's record: one that is there rather than one that is not, then the newer
// allocation. Null when there is none.
template <class Devices>
auto* home_of(Devices& devices, const SegmentId& id) {
  decltype(devices.data()) best = nullptr;
  const SegmentRecord* best_record = nullptr;
  for (auto& device : devices) {
    const SegmentRecord* record = std::as_const(device.superblock).find(id);
    if (record == nullptr) continue;
    if (best == nullptr || std::tuple(device.online, record->allocated_ns) >
                               std::tuple(best->online, best_record->allocated_ns)) {
      best = &device;
      best_record = record;
    }
  }
  return best;
}

// Of all segments.
inline std::map<SegmentId, const Device*> homes_of(const std::vector<Device>& devices) {
  std::map<SegmentId, const Device*> homes;
  for (const Device& device : devices)
    for (const SegmentRecord& record : device.superblock.segments) {
      const Device*& best = homes[record.id];
      if (best == nullptr || std::tuple(device.online, record.allocated_ns) >
                                 std::tuple(best->online, best->superblock.find(record.id)->allocated_ns))
        best = &device;
    }
  return homes;
}

}  // namespace confd::storage
