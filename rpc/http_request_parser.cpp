#include "rpc/http_request_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstring>
#include <limits>
#include <string>

#include "base/text.h"

namespace confd::rpc {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using beast::error_code;

// Chunk headers, extensions and trailers that never end are refused at this size.
constexpr std::size_t kChunkLineLimit = 8 * 1024;

class Parser final : public http::basic_parser<true> {
 public:
  Parser(HttpRequest& request, BodySink& sink) : request_(request), sink_(sink) {}
  const RequestParser::Fault& fault() const { return fault_; }
  int version() const { return version_; }
  void refuse(unsigned status, const char* text) {
    if (fault_.status == 0) fault_ = {status, text};
  }

 private:
  static std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

  void on_request_impl(http::verb, beast::string_view method, beast::string_view target, int version,
                       error_code&) override {
    request_.method.assign(method.data(), method.size());
    std::string_view path = view(target);
    for (const std::string_view scheme : {"http://", "https://"}) {  // absolute form, as sent to proxies
      if (path.substr(0, scheme.size()) != scheme) continue;
      const std::size_t slash = path.find_first_of("/?", scheme.size());
      path = slash == std::string_view::npos ? std::string_view("/") : path.substr(slash);
    }
    request_.target.assign(path);
    version_ = version;
  }
  void on_response_impl(int, beast::string_view, int, error_code&) override {}
  void on_field_impl(http::field field, beast::string_view name, beast::string_view value,
                     error_code&) override {
    if (is_header_done()) return;  // trailers change nothing
    if (field == http::field::transfer_encoding) {
      if (transfer_encoding_) refuse(400, "several Transfer-Encoding fields");
      transfer_encoding_ = true;
      if (!base::equals_ignoring_case(view(value), "chunked")) {
        refuse(501, "Transfer-Encoding other than chunked is not supported");
      }
      if (version_ < 11) refuse(400, "Transfer-Encoding in an HTTP/1.0 request");
    } else if (field == http::field::content_length) {
      if (content_length_) refuse(400, "several Content-Length fields");
      content_length_ = true;
    } else if (field == http::field::host) {
      if (host_) refuse(400, "several Host fields");
      host_ = true;
    }
    request_.headers.emplace_back(std::string(name.data(), name.size()),
                                  std::string(value.data(), value.size()));
  }
  void on_header_impl(error_code&) override {
    if (transfer_encoding_ && content_length_) refuse(400, "Content-Length together with Transfer-Encoding");
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view bytes, error_code&) override {
    sink_.on_body(view(bytes));
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes, error_code&) override {
    sink_.on_body(view(bytes));
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}

  HttpRequest& request_;
  BodySink& sink_;
  RequestParser::Fault fault_;
  int version_ = 11;
  bool transfer_encoding_ = false;
  bool content_length_ = false;
  bool host_ = false;
};

const char* describe(const error_code& error) {
  if (error == http::error::bad_method) return "the method is not a token";
  if (error == http::error::bad_target) return "the target has characters that may not stand there";
  if (error == http::error::bad_version) return "the version is not HTTP/1.0 or HTTP/1.1";
  if (error == http::error::bad_field) return "a header field is malformed";
  if (error == http::error::bad_value) return "the value of a header field is malformed";
  if (error == http::error::bad_content_length) return "Content-Length is not one number";
  if (error == http::error::multiple_content_length) return "several Content-Length values";
  if (error == http::error::bad_transfer_encoding) return "Transfer-Encoding contradicts another field";
  if (error == http::error::bad_chunk || error == http::error::bad_chunk_extension) {
    return "the chunked body is malformed";
  }
  return "this is not an HTTP request";
}

bool has_folded_line(std::string_view header) {
  for (std::size_t at = header.find('\n'); at != std::string_view::npos; at = header.find('\n', at + 1)) {
    if (at + 1 < header.size() && (header[at + 1] == ' ' || header[at + 1] == '\t')) return true;
  }
  return false;
}

}  // namespace

struct RequestParser::Impl {
  explicit Impl(BodySink& to) : sink(to) {}
  BodySink& sink;
  std::optional<Parser> parser;
  std::size_t header_limit = 0;
  std::size_t searched = 0;  // bytes in which the end of the header is not
};

RequestParser::RequestParser(BodySink& sink) : impl_(std::make_unique<Impl>(sink)) {}
RequestParser::~RequestParser() = default;

void RequestParser::begin(HttpRequest& request, std::size_t header_limit) {
  Parser& parser = impl_->parser.emplace(request, impl_->sink);
  parser.header_limit(static_cast<std::uint32_t>(
      std::min<std::size_t>(header_limit, std::numeric_limits<std::uint32_t>::max())));
  parser.body_limit(boost::none);  // the connection counts: its limit is known only after the header
  impl_->header_limit = header_limit;
  impl_->searched = 0;
}

// Beast would take single lines as they come; then neither the length of the whole nor a folded line could be
// seen.
std::size_t RequestParser::put_header(std::string_view bytes) {
  Parser& parser = *impl_->parser;
  const std::size_t from = impl_->searched > 3 ? impl_->searched - 3 : 0;
  const std::size_t end = bytes.substr(0, impl_->header_limit).find("\r\n\r\n", from);
  if (end == std::string_view::npos) {
    impl_->searched = bytes.size();
    if (bytes.size() >= impl_->header_limit) parser.refuse(431, "the request header is too long");
    return 0;
  }
  const std::string_view header = bytes.substr(0, end + 4);
  error_code error;
  const std::size_t used = parser.put(boost::asio::const_buffer(header.data(), header.size()), error);
  if (error || !parser.is_header_done()) {
    parser.refuse(400, describe(error));
  } else if (has_folded_line(header)) {
    parser.refuse(400, "a header line is folded");
  }
  return used;
}

std::size_t RequestParser::put_body(std::string_view bytes) {
  Parser& parser = *impl_->parser;
  std::size_t used = 0;
  while (used < bytes.size() && !parser.is_done()) {
    error_code error;
    const std::size_t now =
        parser.put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), error);
    used += now;
    if (error == http::error::need_more) {
      if (bytes.size() - used > kChunkLineLimit) parser.refuse(400, "a chunk header or trailer is too long");
      if (now == 0 || parser.fault().status != 0) break;
    } else if (error) {
      parser.refuse(400, describe(error));
      break;
    }
  }
  return used;
}

const RequestParser::Fault& RequestParser::fault() const {
  return impl_->parser->fault();
}
bool RequestParser::header_done() const {
  return impl_->parser->is_header_done();
}
bool RequestParser::done() const {
  return impl_->parser->is_done();
}
bool RequestParser::keep_alive() const {
  return impl_->parser->keep_alive();
}
bool RequestParser::http_1_0() const {
  return impl_->parser->version() < 11;
}
bool RequestParser::chunked() const {
  return impl_->parser->chunked();
}

std::optional<std::uint64_t> RequestParser::content_length() const {
  const auto length = impl_->parser->content_length();
  if (!length) return std::nullopt;
  return *length;
}

}  // namespace confd::rpc
