// What `confd --init` and `confd --join` both make in a new root: folders, the storage device, the
// listener's self-signed certificate, section `cluster:` of the settings. Thread-safety: pure but for the
// files; for a root that no confd serves yet.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "daemon/root.h"
#include "exaconf/config.h"

namespace confd::daemon {

// Error: Code::exists when there is, or was, a node in this root; the text says what to do.
base::Status check_root_is_free(base::FileSystem& files, const Root& root);

// `device_size` as "8 GiB"; the file is sparse.
base::Status make_folders_and_device(base::FileSystem& files, const Root& root,
                                     const std::string& device_size);
// Error: Code::bad_parameter.
base::Status check_device_size(const std::string& device_size);

// A file of the listener's certificate.
struct CertificateFile {
  std::string_view key;      // in [SSL] of EXAConf
  std::string_view name;     // in the root's own folder
  std::string_view adopted;  // what EXAConf calls that file
};
inline constexpr CertificateFile kPrivateKey{"CertKey", "ssl.key", "/exa/etc/ssl/ssl.key"};
inline constexpr CertificateFile kCertificate{"Cert", "ssl.crt", "/exa/etc/ssl/ssl.crt"};
inline constexpr CertificateFile kAuthorities{"CertAuth", "ssl.ca", "/exa/etc/ssl/ssl.ca"};

std::string place_of(const exaconf::Config& config, const Root& root, const CertificateFile& file);
// Does confd make these files? Never outside the root.
bool certificate_is_ours(const exaconf::Config& config, const Root& root);
// Self-signed, for these nodes' names and addresses and localhost. REQUIRES: certificate_is_ours().
base::Status write_certificate(const exaconf::Config& config, const std::vector<int>& nodes, const Root& root,
                               base::FileSystem& files, base::Clock& clock);

// Adds the section (YAML text, "cluster:\n  ...") to etc/confd.yaml, which an operator may have put there
// already. Error: Code::exists when it has such a section.
base::Status check_cluster_settings_are_free(base::FileSystem& files, const Root& root);
base::Status add_cluster_settings(base::FileSystem& files, const Root& root, const std::string& section);

}  // namespace confd::daemon
