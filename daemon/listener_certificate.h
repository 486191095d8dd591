// ListenerCertificate: key and certificates of the listener as files, named by EXAConf [SSL], and their way
// into the TLS context.
//
// install() is the node operation `certificate.install` of job cert_update. Order on disk: new key,
// certificate and authorities are written beside the old ones (durable), then renamed over them one by one,
// key first. A crash between two renames leaves a key that does not belong to the certificate: load() then
// takes the pending certificate that does. Thread-safety: any thread; one install() at a time (the job holds
// its lock).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/result.h"
#include "base/value.h"
#include "daemon/root.h"
#include "exaconf/config.h"
#include "rpc/tls_context.h"

namespace confd::daemon {

class ListenerCertificate {
 public:
  ListenerCertificate(base::FileSystem& files, Root root, std::function<exaconf::ConfigPtr()> config)
      : files_(files), root_(std::move(root)), config_(std::move(config)) {}

  // Reads the files. Error: which file, what is wrong, what to do.
  base::Result<rpc::TlsSettings> load() const;
  // For new connections from now on; the first call makes the context.
  base::Status reload();
  std::shared_ptr<rpc::TlsContext> context() const { return context_; }

  // {key, cert, ca?}: PEM texts, checked by the job before. Result: null.
  base::Result<base::Value> install(const base::Struct& params);

 private:
  struct Paths {
    std::string key, certificate, authorities;
  };
  Paths paths() const;
  // The certificate of etc/cluster for callers that are nodes.
  base::Status add_peer_identity(rpc::TlsSettings& settings) const;

  base::FileSystem& files_;
  const Root root_;
  const std::function<exaconf::ConfigPtr()> config_;
  std::shared_ptr<rpc::TlsContext> context_;
};

}  // namespace confd::daemon
