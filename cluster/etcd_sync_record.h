// EtcdSyncRecord: SyncRecord in etcd. Keys, below the cluster's prefix with "-copies" (so that watching the
// cluster does not bring them to every node):
//
//   <vid>/<index>/<node>   "out", or "returning"; no key: the copy missed nothing
//
// Thread-safety: any thread.
#pragma once

#include <string>

#include "cluster/etcd_client.h"
#include "cluster/sync_record.h"

namespace confd::cluster {

class EtcdSyncRecord : public SyncRecord {
 public:
  // `prefix`: the cluster's, as EtcdAgreedStore gets it.
  EtcdSyncRecord(EtcdClient& etcd, const std::string& prefix);

  base::Result<Marks> read(const std::string& segment, const Limits& limits) override;
  base::Result<std::map<std::string, Marks>> read_all(const Limits& limits) override;
  base::Status leave_behind(const std::string& segment, const std::set<int>& without,
                            const std::set<int>& with, const Limits& limits) override;
  base::Result<Marks> begin_return(const std::string& segment, int node, const Limits& limits) override;
  base::Status remove(const std::string& segment, int node, std::int64_t position,
                      const Limits& limits) override;

 private:
  std::string key(const std::string& segment, int node) const;

  EtcdClient& etcd_;
  const std::string prefix_;
};

}  // namespace confd::cluster
