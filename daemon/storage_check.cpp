#include "daemon/storage_check.h"

#include <ostream>

#include "auth/cluster_authority.h"
#include "daemon/instance_lock.h"
#include "daemon/root.h"
#include "exaconf/config.h"
#include "storage/check.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;

namespace {

// As at start: the option, then the node's certificate, then the only node there is.
Result<int> node_of(const Options& options, base::FileSystem& files, const Root& root,
                    const exaconf::Config& config) {
  std::optional<int> node = options.node;
  if (const auto certificate = files.read(root.node_certificate()); !node && certificate)
    node = auth::node_of_certificate(*certificate);
  if (config.nodes().size() == 1 && !options.node) node = config.nodes().begin()->first;
  if (node && config.nodes().contains(*node)) return *node;
  if (!node)
    return Error{Code::bad_parameter, "EXAConf has " + std::to_string(config.nodes().size()) +
                                          " nodes: say which of them this is, with --node"};
  return Error{Code::bad_parameter, "EXAConf has no node " + std::to_string(*node)};
}

}  // namespace

Result<bool> check_node_storage(const Options& options, base::FileSystem& files, std::ostream& out) {
  const Root root(options.root);
  const auto text = files.read(root.exaconf());
  if (!text) return text.error();
  const auto config = exaconf::Config::load(*text);
  if (!config) return config.error();
  const auto node = node_of(options, files, root, **config);
  if (!node) return node.error();
  if (base::Status done = files.make_directories(root.run(), 0755); !done) return done.error();
  InstanceLock lock;
  if (base::Status done = lock.take(root.lock()); !done)
    return Error{done.error().code, done.error().text + "; the storage is checked while no confd runs"};

  const storage::CheckReport report = storage::check_storage(
      storage::system_storage_files(),
      {*node, root.storage(), [&](const std::string& path) { return root.resolve(path); }}, **config,
      options.repair);
  out << "Storage of node " << *node << " in " << root.directory() << "\n";
  for (const std::string& fact : report.facts) out << "  " << fact << "\n";
  for (const std::string& note : report.notes) out << "  note: " << note << "\n";
  for (const std::string& repaired : report.repaired) out << "  repaired: " << repaired << "\n";
  for (const std::string& problem : report.problems) out << "  problem: " << problem << "\n";
  if (report.clean())
    out << "Clean\n";
  else
    out << report.problems.size() << (report.problems.size() == 1 ? " problem\n" : " problems\n");
  return report.clean();
}

}  // namespace confd::daemon
