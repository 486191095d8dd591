// The watch of EtcdClient: one chunked answer that goes on, a JSON message a line.
#include <chrono>
#include <optional>
#include <utility>

#include "cluster/etcd_client.h"
#include "cluster/etcd_connections.h"
#include "cluster/etcd_json.h"

namespace confd::cluster {

using base::Code;
using base::Error;
using base::Status;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kLongestMessage = 256u << 20;

using Each = std::function<bool(std::int64_t, const std::vector<EtcdClient::Event>&)>;

// Puts lines together and hands them on; what ends the watch is kept.
class WatchReader {
 public:
  explicit WatchReader(const Each& each) : each_(each) {}
  // False: the watch has ended, see outcome().
  bool take(std::string_view bytes) {
    // Only the new bytes can hold the end of the line.
    std::size_t from = buffer_.size();
    buffer_.append(bytes);
    std::size_t begin = 0;
    for (std::size_t end; (end = buffer_.find('\n', from)) != std::string::npos; from = begin) {
      if (!take_line(std::string_view(buffer_).substr(begin, end - begin))) return false;
      begin = end + 1;
    }
    buffer_.erase(0, begin);
    if (buffer_.size() > kLongestMessage)
      return end_with(Error{Code::io_error, "a message of etcd has no end"});
    return true;
  }
  bool created() const { return created_; }
  const std::optional<Status>& outcome() const { return outcome_; }

 private:
  bool end_with(Status outcome) {
    outcome_ = std::move(outcome);
    return false;
  }
  bool take_line(std::string_view line) {
    if (line.empty()) return true;
    const auto message = etcd_json::watch_message(line);
    if (!message) return end_with(message.error());
    if (message->compact_revision != 0) {
      return end_with(Error{Code::not_found, "etcd's revision " + std::to_string(message->compact_revision) +
                                                 " and those before it are compacted away or were never "
                                                 "there; read a snapshot and watch from there"});
    }
    if (message->canceled) {
      if (message->cancel_reason.empty()) {
        return end_with(Error{Code::node_unreachable, "etcd ended the watch without a reason"});
      }
      return end_with(etcd_json::refusal_of(message->cancel_reason).error);
    }
    if (message->created) {
      created_ = true;
      if (message->events.empty()) return true;  // its revision is the store's, not one we have seen all of
    }
    if (!each_(message->revision, message->events)) return end_with({});
    return true;
  }

  const Each& each_;
  std::string buffer_;
  bool created_ = false;
  std::optional<Status> outcome_;
};

}  // namespace

Status EtcdClient::watch(const std::string& key, const std::string& range_end, std::int64_t from_revision,
                         const Each& each, std::chrono::milliseconds silence, std::stop_token stop) {
  const rpc::HttpRequest request =
      etcd_request("/v3/watch", etcd_json::watch_request(key, range_end, from_revision), true);
  Error last{Code::no_quorum, "no endpoint of etcd is configured"};
  for (std::size_t turn = 0; turn < connections().size(); ++turn) {
    std::size_t number = 0;
    rpc::HttpsClient client = connections().stream_client(number);
    rpc::HttpsClient::Limits limits;
    limits.deadline = Clock::time_point::max();
    limits.connect_by = Clock::now() + silence / static_cast<long>(connections().size());
    limits.stop = stop;
    WatchReader reader(each);
    const auto ended = client.stream(
        request, [&](std::string_view bytes) { return reader.take(bytes); }, limits, silence);
    if (reader.outcome()) {
      const Status& outcome = *reader.outcome();
      if (!outcome && outcome.error().code == Code::no_quorum) connections().failed(number);
      return outcome;
    }
    if (!ended && ended.error().code == Code::stopped) return ended.error();
    if (ended && ended->status == 200) {
      last = {Code::node_unreachable, "etcd ended the watch"};
    } else {
      last = ended ? etcd_json::refusal(ended->status, ended->body).error : ended.error();
    }
    connections().failed(number);
    // What has begun is gone on with by the caller, who knows from where.
    if (reader.created() || client.request_sent()) return last;
  }
  if (last.code == Code::node_unreachable || last.code == Code::timeout) last.code = Code::no_quorum;
  return last;
}

}  // namespace confd::cluster
