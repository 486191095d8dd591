#include "daemon/initialise.h"

#include <ostream>

#include "auth/password.h"
#include "base/text.h"
#include "daemon/cluster_identity.h"
#include "daemon/new_root.h"
#include "daemon/root.h"
#include "exaconf/config.h"
#include "exaconf/initial.h"
#include "exaconf/transaction.h"
#include "exaconf/value_types.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kAdmin = "admin";

struct AdminPassword {
  std::string encoded;
  std::string clear;  // only when we made it up
};

Result<AdminPassword> admin_password(const Options& options, base::FileSystem& files, base::Random& random) {
  AdminPassword result;
  std::string clear;
  if (!options.admin_password_file.empty()) {
    const auto text = files.read(options.admin_password_file);
    if (!text) return text.error();
    clear = text->substr(0, text->find_first_of("\r\n"));
    if (clear.empty())
      return Error{Code::bad_parameter,
                   options.admin_password_file + " has an empty first line; write the password there"};
  } else {
    clear = result.clear = base::random_alphanumeric(random, 20);
  }
  auto encoded = auth::encode_password(clear, random);
  if (!encoded) return encoded.error();
  result.encoded = std::move(*encoded);
  return result;
}

std::vector<int> all_nodes(const exaconf::Config& config) {
  std::vector<int> ids;
  for (const auto& [id, node] : config.nodes()) ids.push_back(id);
  return ids;
}

std::string node_name(int id) {
  return "Node : " + std::to_string(id);
}

// A certificate outside the root is used when it is there; else the root gets one of its own.
Status adopt_certificate_paths(exaconf::Transaction& edit, const Root& root, base::FileSystem& files) {
  const exaconf::Config& config = *edit.base();
  if (certificate_is_ours(config, root)) return {};
  if (files.status(place_of(config, root, kPrivateKey)) && files.status(place_of(config, root, kCertificate)))
    return {};
  for (const CertificateFile& file : {kPrivateKey, kCertificate, kAuthorities})
    if (Status done = edit.set("SSL", file.key, std::string(file.adopted)); !done) return done;
  return {};
}

// An EXAConf that exists, with user admin added when it has none and the network that was asked for.
Result<std::string> adopted(const Options& options, base::FileSystem& files, const std::string& admin_hash) {
  const auto text = files.read(options.from);
  if (!text) return text.error();
  auto config = exaconf::Config::load(*text);
  if (!config) return Error{config.error().code, options.from + ": " + config.error().text};
  if ((*config)->nodes().size() != 1)
    return Error{Code::unsupported, options.from + " has " + std::to_string((*config)->nodes().size()) +
                                        " nodes; this version of confd serves clusters of one node"};
  exaconf::Transaction edit(*config);
  const int id = (*config)->nodes().begin()->first;
  if (options.node_id_given && options.node_id != id)
    return Error{Code::bad_parameter, options.from + " has node " + std::to_string(id) + ", not " +
                                          std::to_string(options.node_id)};
  if (!options.private_net.empty())
    if (Status done = edit.set(node_name(id), "PrivateNet", options.private_net); !done) return done.error();
  if (Status done = adopt_certificate_paths(edit, Root(options.root), files); !done) return done.error();
  if (!(*config)->user(kAdmin) && (*config)->group("exaadm")) {
    std::int64_t user_id = 1000;
    while ((*config)->user_by_id(user_id)) ++user_id;
    const std::string section = "Users/" + std::string(kAdmin);
    Status done = edit.add_section(section);
    if (done) done = edit.set(section, "ID", std::to_string(user_id));
    if (done) done = edit.set(section, "Group", "exaadm");
    if (done) done = edit.set(section, "LoginEnabled", "True");
    if (done) done = edit.set(section, "Passwd", admin_hash);
    if (!done) return done.error();
  }
  if (!edit.changed()) return (*config)->text();
  auto sealed = exaconf::seal(edit.document(), (*config)->revision() + 1);
  if (!sealed) return sealed.error();
  return (*sealed)->text();
}

}  // namespace

