#include "storage/node_storage_change.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;

namespace {

constexpr std::chrono::seconds kPatience{60};

bool was_written(const Device& now, const Device& before) {
  return now.superblock.generation != before.superblock.generation || now.online != before.online ||
         now.io_error != before.io_error || now.crc_error != before.crc_error ||
         now.superblock.uuid != before.superblock.uuid;
}

}  // namespace

Result<std::unique_ptr<NodeStorage::Change>> NodeStorage::Change::begin(NodeStorage& storage,
                                                                        const std::stop_token& stop) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  std::unique_ptr<Change> change(new Change(storage));
  {
    std::stop_callback wake(stop, [&] {
      MutexLock lock(storage.mutex_);
      storage.turn_free_.notify_all();
    });
    MutexLock lock(storage.mutex_);
    while (storage.turn_taken_) {
      if (stop.stop_requested())
        return Error{Code::stopped, "stopped while waiting for another change of the node's storage"};
      if (storage.turn_free_.wait_until(storage.mutex_, until) == std::cv_status::timeout &&
          storage.turn_taken_)
        return Error{Code::timeout, "another change of the storage of node " +
                                        std::to_string(storage.options_.node) + " has not ended for " +
                                        std::to_string(kPatience.count()) + " s; try again later"};
    }
    storage.turn_taken_ = true;
    change->before_ = storage.devices_;
  }
  change->devices = *change->before_;
  return change;
}

NodeStorage::Change::~Change() {
  if (before_ == nullptr) return;  // it never was our turn
  auto next = std::make_shared<const Devices>(std::move(devices));
  MutexLock lock(storage_.mutex_);
  storage_.devices_ = std::move(next);
  storage_.turn_taken_ = false;
  storage_.turn_free_.notify_all();
}

void NodeStorage::Change::undo() {
  bool any = devices.size() != before_->size();
  for (std::size_t i = 0; i < devices.size() && !any; ++i) any = was_written(devices[i], (*before_)[i]);
  if (!any) {
    devices = *before_;
    return;
  }
  for (Device& device : devices) {
    Device again =
        open_device(storage_.services_.files, device.spec, storage_.options_.node, storage_.services_.random);
    again.io_error = device.io_error;
    again.awaits_exaconf = device.awaits_exaconf;
    again.crc_error = again.crc_error || device.crc_error;
    // What can't be read now may be there again later; its segments are known.
    if (!again.online) again.superblock = device.superblock;
    device = std::move(again);
  }
  storage_.settle(devices);
}

}  // namespace confd::storage
