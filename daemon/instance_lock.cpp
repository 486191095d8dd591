#include "daemon/instance_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace confd::daemon {

using base::Code;
using base::Error;

InstanceLock::~InstanceLock() {
  if (fd_ >= 0) ::close(fd_);
}

base::Status InstanceLock::take(const std::string& path) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return Error{Code::io_error, "cannot open " + path + ": " + std::strerror(errno)};
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK)
    return Error{Code::busy, "Another confd serves this root already (it holds " + path +
                                 "); stop it first, its process id is in confd.pid beside it"};
  return Error{Code::io_error, "cannot lock " + path + ": " + std::strerror(errno)};
}

}  // namespace confd::daemon
