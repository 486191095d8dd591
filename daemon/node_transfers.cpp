#include "daemon/node_transfers.h"

#include <algorithm>
#include <deque>

#include "base/content_checksum.h"
#include "base/text.h"
#include "cluster/node_wire.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using rpc::HttpRequest;
using rpc::HttpResponse;

namespace {

constexpr std::int64_t kLargestPiece = 1 << 20;

HttpResponse as_json(const Result<base::Value>& answer) {
  return {200, {{"Content-Type", "application/json"}}, cluster::wire::render_answer(answer)};
}

std::int64_t number_in(const HttpRequest& request, std::string_view name) {
  return base::parse_int(request.query(name).value_or("")).value_or(-1);
}

}  // namespace

struct NodeTransfers::Transfer {
  int node = 0;
  std::string operation;
  Time deadline;
  // Under NodeTransfers::mutex_.
  Time used;
  bool claimed = false;
  bool ended = false;
  // Of who has claimed it.
  std::unique_ptr<cluster::FileSource> source;
  std::unique_ptr<cluster::FileSink> sink;
  base::ContentChecksum sum;
  std::uint64_t next = 0;         // changed while claimed
  std::deque<HttpResponse> last;  // answers to the pieces before `next`
  bool over = false;              // the newest of them was the end
  std::stop_source stop;
};

NodeTransfers::~NodeTransfers() {
  base::MutexLock lock(mutex_);
  for (const auto& [id, transfer] : transfers_) transfer->stop.request_stop();
}

std::size_t NodeTransfers::open_count() const {
  base::MutexLock lock(mutex_);
  return static_cast<std::size_t>(std::count_if(transfers_.begin(), transfers_.end(),
                                                [](const auto& one) { return !one.second->ended; }));
}

Result<base::Value> NodeTransfers::open(int node, Kind kind, const std::string& operation,
                                        const base::Struct& params, Time deadline) {
  auto transfer = std::make_shared<Transfer>();
  transfer->node = node;
  transfer->operation = operation;
  transfer->deadline = deadline;
  transfer->used = std::chrono::steady_clock::now();
  transfer->claimed = true;  // until it is open
  const std::string id = base::random_hex(random_, 16);
  {
    base::MutexLock lock(mutex_);
    std::size_t in_all = 0, of_node = 0;
    for (const auto& [other_id, other] : transfers_) {
      if (other->ended) continue;
      ++in_all;
      of_node += other->node == node ? 1 : 0;
    }
    if (in_all >= limits_.in_all || of_node >= limits_.per_node)
      return Error{Code::busy, "too many files are on their way (" + std::to_string(in_all) + ", " +
                                   std::to_string(of_node) + " of them for node " + std::to_string(node) +
                                   "); try again later"};
    transfers_.emplace(id, transfer);
  }
  Error error;
  if (kind == Kind::fetch) {
    auto source = nodes_.open_source(operation, params, transfer->stop.get_token());
    if (source)
      transfer->source = std::move(*source);
    else
      error = source.error();
  } else {
    auto sink = nodes_.open_sink(operation, params, transfer->stop.get_token());
    if (sink)
      transfer->sink = std::move(*sink);
    else
      error = sink.error();
  }
  if (transfer->source || transfer->sink) {
    release(*transfer);
    return base::Value(id);
  }
  base::MutexLock lock(mutex_);
  transfers_.erase(id);
  return error;
}

// Without `piece`: whatever comes next.
Result<NodeTransfers::TransferPtr> NodeTransfers::claim(int node, const std::string& id,
                                                        std::optional<std::uint64_t> piece, Time deadline,
                                                        const std::stop_token& stop) {
  base::MutexLock lock(mutex_);
  for (;;) {
    const auto found = transfers_.find(id);
    // Another node's transfer is none.
    if (found == transfers_.end() || found->second->node != node)
      return Error{Code::not_found, "there is no such transfer (any more)"};
    Transfer& one = *found->second;
    if (!one.claimed && (!piece || *piece <= one.next || one.over)) {
      one.claimed = true;
      return found->second;
    }
    if (!one.claimed && *piece > one.next + cluster::wire::kPiecesAhead)
      return Error{Code::conflict, "piece " + std::to_string(*piece) + " is out of order, " +
                                       std::to_string(one.next) + " comes next"};
    // An earlier piece is at work or not there yet, or the same one, asked for again.
    const Time now = std::chrono::steady_clock::now();
    if (now >= deadline) return Error{Code::timeout, "the transfer waits for an earlier piece"};
    if (stop.stop_requested()) return Error{Code::stopped, "the caller does not wait any more"};
    released_.wait_until(mutex_, std::min(deadline, now + std::chrono::seconds(1)));
  }
}

