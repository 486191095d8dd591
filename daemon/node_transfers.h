// NodeTransfers: files on their way to and from other nodes, on the side that was asked. The asker takes or
// brings them piece by piece (cluster/node_wire.h), each piece with its number, so that one whose answer got
// lost can be asked for again, and pieces that overtake each other are put in order.
//
// A transfer that nobody asks for any more is forgotten after `idle`, or at the deadline the asker gave; its
// source or sink is closed then, which drops what came in. Thread-safety: any thread; pieces of one transfer
// follow each other.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/mutex.h"
#include "base/random.h"
#include "cluster/node_control.h"
#include "rpc/http_message.h"

namespace confd::daemon {

class NodeTransfers {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Limits {
    std::size_t in_all = 48;
    std::size_t per_node = 12;
    std::chrono::milliseconds idle{std::chrono::minutes(5)};
  };
  enum class Kind { fetch, send };

  NodeTransfers(Limits limits, cluster::NodeControl& nodes, base::Random& random)
      : limits_(limits), nodes_(nodes), random_(random) {}
  ~NodeTransfers();

  // The id of the transfer. Errors: the operation's own, Code::busy.
  base::Result<base::Value> open(int node, Kind kind, const std::string& operation,
                                 const base::Struct& params, Time deadline) EXCLUDES(mutex_);
  // `request`: for /node-transfer/<id>, of the node that opened it. REQUIRES: a thread that may wait for
  // files.
  // The piece waits while earlier ones are not there; `stop`: the caller is gone.
  rpc::HttpResponse piece(int node, const rpc::HttpRequest& request, Time deadline, std::stop_token stop = {})
      EXCLUDES(mutex_);
  void forget_idle(Time now) EXCLUDES(mutex_);
  std::size_t open_count() const EXCLUDES(mutex_);

 private:
  struct Transfer;
  using TransferPtr = std::shared_ptr<Transfer>;
  base::Result<TransferPtr> claim(int node, const std::string& id, std::optional<std::uint64_t> piece,
                                  Time deadline, const std::stop_token& stop) EXCLUDES(mutex_);
  void release(Transfer& transfer) EXCLUDES(mutex_);
  rpc::HttpResponse next_piece(Transfer& transfer, const rpc::HttpRequest& request);

  const Limits limits_;
  cluster::NodeControl& nodes_;
  base::Random& random_;
  mutable base::Mutex mutex_;
  base::CondVar released_;
  std::map<std::string, TransferPtr> transfers_ GUARDED_BY(mutex_);
};

}  // namespace confd::daemon
