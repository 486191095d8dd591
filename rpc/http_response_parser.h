// ResponseParser: the answer to one HTTP/1.1 request, fed with bytes as they come (Content-Length, chunked,
// or until the connection ends). Used by HttpsClient. Interim answers (100 Continue and the like) are passed
// over. Thread-safety: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "rpc/http_message.h"

namespace confd::rpc {

class ResponseParser {
 public:
  // `on_body` gets decoded bytes of the body after response() has status and headers; false ends the parsing.
  ResponseParser(bool head_only, std::function<bool(std::string_view)> on_body);
  ~ResponseParser();
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  // Returns how many bytes were used; the rest comes again with more behind it.
  std::size_t put(std::string_view bytes);
  // The connection has ended.
  void put_end();

  bool done() const;         // the answer is whole
  bool header_done() const;  // status and headers are known
  std::optional<std::uint64_t> content_length() const;
  bool ended_by_sink() const;
  const std::string& fault() const;  // why this is no HTTP; empty: nothing wrong
  const HttpResponse& response() const;
  HttpResponse take_response();  // `close` says whether the connection ends with it

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace confd::rpc