Status make_certificate(const Options& options, base::FileSystem& files, base::Clock& clock) {
  const Root root(options.root);
  const auto text = files.read(root.exaconf());
  if (!text) return text.error();
  auto config = exaconf::Config::load(*text);
  if (!config) return config.error();
  if (!certificate_is_ours(**config, root))
    return Error{Code::unsupported, "EXAConf [SSL] names " + place_of(**config, root, kCertificate) +
                                        ", which is outside " + root.directory() +
                                        ": put a certificate there yourself, or use job cert_update"};
  return write_certificate(**config, all_nodes(**config), root, files, clock);
}

Status initialise(const Options& options, base::FileSystem& files, base::Clock& clock, base::Random& random,
                  std::ostream& out) {
  const Root root(options.root);
  if (Status done = check_root_is_free(files, root); !done) return done;
  if (Status done = check_device_size(options.device_size); !done) return done;
  if (Status done = check_cluster_settings_are_free(files, root); !options.store.empty() && !done)
    return done;
  auto password = admin_password(options, files, random);
  if (!password) return password.error();

  std::string text;
  if (!options.from.empty()) {
    auto taken = adopted(options, files, password->encoded);
    if (!taken) return taken.error();
    text = std::move(*taken);
  } else {
    exaconf::InitialSettings settings;
    settings.node_id = options.node_id;
    settings.private_net = options.private_net.empty() ? "127.0.0." + std::to_string(options.node_id) + "/8"
                                                       : options.private_net;
    settings.root_directory = "/exa";  // as Root::resolve reads it, so that the folder can be moved
    settings.admin_name = kAdmin;
    settings.admin_passwd_hash = password->encoded;
    settings.device_size = options.device_size;
    settings.data_volume_size = options.data_volume_size;
    settings.archive_volume_size = options.archive_volume_size;
    if (options.private_net.empty() && options.node_id > 254)
      return Error{Code::bad_parameter, "--node-id " + std::to_string(options.node_id) +
                                            " wants a --private-net: 127.0.0.<node id> ends at 254"};
    auto made = exaconf::initial_exaconf(settings, random);
    if (!made) return made.error();
    text = std::move(*made);
  }
  auto config = exaconf::Config::load(text);
  if (!config) return config.error();

  if (Status done = make_folders_and_device(files, root, options.device_size); !done) return done;
  if (!options.store.empty())
    if (Status done = add_cluster_settings(files, root, "cluster:\n  store: " + options.store + "\n"); !done)
      return done;
  // An EXAConf that exists may have an admin with a password of his own.
  const exaconf::User* admin = (*config)->user(kAdmin);
  const bool new_password = !password->clear.empty() && admin && admin->passwd == password->encoded;
  const bool self_signed = certificate_is_ours(**config, root);
  if (self_signed)
    if (Status done = write_certificate(**config, all_nodes(**config), root, files, clock); !done)
      return done;
  if (new_password)
    if (Status done = base::replace_file(files, root.admin_password(), password->clear + "\n", 0600); !done)
      return done;
  const auto& node = (*config)->nodes().begin()->second;
  if (auto identity = ensure_cluster_identity(files, root, **config, node.id, clock.now()); !identity)
    return identity.error();
  if (Status done = base::replace_file(files, root.exaconf(), (*config)->text(), 0600); !done) return done;

  out << "Made node " << node.id << " (" << node.name << ", " << node.private_ip << ") in "
      << root.directory() << "\n"
      << "  EXAConf      " << root.exaconf() << ", revision " << (*config)->revision() << "\n"
      << "  certificate  "
      << (self_signed ? "self-signed, in " + root.tls_directory() : place_of(**config, root, kCertificate))
      << "\n"
      << "  cluster      authority and this node's certificate in " << root.cluster_directory() << "\n";
  if (new_password) out << "  user admin   password in " << root.admin_password() << "\n";
  out << "Start it:      confd --root " << root.directory() << "\n";
  return {};
}

}  // namespace confd::daemon
