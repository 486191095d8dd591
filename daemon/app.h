// App: the composition root. Builds all parts once, in order, and stops them in reverse.
//
// Thread-safety: the main thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/options.h"

namespace confd::daemon {

class App {
 public:
  // Everything up to serving; after ok the daemon answers. Error: the reason and the way out; nothing is left
  // running.
  static base::Result<std::unique_ptr<App>> start(const Options& options);
  // The same checks without serving (confd --check).
  static base::Status check(const Options& options);
  ~App();

  // SIGHUP: certificate and log level.
  void reload();
  // SIGTERM: stops accepting, lets running jobs end, then ends everything.
  void stop();
  // Is it alive? False when the scheduler does not answer; for the watchdog.
  bool alive() const;
  // "serving 127.0.0.11:20003, revision 12, 0 jobs running", for systemctl status.
  std::string status() const;
  const std::vector<std::string>& addresses() const;

 private:
  struct Parts;
  explicit App(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace confd::daemon
