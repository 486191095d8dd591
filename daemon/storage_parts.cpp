#include "daemon/storage_parts.h"

#include "storage/link_speed.h"
#include "storage/node_storage_operations.h"

namespace confd::daemon {

base::Result<StorageParts> make_storage(const StorageNeeds& needs) {
  StorageParts parts;
  const auto config = [&store = needs.store] { return store.current(); };
  parts.storage = std::make_unique<storage::NodeStorage>(
      storage::NodeStorage::Options{
          needs.nodes.own_node(), needs.root.storage(),
          [&root = needs.root](const std::string& path) { return root.resolve(path); }},
      storage::NodeStorage::Services{storage::system_storage_files(), needs.clock, needs.random, &needs.log});
  storage::register_storage_operations(needs.nodes, *parts.storage);
  if (base::Status done = parts.storage->apply(*needs.store.current()); !done) return done.error();
  storage::register_link_speed(needs.nodes, needs.files);
  parts.archives =
      std::make_unique<storage::ArchiveService>(needs.nodes, *parts.storage, needs.files, needs.random,
                                                storage::Recovery::Services{needs.clock, config, &needs.log});
  return parts;
}

}  // namespace confd::daemon
