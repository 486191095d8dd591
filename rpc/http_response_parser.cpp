#include "rpc/http_response_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>
#include <utility>

namespace confd::rpc {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using beast::error_code;

constexpr std::uint32_t kHeaderLimit = 64 * 1024;
// Chunk headers and trailers that never end are refused at this size.
constexpr std::size_t kChunkLineLimit = 8 * 1024;

using Sink = std::function<bool(std::string_view)>;

class Parser final : public http::basic_parser<false> {
 public:
  Parser(HttpResponse& response, const Sink& sink) : response_(response), sink_(sink) {}
  bool ended_by_sink() const { return ended_by_sink_; }

 private:
  void on_request_impl(http::verb, beast::string_view, beast::string_view, int, error_code&) override {}
  void on_response_impl(int status, beast::string_view, int, error_code&) override {
    response_.status = static_cast<unsigned>(status);
  }
  void on_field_impl(http::field, beast::string_view name, beast::string_view value, error_code&) override {
    if (is_header_done()) return;  // trailers change nothing
    response_.headers.emplace_back(std::string(name.data(), name.size()),
                                   std::string(value.data(), value.size()));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view bytes, error_code& error) override {
    return pass(bytes, error);
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes, error_code& error) override {
    return pass(bytes, error);
  }
  void on_finish_impl(error_code&) override {}

  std::size_t pass(beast::string_view bytes, error_code& error) {
    if (!bytes.empty() && !sink_({bytes.data(), bytes.size()})) {
      ended_by_sink_ = true;
      error = http::error::end_of_stream;
    }
    return bytes.size();
  }

  HttpResponse& response_;
  const Sink& sink_;
  bool ended_by_sink_ = false;
};

}  // namespace

struct ResponseParser::Impl {
  void begin() {
    response = {};
    parser.emplace(response, sink);
    parser->header_limit(kHeaderLimit);
    parser->body_limit(boost::none);  // the sink counts
    parser->skip(head_only);
  }

  bool head_only = false;
  Sink sink;
  HttpResponse response;
  std::optional<Parser> parser;
  std::string fault;
};

ResponseParser::ResponseParser(bool head_only, Sink on_body) : impl_(std::make_unique<Impl>()) {
  impl_->head_only = head_only;
  impl_->sink = std::move(on_body);
  impl_->begin();
}
ResponseParser::~ResponseParser() = default;

std::size_t ResponseParser::put(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && !done() && impl_->fault.empty() && !ended_by_sink()) {
    error_code error;
    const std::size_t now =
        impl_->parser->put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), error);
    used += now;
    if (ended_by_sink()) break;
    if (error == http::error::need_more) {
      if (header_done() && bytes.size() - used > kChunkLineLimit) {
        impl_->fault = "a chunk header or trailer is too long";
      } else if (!header_done() && bytes.size() - used > kHeaderLimit) {
        impl_->fault = "the header is too long";
      }
      if (now == 0) break;
    } else if (error) {
      impl_->fault = error.message();
    } else if (header_done() && impl_->response.status < 200 && impl_->response.status != 101) {
      impl_->begin();
    }
  }
  return used;
}

void ResponseParser::put_end() {
  if (done() || !impl_->parser->got_some()) return;
  error_code error;
  impl_->parser->put_eof(error);
}

bool ResponseParser::done() const {
  return impl_->parser->is_done();
}
bool ResponseParser::header_done() const {
  return impl_->parser->is_header_done();
}
std::optional<std::uint64_t> ResponseParser::content_length() const {
  const auto length = impl_->parser->content_length();
  if (!length) return std::nullopt;
  return *length;
}
bool ResponseParser::ended_by_sink() const {
  return impl_->parser->ended_by_sink();
}
const std::string& ResponseParser::fault() const {
  return impl_->fault;
}
const HttpResponse& ResponseParser::response() const {
  return impl_->response;
}

HttpResponse ResponseParser::take_response() {
  impl_->response.close = !impl_->parser->keep_alive();
  return std::move(impl_->response);
}

}  // namespace confd::rpc
