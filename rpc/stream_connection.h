// StreamConnection: one client of a StreamServer, from handshake to close. Thread-safety: one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "rpc/http_request_parser.h"
#include "rpc/http_response_writer.h"
#include "rpc/stream_server.h"
#include "rpc/stream_socket.h"

namespace confd::rpc {

class StreamConnection final : public StreamExchange, private BodySink {
 public:
  // All outlive this.
  StreamConnection(const StreamServerOptions& options, StreamHandler& handler, StreamSocket& socket,
                   std::string address, std::stop_token stop, std::stop_token drain);

  // Serves requests until the client or the server ends it.
  void run();

  const HttpRequest& request() const override { return request_; }
  std::optional<std::uint64_t> content_length() const override;
  base::Result<std::string> read(std::size_t most) override;
  base::Status send(HttpResponse response) override;
  base::Status begin(const HttpResponse& head, std::uint64_t size) override;
  base::Status write(std::string_view bytes) override;
  std::stop_token stop() const override { return stop_; }

 private:
  using Time = StreamSocket::Time;
  // False: the connection ends.
  bool read_header();
  bool refuse(unsigned status, const std::string& text);
  void handle();
  bool drop_rest();
  bool body_done() const;
  // Waits for more of the body; what came is in pending_.
  base::Status fill(Time deadline);
  void on_body(std::string_view bytes) override { pending_.append(bytes); }

  const StreamServerOptions& options_;
  StreamHandler& handler_;
  StreamSocket& socket_;
  const std::string address_;
  const std::stop_token stop_, drain_;
  std::string buffer_;   // room for what is read
  std::string in_;       // read and not used yet
  std::string pending_;  // of the body, decoded, not taken yet
  RequestParser parser_;
  DateText date_;
  HttpRequest request_;
  bool keep_alive_ = true;
  bool expects_continue_ = false;
  bool answered_ = false;
  bool linger_ = false;                     // the client may still be sending
  std::optional<std::uint64_t> body_left_;  // of a body that is not chunked: no parser needs to see it
  std::uint64_t left_ = 0;                  // bytes of the answer that are due
};

}  // namespace confd::rpc
