// Root: where the files of a node are (design.md §9). File names live here and nowhere else. Thread-safety: a
// plain value.
#pragma once

#include <string>
#include <string_view>

namespace confd::daemon {

class Root {
 public:
  explicit Root(std::string directory) : directory_(std::move(directory)) {
    while (directory_.size() > 1 && directory_.back() == '/') directory_.pop_back();
  }
  const std::string& directory() const { return directory_; }
  std::string exaconf() const { return directory_ + "/etc/EXAConf"; }
  std::string settings() const { return directory_ + "/etc/confd.yaml"; }
  std::string admin_password() const { return directory_ + "/etc/admin.password"; }
  std::string tls_directory() const { return directory_ + "/etc/ssl"; }
  std::string cluster_directory() const { return directory_ + "/etc/cluster"; }
  std::string cluster_authority() const { return directory_ + "/etc/cluster/ca.crt"; }
  std::string cluster_authority_key() const { return directory_ + "/etc/cluster/ca.key"; }
  std::string node_certificate() const { return directory_ + "/etc/cluster/node.crt"; }
  std::string node_key() const { return directory_ + "/etc/cluster/node.key"; }
  std::string join_tokens() const { return directory_ + "/etc/cluster/tokens"; }
  std::string store_data() const { return directory_ + "/data/etcd"; }
  std::string store_log() const { return directory_ + "/logs/etcd/etcd.log"; }
  std::string store_pid() const { return directory_ + "/run/etcd.pid"; }
  std::string jobs() const { return directory_ + "/spool/jobs"; }
  std::string tokens() const { return directory_ + "/spool/tokens.json"; }
  std::string storage() const { return directory_ + "/data/storage"; }
  std::string log_directory() const { return directory_ + "/logs/logd"; }
  std::string log() const { return directory_ + "/logs/logd/ConfD.log"; }
  std::string archive_keys() const { return directory_ + "/etc/archive_access"; }
  std::string archive_logs() const { return directory_ + "/logs/archive_access"; }
  std::string remote_volumes() const { return directory_ + "/etc/remote_volumes"; }
  std::string rclone_configurations() const { return directory_ + "/run/rclone"; }
  std::string rclone_spool() const { return directory_ + "/spool/rclone"; }
  std::string run() const { return directory_ + "/run"; }
  std::string socket() const { return directory_ + "/run/confd.sock"; }
  std::string lock() const { return directory_ + "/run/confd.lock"; }
  std::string pid() const { return directory_ + "/run/confd.pid"; }

  // EXAConf names files as they are in the original's container, below /exa. Here that is the root.
  std::string resolve(std::string_view path) const {
    if (path == "/exa" || path.substr(0, 5) == "/exa/") return directory_ + std::string(path.substr(4));
    return std::string(path);
  }

 private:
  std::string directory_;
};

}  // namespace confd::daemon
