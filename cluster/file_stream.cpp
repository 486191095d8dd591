#include "cluster/file_stream.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

#include "base/mutex.h"
#include "base/text.h"

namespace confd::cluster {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLargestPiece = 1 << 20;
constexpr std::size_t kSmallestPiece = 4 << 10;

// False when the stop came first.
bool wait_until(Clock::time_point when, const std::stop_token& stop) {
  base::Mutex mutex;
  base::CondVar wake;
  const std::stop_callback on_stop(stop, [&] {
    base::MutexLock lock(mutex);
    wake.notify_all();
  });
  base::MutexLock lock(mutex);
  while (!stop.stop_requested() && Clock::now() < when) wake.wait_until(mutex, when);
  return !stop.stop_requested();
}

}  // namespace

void Sha256::Free::operator()(EVP_MD_CTX* context) const {
  EVP_MD_CTX_free(context);
}

// Without SHA-256 no file could be told from another: nothing to go on with.
Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) std::abort();
}

void Sha256::add(std::string_view bytes) {
  if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) std::abort();
}

std::string Sha256::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context_.get(), digest, &size) != 1) std::abort();
  return base::to_hex({reinterpret_cast<const char*>(digest), size});
}

Pace::Pace(std::uint64_t bytes_per_second) : rate_(bytes_per_second), start_(Clock::now()) {}

std::size_t Pace::piece() const {
  if (rate_ == 0) return kLargestPiece;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(rate_ / 4, kSmallestPiece, kLargestPiece));
}

base::Status Pace::pass(std::size_t bytes, Clock::time_point deadline, const std::stop_token& stop) {
  passed_ += bytes;
  Clock::time_point due = Clock::now();
  if (rate_ != 0) {
    const double seconds = static_cast<double>(passed_) / static_cast<double>(rate_);
    due = start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }
  if (!wait_until(std::min(due, deadline), stop))
    return base::Error{base::Code::stopped, "the transfer was stopped"};
  if (Clock::now() >= deadline) return base::Error{base::Code::timeout, "the transfer took too long"};
  return {};
}

}  // namespace confd::cluster
