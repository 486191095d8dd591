// Gzip: answers made smaller for clients that accept it (Python's xmlrpc.client does), with zlib at its
// fastest level. The state (256 KiB) is made at the first use and reused. Thread-safety: one thread at a
// time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace confd::rpc {

class GzipEncoder {
 public:
  GzipEncoder();
  ~GzipEncoder();
  GzipEncoder(const GzipEncoder&) = delete;
  GzipEncoder& operator=(const GzipEncoder&) = delete;

  // False, and `out` untouched, when the result would not be smaller than the text.
  bool encode(std::string_view text, std::string& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Value of an Accept-Encoding field: does it take gzip (by name, or by * without a refusal)?
bool accepts_gzip(std::string_view accept_encoding);

}  // namespace confd::rpc
