#include "daemon/initialise.h"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include <ostream>

#include "auth/certificate.h"
#include "auth/password.h"
#include "base/text.h"
#include "daemon/cluster_identity.h"
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

std::string node_name(int id) {
  return "Node : " + std::to_string(id);
}

struct CertificateFile {
  std::string_view key;      // in [SSL] of EXAConf
  std::string_view name;     // in the root's own folder
  std::string_view adopted;  // what EXAConf calls that file
};
constexpr CertificateFile kPrivateKey{"CertKey", "ssl.key", "/exa/etc/ssl/ssl.key"};
constexpr CertificateFile kCertificate{"Cert", "ssl.crt", "/exa/etc/ssl/ssl.crt"};
constexpr CertificateFile kAuthorities{"CertAuth", "ssl.ca", "/exa/etc/ssl/ssl.ca"};

std::string place_of(const exaconf::Config& config, const Root& root, const CertificateFile& file) {
  const std::string* text = config.get("SSL", file.key);
  return text && !text->empty() && *text != "None" ? root.resolve(*text)
                                                   : base::join_path(root.tls_directory(), file.name);
}

bool is_below(const Root& root, const std::string& path) {
  return path.starts_with(root.directory() + "/") && path.find("/../") == std::string::npos;
}

// Does confd make these files? Never outside the root.
bool certificate_is_ours(const exaconf::Config& config, const Root& root) {
  for (const CertificateFile& file : {kPrivateKey, kCertificate, kAuthorities})
    if (!is_below(root, place_of(config, root, file))) return false;
  return true;
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

// A sparse file: space is taken as it is used.
Status make_device(const std::string& path, std::uint64_t bytes) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Error{Code::io_error, "cannot make the device " + path + ": " + std::strerror(errno)};
  const bool done = ::ftruncate(fd, static_cast<off_t>(bytes)) == 0 && ::fsync(fd) == 0;
  const int problem = errno;
  ::close(fd);
  if (!done)
    return Error{Code::io_error, "cannot make the device " + path + " of " + std::to_string(bytes) +
                                     " bytes: " + std::strerror(problem)};
  return {};
}

Status write_certificate(const exaconf::Config& config, const Root& root, base::FileSystem& files,
                         base::Clock& clock) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  std::string common_name = "confd";
  for (const auto& [id, node] : config.nodes()) {
    common_name = node.name;
    names.push_back(node.name);
    if (!node.private_ip.empty()) names.push_back(node.private_ip);
    if (!node.public_ip.empty()) names.push_back(node.public_ip);
  }
  auto made = auth::make_self_signed(common_name, names, clock.now());
  if (!made) return made.error();
  for (const auto& [file, text] :
       {std::pair(kPrivateKey, made->key_pem), std::pair(kCertificate, made->certificate_pem),
        std::pair(kAuthorities, made->certificate_pem)}) {
    const std::string where = place_of(config, root, file);
    if (Status done = files.make_directories(base::parent_directory(where), 0700); !done) return done;
    if (Status done = base::replace_file(files, where, text, 0600); !done) return done;
  }
  return {};
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
  return write_certificate(**config, root, files, clock);
}

Status initialise(const Options& options, base::FileSystem& files, base::Clock& clock, base::Random& random,
                  std::ostream& out) {
  const Root root(options.root);
  if (files.status(root.exaconf()))
    return Error{
        Code::exists,
        root.exaconf() + " is there already; choose another --root, or delete it to make a new node"};
  if (files.status(root.exaconf() + ".0"))
    return Error{Code::exists, "There was a node in " + root.directory() + ": " + root.exaconf() +
                                   ".0 is its newest earlier revision; copy it over " + root.exaconf() +
                                   " to go back to it, or choose another --root"};
  const auto device_bytes = exaconf::parse_size(options.device_size);
  if (!device_bytes || *device_bytes == 0)
    return Error{Code::bad_parameter,
                 "--device-size '" + options.device_size + "' is no size; write one such as '8 GiB'"};
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

  // etc, spool, logs and data hold secrets or records of users; run is where anybody on the machine finds the
  // socket.
  for (const std::string& folder : {root.directory(), root.run()})
    if (Status done = files.make_directories(folder, 0755); !done) return done;
  for (const std::string& folder :
       {base::parent_directory(root.exaconf()), root.jobs(), root.log_directory(), root.storage()})
    if (Status done = files.make_directories(folder, 0700); !done) return done;
  if (Status done =
          make_device(base::join_path(root.storage(), "dev.1"), static_cast<std::uint64_t>(*device_bytes));
      !done)
    return done;
  // An EXAConf that exists may have an admin with a password of his own.
  const exaconf::User* admin = (*config)->user(kAdmin);
  const bool new_password = !password->clear.empty() && admin && admin->passwd == password->encoded;
  const bool self_signed = certificate_is_ours(**config, root);
  if (self_signed)
    if (Status done = write_certificate(**config, root, files, clock); !done) return done;
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
