#include "daemon/new_root.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "auth/certificate.h"
#include "base/yaml.h"
#include "exaconf/value_types.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

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

bool is_below(const Root& root, const std::string& path) {
  return path.starts_with(root.directory() + "/") && path.find("/../") == std::string::npos;
}

}  // namespace

Status check_root_is_free(base::FileSystem& files, const Root& root) {
  if (files.status(root.exaconf()))
    return Error{
        Code::exists,
        root.exaconf() + " is there already; choose another --root, or delete it to make a new node"};
  if (files.status(root.exaconf() + ".0"))
    return Error{Code::exists, "There was a node in " + root.directory() + ": " + root.exaconf() +
                                   ".0 is its newest earlier revision; copy it over " + root.exaconf() +
                                   " to go back to it, or choose another --root"};
  return {};
}

Status check_device_size(const std::string& device_size) {
  const auto bytes = exaconf::parse_size(device_size);
  if (bytes && *bytes > 0) return {};
  return Error{Code::bad_parameter,
               "--device-size '" + device_size + "' is no size; write one such as '8 GiB'"};
}

Status make_folders_and_device(base::FileSystem& files, const Root& root, const std::string& device_size) {
  if (Status done = check_device_size(device_size); !done) return done;
  // etc, spool, logs and data hold secrets or records of users; run is where anybody on the machine finds the
  // socket.
  for (const std::string& folder : {root.directory(), root.run()})
    if (Status done = files.make_directories(folder, 0755); !done) return done;
  for (const std::string& folder :
       {base::parent_directory(root.exaconf()), root.jobs(), root.log_directory(), root.storage()})
    if (Status done = files.make_directories(folder, 0700); !done) return done;
  return make_device(base::join_path(root.storage(), "dev.1"),
                     static_cast<std::uint64_t>(*exaconf::parse_size(device_size)));
}

std::string place_of(const exaconf::Config& config, const Root& root, const CertificateFile& file) {
  const std::string* text = config.get("SSL", file.key);
  return text && !text->empty() && *text != "None" ? root.resolve(*text)
                                                   : base::join_path(root.tls_directory(), file.name);
}

bool certificate_is_ours(const exaconf::Config& config, const Root& root) {
  for (const CertificateFile& file : {kPrivateKey, kCertificate, kAuthorities})
    if (!is_below(root, place_of(config, root, file))) return false;
  return true;
}

Status write_certificate(const exaconf::Config& config, const std::vector<int>& nodes, const Root& root,
                         base::FileSystem& files, base::Clock& clock) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  std::string common_name = "confd";
  for (const int id : nodes) {
    const exaconf::Node& node = config.nodes().at(id);
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

Status check_cluster_settings_are_free(base::FileSystem& files, const Root& root) {
  const auto text = files.read(root.settings());
  if (!text && text.error().code == Code::not_found) return {};
  if (!text) return text.error();
  const auto settings = base::parse_yaml(*text);
  if (!settings) return Error{Code::invalid_config, root.settings() + ": " + settings.error().text};
  if (!settings->is_struct() || settings->find("cluster") == nullptr) return {};
  return Error{
      Code::exists,
      root.settings() + " has a section `cluster:` already, which would be written now; take it out"};
}

Status add_cluster_settings(base::FileSystem& files, const Root& root, const std::string& section) {
  if (Status done = check_cluster_settings_are_free(files, root); !done) return done;
  auto text = files.read(root.settings());
  std::string all = text ? *text : std::string("# All settings: confd --settings-sample\n");
  if (!all.empty() && all.back() != '\n') all += '\n';
  return base::replace_file(files, root.settings(), all + section, 0600);
}

}  // namespace confd::daemon
