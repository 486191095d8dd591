#include "daemon/listener_certificate.h"

#include "auth/cluster_authority.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "daemon/cluster_identity.h"
#include "exaconf/node_names.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {
constexpr std::string_view kPending = ".new";
}

ListenerCertificate::Paths ListenerCertificate::paths() const {
  const exaconf::ConfigPtr config = config_();
  const auto path = [&](std::string_view key, std::string_view file) {
    const std::string* text = config->get("SSL", key);
    return text && !text->empty() && *text != "None" ? root_.resolve(*text)
                                                     : base::join_path(root_.tls_directory(), file);
  };
  return {path("CertKey", "ssl.key"), path("Cert", "ssl.crt"), path("CertAuth", "ssl.ca")};
}

Result<rpc::TlsSettings> ListenerCertificate::load() const {
  const Paths at = paths();
  rpc::TlsSettings settings;
  const auto unreadable = [](const Error& error, const std::string& name) {
    return Error{Code::invalid_config, error.text + "; EXAConf [SSL] " + name +
                                           " names this file: put it there, or make a self-signed pair with "
                                           "`confd --root DIR --renew-certificate`"};
  };
  const auto key = files_.read(at.key);
  if (!key) return unreadable(key.error(), "CertKey");
  settings.private_key_pem = *key;
  const auto certificate = files_.read(at.certificate);
  if (!certificate) return unreadable(certificate.error(), "Cert");
  settings.certificate_chain_pem = *certificate;
  if (const auto authorities = files_.read(at.authorities)) settings.authorities_pem = *authorities;
  const std::string* verify = config_()->get("SSL", "CertVerify");
  if (verify && base::equals_ignoring_case(*verify, "optional"))
    settings.verify = rpc::TlsSettings::Verify::optional;
  if (verify && base::equals_ignoring_case(*verify, "required"))
    settings.verify = rpc::TlsSettings::Verify::required;
  if (Status done = add_peer_identity(settings); !done) return done.error();

  if (rpc::TlsContext::create(settings)) return settings;
  // An installation may have been cut off between its renames.
  rpc::TlsSettings pending = settings;
  if (const auto text = files_.read(at.certificate + std::string(kPending)))
    pending.certificate_chain_pem = *text;
  if (const auto text = files_.read(at.authorities + std::string(kPending))) pending.authorities_pem = *text;
  if (rpc::TlsContext::create(pending)) return pending;
  return settings;  // the caller's own attempt says what is wrong with them
}

Status ListenerCertificate::add_peer_identity(rpc::TlsSettings& settings) const {
  auto identity = read_cluster_identity(files_, root_);
  if (!identity && identity.error().code == Code::not_found) return {};  // `confd --check` of an older root
  if (!identity) return identity.error();
  const auto node = auth::node_of_certificate(identity->certificate_pem);
  if (!node)
    return Error{Code::invalid_config, root_.node_certificate() + " names no node: it is not from confd"};
  settings.peer_server_name = exaconf::node_server_name(*node);
  settings.peer_certificate_pem = std::move(identity->certificate_pem);
  settings.peer_private_key_pem = std::move(identity->key_pem);
  settings.peer_authorities_pem = std::move(identity->authority_pem);
  return {};
}

Status ListenerCertificate::reload() {
  auto settings = load();
  if (!settings) return settings.error();
  if (context_) return context_->replace(*settings);
  auto context = rpc::TlsContext::create(*settings);
  if (!context)
    return Error{
        context.error().code,
        "The certificate of EXAConf [SSL] can't be used: " + context.error().text +
            "; put a good pair there, or make a self-signed one with `confd --root DIR --renew-certificate`"};
  context_ = std::move(*context);
  return {};
}

Result<base::Value> ListenerCertificate::install(const base::Struct& params) {
  const auto text = [&](std::string_view name) {
    const base::Value* value = params.find(name);
    return value && value->is_string() ? value->as_string() : std::string();
  };
  auto settings = load();
  if (!settings) settings = rpc::TlsSettings();
  settings->private_key_pem = text("key");
  settings->certificate_chain_pem = text("cert");
  const std::string authorities = text("ca");  // empty: the stored ones stay
  if (!authorities.empty()) settings->authorities_pem = authorities;
  // Whatever the files would be good for, the listener must be able to use them: tried before anything is
  // touched.
  if (auto usable = rpc::TlsContext::create(*settings); !usable) return usable.error();

  const Paths at = paths();
  struct NewFile {
    std::string path;
    const std::string& text;
  };
  std::vector<NewFile> news{{at.key, settings->private_key_pem},
                            {at.certificate, settings->certificate_chain_pem}};
  if (!authorities.empty()) news.push_back({at.authorities, settings->authorities_pem});
  for (const NewFile& file : news)
    if (Status done = base::replace_file(files_, file.path + std::string(kPending), file.text, 0600); !done)
      return done.error();
  CONFD_FAILPOINT("certificate.pending");
  for (const NewFile& file : news) {
    if (Status done = files_.rename(file.path + std::string(kPending), file.path); !done) return done.error();
    CONFD_FAILPOINT("certificate.renamed");
  }
  for (const NewFile& file : news)
    if (Status done = files_.sync_directory(base::parent_directory(file.path)); !done) return done.error();
  if (context_)
    if (Status done = context_->replace(*settings); !done) return done.error();
  return base::Value();
}

}  // namespace confd::daemon
