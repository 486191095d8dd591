// RequestParser: bytes -> HttpRequest, strictly. Used by HttpConnection; Boost.Beast's parser does the work.
//
// Refused beyond what Beast refuses: folded header lines, Content-Length with Transfer-Encoding in any order,
// Transfer-Encoding other than exactly "chunked" or in HTTP/1.0, several Host fields: all of these let two
// programs see two different requests in the same bytes. Thread-safety: one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "rpc/http_message.h"

namespace confd::rpc {

class BodySink {
 public:
  virtual ~BodySink() = default;
  virtual void on_body(std::string_view bytes) = 0;
};

class RequestParser {
 public:
  struct Fault {
    unsigned status = 0;  // 0 = none
    const char* text = "";
  };

  explicit RequestParser(BodySink& sink);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // A new request; its header goes to `request`, which outlives put_header().
  void begin(HttpRequest& request, std::size_t header_limit);
  // Both return how many bytes were used; the rest comes again with more behind it. put_header() uses nothing
  // until the header is whole.
  std::size_t put_header(std::string_view bytes);
  std::size_t put_body(std::string_view bytes);

  const Fault& fault() const;
  bool header_done() const;
  bool done() const;
  // REQUIRES: header_done()
  bool keep_alive() const;
  bool http_1_0() const;
  bool chunked() const;
  std::optional<std::uint64_t> content_length() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace confd::rpc
