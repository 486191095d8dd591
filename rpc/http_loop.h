// HttpLoop: an event loop and what its connections share, so that an idle one holds no buffer of its own.
// Thread-safety: `events` as EventLoop says, all else on the loop's thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "rpc/gzip.h"
#include "rpc/http_event_loop.h"
#include "rpc/http_response_writer.h"

namespace confd::rpc {

class HttpConnection;

struct HttpLoop {
  // One TLS record fits: what one read gives is parsed where it lies.
  static constexpr std::size_t kInputSize = 16 * 1024;

  std::vector<char> input = std::vector<char>(kInputSize);
  std::string output;  // an answer on its way to the socket; only what the socket refuses is copied
  GzipEncoder gzip;
  DateText date;
  bool closing = false;  // no new connection
  EventLoop events;
  std::atomic<std::size_t> lent{0};  // connections another thread may take (any thread)
  std::vector<std::shared_ptr<HttpConnection>> connections;  // open ones
};

}  // namespace confd::rpc
