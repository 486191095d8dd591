// PeerLink: how nodes call each other: POST /node/<operation> on the same listener, mutual TLS with the
// cluster's authority, JSON in and out; files go beside it in pieces.
//
// A call names the deadline it has left; the callee gives up by itself then, so that nothing goes on for a
// caller that is gone. Calls are tried again on another connection only when the operation is declared
// `repeatable` or no byte of the request had left. Thread-safety: any thread; a few kept connections a node.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/value.h"
#include "rpc/https_client.h"

namespace confd::cluster {

struct PeerAddress {
  std::string host;
  std::uint16_t port = 0;
};

class PeerLink {
 public:
  // `address_of`: where a node is now (from the EXAConf in force); nothing: no such node.
  PeerLink(int own_node, std::shared_ptr<const rpc::ClientTls> tls,
           std::function<std::optional<PeerAddress>(int node)> address_of);
  virtual ~PeerLink();

  // After a rotation of certificates: new connections use the new ones.
  void replace_tls(std::shared_ptr<const rpc::ClientTls> tls);

  struct Call {
    std::chrono::milliseconds timeout{10'000};
    bool repeatable = false;
    std::stop_token stop;
  };
  // The operation's result. Errors: the operation's own code and text; Code::node_unreachable, Code::timeout,
  // Code::stopped, Code::busy and Code::unsupported (refused before anything ran), Code::unknown_outcome
  // (asked, but the answer got lost, and not repeatable).
  // Virtual for tests of jobs that ask several nodes.
  virtual base::Result<base::Value> call(int node, std::string_view operation, const base::Struct& params,
                                         const Call& call);

  // Files: content with its checksum, checked at the receiving end; `bytes_per_second` 0: as fast as it goes.
  struct Transfer {
    std::chrono::milliseconds timeout{std::chrono::hours(1)};
    std::uint64_t bytes_per_second = 0;
    std::stop_token stop;
  };
  // `sink` gets the pieces; the file is whole only when this returns ok. Error: Code::io_error on a wrong
  // checksum.
  base::Result<base::Struct> fetch(int node, std::string_view operation, const base::Struct& params,
                                   const std::function<base::Status(std::string_view)>& sink,
                                   const Transfer& transfer);
  base::Result<base::Value> send(int node, std::string_view operation, const base::Struct& params,
                                 const std::function<base::Result<std::string>()>& more,
                                 const Transfer& transfer);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace confd::cluster
