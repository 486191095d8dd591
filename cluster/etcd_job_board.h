// EtcdJobBoard: JobBoard in etcd. Keys, below the cluster's prefix with "-jobs" (so that watching the cluster
// does not bring every job to every node):
//
//   open/<id>   the record of a job that has not ended
//   ended/<id>  "<seconds since 1970> <record>"
//
// Thread-safety: any thread.
#pragma once

#include <string>
#include <vector>

#include "cluster/etcd_client.h"
#include "cluster/job_board.h"

namespace confd::cluster {

class EtcdJobBoard : public JobBoard {
 public:
  // `prefix`: the cluster's, as EtcdAgreedStore gets it.
  EtcdJobBoard(EtcdClient& etcd, const std::string& prefix);

  base::Status post(AgreedStore::Term term, const std::vector<JobNote>& notes, const Limits& limits) override;
  base::Result<std::vector<std::optional<std::string>>> end(const std::vector<JobNote>& notes,
                                                            const Limits& limits) override;
  base::Result<std::vector<JobNote>> open_jobs(const Limits& limits) override;
  base::Result<std::optional<Found>> find(const std::string& id, const Limits& limits) override;
  base::Status prune(std::size_t most, base::WallTime oldest, const Limits& limits) override;

  // What puts these ends, for a transaction that does more.
  static void append_ends(std::vector<EtcdOperation>& operations, const std::string& prefix,
                          const std::vector<JobNote>& ends);

 private:
  EtcdClient& etcd_;
  const std::string master_key_;
  const std::string prefix_;
};

}  // namespace confd::cluster