void NodeTransfers::release(Transfer& transfer) {
  base::MutexLock lock(mutex_);
  transfer.claimed = false;
  transfer.ended = transfer.over;
  transfer.used = std::chrono::steady_clock::now();
  released_.notify_all();
}

HttpResponse NodeTransfers::next_piece(Transfer& transfer, const HttpRequest& request) {
  const auto ended = [&](const Result<base::Value>& answer) {
    transfer.over = true;
    transfer.source.reset();
    transfer.sink.reset();
    return as_json(answer);
  };
  if (transfer.over) return as_json(Error{Code::wrong_state, "the transfer has ended"});
  if (transfer.source) {
    const std::int64_t size = std::clamp<std::int64_t>(number_in(request, "size"), 1, kLargestPiece);
    auto piece = transfer.source->read(static_cast<std::size_t>(size));
    if (!piece) return ended(piece.error());
    if (piece->empty())
      return ended(base::Value(
          base::Struct{{"checksum", transfer.sum.finish()}, {"about", transfer.source->about()}}));
    transfer.sum.update(*piece);
    return {200, {{"Content-Type", std::string(cluster::wire::kPieceType)}}, std::move(*piece)};
  }
  if (!request.body.empty()) {
    transfer.sum.update(request.body);
    const base::Status done = transfer.sink->write(request.body);
    return done ? as_json(base::Value()) : ended(done.error());
  }
  const std::string* expected = request.header(cluster::wire::kChecksumHeader);
  if (expected == nullptr) return ended(Error{Code::bad_parameter, "the file ended without a checksum"});
  const std::string sum = transfer.sum.finish();
  if (*expected != sum)
    return ended(Error{Code::io_error, "the file that arrived for '" + transfer.operation +
                                           "' has another checksum than it had when it left; it was dropped, "
                                           "send it again"});
  return ended(transfer.sink->finish());
}

HttpResponse NodeTransfers::piece(int node, const HttpRequest& request, Time deadline, std::stop_token stop) {
  const std::string id(request.path().substr(cluster::wire::kTransferPath.size()));
  const std::int64_t given = number_in(request, "piece");
  if (given < 0 && !request.query("end")) return as_json(Error{Code::bad_parameter, "a piece has a number"});
  const auto number = static_cast<std::uint64_t>(given);
  const auto transfer =
      claim(node, id, request.query("end") ? std::nullopt : std::optional(number), deadline, stop);
  if (!transfer) return as_json(transfer.error());
  Transfer& one = **transfer;
  if (request.query("end")) {
    one.stop.request_stop();
    one.source.reset();
    one.sink.reset();
    base::MutexLock lock(mutex_);
    transfers_.erase(id);
    released_.notify_all();
    return as_json(base::Value());
  }
  HttpResponse answer;
  if (number >= one.next) {
    answer = next_piece(one, request);
    if (number == one.next) {
      ++one.next;
      one.last.push_back(answer);
      if (one.last.size() > cluster::wire::kPiecesAhead) one.last.pop_front();
    }
  } else if (one.next - number <= one.last.size()) {
    answer = one.last[one.last.size() - (one.next - number)];
  } else {
    answer = as_json(Error{Code::conflict, "piece " + std::to_string(number) + " was answered long ago, " +
                                               std::to_string(one.next) + " comes next"});
  }
  release(one);
  return answer;
}

void NodeTransfers::forget_idle(Time now) {
  std::vector<TransferPtr> gone;  // closed after the lock
  base::MutexLock lock(mutex_);
  for (auto it = transfers_.begin(); it != transfers_.end();) {
    const Transfer& one = *it->second;
    // A claimed one is at work: it is stopped, and forgotten the next time.
    const bool late = now >= one.deadline || now - one.used >= limits_.idle;
    if (late && one.claimed) it->second->stop.request_stop();
    if (late && !one.claimed) {
      gone.push_back(it->second);
      it = transfers_.erase(it);
    } else {
      ++it;
    }
  }
  lock.unlock();
  for (const TransferPtr& one : gone) one->stop.request_stop();
}

}  // namespace confd::daemon
