#include "storage/archive_service.h"

namespace confd::storage {

ArchiveService::ArchiveService(cluster::NodeControl& control, NodeStorage& storage, base::FileSystem& files,
                               base::Random& random, Recovery::Services services)
    : copies_(storage, {files, services.clock, random,
                        [](const std::string& path) {
                          return system_storage_files().open_device(path, {.write = false});
                        }}),
      link_(control),
      recovery_(link_, copies_, std::move(services)) {
  register_archive_operations(control, copies_);
  register_recovery_operations(control, recovery_);
}

}  // namespace confd::storage
