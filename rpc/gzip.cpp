#include "rpc/gzip.h"

#include <zlib.h>

#include <limits>
#include <optional>

#include "base/text.h"

namespace confd::rpc {

namespace {
constexpr int kFastest = 1;
constexpr int kGzipFormat = 15 + 16;
constexpr int kDefaultMemory = 8;
}  // namespace

struct GzipEncoder::State {
  z_stream stream{};
  bool ready = false;
  ~State() {
    if (ready) deflateEnd(&stream);
  }
};

GzipEncoder::GzipEncoder() : state_(std::make_unique<State>()) {}
GzipEncoder::~GzipEncoder() = default;

bool GzipEncoder::encode(std::string_view text, std::string& out) {
  if (text.size() > std::numeric_limits<uInt>::max()) return false;
  z_stream& stream = state_->stream;
  if (!state_->ready) {
    if (deflateInit2(&stream, kFastest, Z_DEFLATED, kGzipFormat, kDefaultMemory, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
      return false;
    }
    state_->ready = true;
  } else if (deflateReset(&stream) != Z_OK) {
    return false;
  }
  std::string packed(text.size(), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return false;  // ran out of room: not smaller
  packed.resize(packed.size() - stream.avail_out);
  packed.shrink_to_fit();
  out = std::move(packed);
  return true;
}

bool accepts_gzip(std::string_view accept_encoding) {
  std::optional<bool> any;
  while (!accept_encoding.empty()) {
    const std::string_view item = accept_encoding.substr(0, accept_encoding.find(','));
    accept_encoding.remove_prefix(std::min(accept_encoding.size(), item.size() + 1));
    const std::string_view coding = base::trim(item.substr(0, item.find(';')));
    bool wanted = true;
    if (const std::size_t semicolon = item.find(';'); semicolon != std::string_view::npos) {
      const std::string_view weight = base::trim(item.substr(semicolon + 1));
      wanted = weight.size() < 3 || weight.find_first_not_of("0.", 2) != std::string_view::npos;
    }
    if (base::equals_ignoring_case(coding, "gzip") || base::equals_ignoring_case(coding, "x-gzip"))
      return wanted;
    if (coding == "*") any = wanted;
  }
  return any.value_or(false);
}

}  // namespace confd::rpc
