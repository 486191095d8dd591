#include "rpc/http_response_writer.h"

#include <charconv>

#include "base/text.h"

namespace confd::rpc {

namespace {

void append_number(std::string& out, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

void append_value(std::string& out, std::string_view value) {
  const std::size_t start = out.size();
  out.append(value);
  for (std::size_t at = out.find_first_of(std::string_view("\r\n\0", 3), start); at != std::string::npos;
       at = out.find_first_of(std::string_view("\r\n\0", 3), at)) {
    out[at] = ' ';
  }
}

bool is_ours(std::string_view name) {
  for (const std::string_view ours :
       {"Content-Length", "Transfer-Encoding", "Connection", "Date", "Server"}) {
    if (base::equals_ignoring_case(name, ours)) return true;
  }
  return false;
}

}  // namespace

bool has_body(unsigned status) {
  return status >= 200 && status != 204 && status != 304;
}

void append_head(std::string& out, const HttpResponse& response, const ResponseFrame& frame) {
  out.append("HTTP/1.1 ");
  append_number(out, response.status);
  out.push_back(' ');
  out.append(reason_phrase(response.status));
  out.append("\r\nServer: confd\r\nDate: ");
  out.append(frame.date);
  for (const auto& [name, value] : response.headers) {
    if (is_ours(name)) continue;
    out.append("\r\n");
    append_value(out, name);
    out.append(": ");
    append_value(out, value);
  }
  if (frame.gzip) out.append("\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding");
  if (!frame.keep_alive) {
    out.append("\r\nConnection: close");
  } else if (frame.http_1_0) {
    out.append("\r\nConnection: keep-alive");
  }
  if (frame.chunked) {
    out.append("\r\nTransfer-Encoding: chunked");
  } else if (has_body(response.status)) {
    out.append("\r\nContent-Length: ");
    append_number(out, frame.content_length);
  }
  out.append("\r\n\r\n");
}

std::string_view DateText::now() {
  const std::time_t second = std::time(nullptr);
  if (second != second_) {
    std::tm utc{};
    gmtime_r(&second, &utc);
    size_ = std::strftime(text_, sizeof text_, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    second_ = second;
  }
  return {text_, size_};
}

}  // namespace confd::rpc
