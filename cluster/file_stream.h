// Files on their way between nodes: what a node operation opens to give or to take one, and the checksum and
// the pace of the way. Used by NodeControl, PeerLink and daemon/node_transfers. Thread-safety: one thread at
// a time each.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/value.h"

typedef struct evp_md_ctx_st EVP_MD_CTX;

namespace confd::cluster {

class FileSource {
 public:
  virtual ~FileSource() = default;
  // At most `most` bytes; empty: the end.
  virtual base::Result<std::string> read(std::size_t most) = 0;
  // What the receiver is told at the end, beside size and checksum.
  virtual base::Struct about() { return {}; }
};

class FileSink {
 public:
  // Without finish() before: the file did not arrive whole, whatever was written goes.
  virtual ~FileSink() = default;
  virtual base::Status write(std::string_view piece) = 0;
  // All is there and its checksum is right. The result goes to the sender.
  virtual base::Result<base::Value> finish() = 0;
};

using FetchOperation = std::function<base::Result<std::unique_ptr<FileSource>>(const base::Struct& params,
                                                                               std::stop_token stop)>;
using SendOperation =
    std::function<base::Result<std::unique_ptr<FileSink>>(const base::Struct& params, std::stop_token stop)>;

class Sha256 {
 public:
  Sha256();
  void add(std::string_view bytes);
  // Lower-case hex; nothing can be added afterwards.
  std::string finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const;
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// Keeps a transfer to `bytes_per_second` (0: no limit) from when it is made.
class Pace {
 public:
  explicit Pace(std::uint64_t bytes_per_second);
  // As much as may go out in one piece without a burst: a quarter of a second's share.
  std::size_t piece() const;
  // Waits until `bytes` more are due. Errors: Code::timeout at the deadline, Code::stopped.
  base::Status pass(std::size_t bytes, std::chrono::steady_clock::time_point deadline,
                    const std::stop_token& stop);

 private:
  const std::uint64_t rate_;
  const std::chrono::steady_clock::time_point start_;
  std::uint64_t passed_ = 0;
};

}  // namespace confd::cluster
