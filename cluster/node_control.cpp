#include "cluster/node_control.h"

#include <cstdlib>

namespace confd::cluster {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

// Two operations of one name are a mistake in our own composition: no state to go on with.
template <class Map, class Function>
void add(Map& map, std::string name, Function function) {
  if (!map.emplace(std::move(name), std::move(function)).second) std::abort();
}

}  // namespace

void NodeControl::register_operation(std::string name, NodeOperation operation, OperationTraits traits) {
  add(operations_, std::move(name), Operation{std::move(operation), std::move(traits)});
}

void NodeControl::register_fetch(std::string name, FetchOperation operation) {
  add(fetches_, std::move(name), std::move(operation));
}

void NodeControl::register_send(std::string name, SendOperation operation) {
  add(sends_, std::move(name), std::move(operation));
}

Error NodeControl::unknown(std::string_view operation) const {
  return {Code::internal,
          "node " + std::to_string(own_node_) + " knows no operation '" + std::string(operation) + "'"};
}

Error NodeControl::no_link(int node) const {
  return {Code::node_unreachable, "node " + std::to_string(node) + " can't be reached from node " +
                                      std::to_string(own_node_) +
                                      ": this node has no link to others and manages itself only"};
}

Result<base::Value> NodeControl::run_here(std::string_view operation, const base::Struct& params,
                                          std::stop_token stop) const {
  const auto found = operations_.find(operation);
  if (found == operations_.end()) return unknown(operation);
  for (const auto& [name, type] : found->second.traits.params) {
    const base::Value* value = params.find(name);
    if (value == nullptr || value->type() != type)
      return Error{Code::bad_parameter, "operation '" + std::string(operation) + "': parameter '" + name +
                                            (value == nullptr ? "' is missing" : "' has the wrong type")};
  }
  return found->second.run(params, std::move(stop));
}

Result<std::unique_ptr<FileSource>> NodeControl::open_source(std::string_view operation,
                                                             const base::Struct& params,
                                                             std::stop_token stop) const {
  const auto found = fetches_.find(operation);
  if (found == fetches_.end()) return unknown(operation);
  return found->second(params, std::move(stop));
}

Result<std::unique_ptr<FileSink>> NodeControl::open_sink(std::string_view operation,
                                                         const base::Struct& params,
                                                         std::stop_token stop) const {
  const auto found = sends_.find(operation);
  if (found == sends_.end()) return unknown(operation);
  return found->second(params, std::move(stop));
}

Result<base::Value> NodeControl::run(int node, std::string_view operation, const base::Struct& params,
                                     std::stop_token stop) {
  if (node == own_node_) return run_here(operation, params, std::move(stop));
  if (link_ == nullptr) return no_link(node);
  // All nodes run the same program: what this one does not know of an operation, the other one need not say.
  const auto found = operations_.find(operation);
  const OperationTraits traits = found == operations_.end() ? OperationTraits() : found->second.traits;
  return link_->call(node, operation, params, {traits.timeout, traits.repeatable, std::move(stop)});
}

Result<base::Struct> NodeControl::fetch(int node, std::string_view operation, const base::Struct& params,
                                        const std::function<Status(std::string_view)>& sink,
                                        const PeerLink::Transfer& transfer) {
  if (node != own_node_)
    return link_ == nullptr ? Result<base::Struct>(no_link(node))
                            : link_->fetch(node, operation, params, sink, transfer);
  const auto source = open_source(operation, params, transfer.stop);
  if (!source) return source.error();
  const auto deadline = std::chrono::steady_clock::now() + transfer.timeout;
  Pace pace(transfer.bytes_per_second);
  for (;;) {
    const auto piece = (*source)->read(pace.piece());
    if (!piece) return piece.error();
    if (piece->empty()) return (*source)->about();
    if (Status done = pace.pass(piece->size(), deadline, transfer.stop); !done) return done.error();
    if (Status done = sink(*piece); !done) return done.error();
  }
}

Result<base::Value> NodeControl::send(int node, std::string_view operation, const base::Struct& params,
                                      const std::function<Result<std::string>()>& more,
                                      const PeerLink::Transfer& transfer) {
  if (node != own_node_)
    return link_ == nullptr ? Result<base::Value>(no_link(node))
                            : link_->send(node, operation, params, more, transfer);
  const auto sink = open_sink(operation, params, transfer.stop);
  if (!sink) return sink.error();
  const auto deadline = std::chrono::steady_clock::now() + transfer.timeout;
  Pace pace(transfer.bytes_per_second);
  for (;;) {
    const auto piece = more();
    if (!piece) return piece.error();
    if (piece->empty()) return (*sink)->finish();
    if (Status done = pace.pass(piece->size(), deadline, transfer.stop); !done) return done.error();
    if (Status done = (*sink)->write(*piece); !done) return done.error();
  }
}

}  // namespace confd::cluster
