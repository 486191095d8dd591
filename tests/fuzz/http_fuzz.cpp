// Any bytes into the HTTP request parser, whole and cut in two at any place: both must read the same
// requests, or the boundary of a packet would change what a request means.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rpc/http_request_parser.h"

using namespace confd::rpc;

namespace {

// Reads pipelined requests as HttpConnection does and writes down what it saw.
class Reader final : public BodySink {
 public:
  void feed(std::string_view bytes) {
    pending_.append(bytes);
    while (!refused_ && !pending_.empty()) {
      if (!begun_) {
        request_ = HttpRequest();
        parser_.begin(request_, 8 * 1024);
        begun_ = true;
      }
      const bool in_body = parser_.header_done();
      const std::size_t used = in_body ? parser_.put_body(pending_) : parser_.put_header(pending_);
      if (used > pending_.size()) std::abort();
      pending_.erase(0, used);
      if (parser_.fault().status != 0) {
        refused_ = true;
      } else if (!in_body && parser_.header_done()) {
        note_header();
      }
      if (!refused_ && parser_.header_done() && parser_.done()) {
        seen_ += "\nend\n";
        begun_ = false;
      } else if (used == 0) {
        return;
      }
    }
  }
  void on_body(std::string_view bytes) override { seen_.append(bytes); }
  std::string transcript() const { return seen_ + (refused_ ? "refused" : "waiting"); }

 private:
  void note_header() {
    if (parser_.chunked() && parser_.content_length()) std::abort();
    seen_ += request_.method + " " + request_.target + "\n";
    for (const auto& [name, value] : request_.headers) {
      if (name.find_first_of(std::string_view("\r\n\0 :", 5)) != std::string::npos) std::abort();
      if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) std::abort();
      seen_ += name + "=" + value + "\n";
    }
    (void)request_.path();
    (void)request_.query("info_type");
  }

  RequestParser parser_{*this};
  HttpRequest request_;
  std::string pending_;
  std::string seen_;
  bool begun_ = false;
  bool refused_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t cut = (data[0] * 256u + data[1]) % size;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  Reader whole;
  whole.feed(bytes);
  Reader halves;
  halves.feed(bytes.substr(0, std::min(cut, bytes.size())));
  halves.feed(bytes.substr(std::min(cut, bytes.size())));
  if (whole.transcript() != halves.transcript()) std::abort();
  return 0;
}
