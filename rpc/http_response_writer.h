// The head of an answer as bytes. Used by HttpConnection. Thread-safety: pure functions; DateText one thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "rpc/http_message.h"

namespace confd::rpc {

struct ResponseFrame {
  bool http_1_0 = false;  // what the client speaks; decides whether keep-alive must be said
  bool keep_alive = true;
  bool chunked = false;  // else Content-Length
  std::uint64_t content_length = 0;
  bool gzip = false;
  std::string_view date;
};

// Appends status line, fields and the empty line. Line breaks in values become blanks: a value that a caller
// chose can't start a new field.
void append_head(std::string& out, const HttpResponse& response, const ResponseFrame& frame);

// 1xx, 204 and 304 have neither body nor Content-Length.
bool has_body(unsigned status);

// "Sun, 22 Nov 2026 00:00:00 GMT", formatted once a second.
class DateText {
 public:
  std::string_view now();

 private:
  std::time_t second_ = -1;
  char text_[32] = {};
  std::size_t size_ = 0;
};

}  // namespace confd::rpc
