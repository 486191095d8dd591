// PieceWindow: several requests for pieces of one file on their way at the same time, each on a connection of
// its own, their answers taken in the order in which they were asked. So one piece is on the wire while the
// other end writes, or reads, the one before it. Used by PeerLink. Thread-safety: one thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "rpc/http_message.h"

namespace confd::cluster {

class PieceWindow {
 public:
  using Answer = base::Result<rpc::HttpResponse>;
  using Ask = std::function<Answer(rpc::HttpRequest request)>;
  // `ask` is called by up to `width` threads at once; it ends by itself (deadline, stop).
  PieceWindow(std::size_t width, Ask ask) : width_(width), ask_(std::move(ask)) {}
  // Waits for the requests that are on their way.
  ~PieceWindow();
  PieceWindow(const PieceWindow&) = delete;
  PieceWindow& operator=(const PieceWindow&) = delete;

  bool full() const { return open_.size() >= width_; }
  bool empty() const { return open_.empty(); }
  // REQUIRES: it is not full.
  void post(rpc::HttpRequest request) EXCLUDES(mutex_);
  // Waits for the answer to the oldest request. REQUIRES: it is not empty.
  Answer take() EXCLUDES(mutex_);

 private:
  struct Piece {
    rpc::HttpRequest request;
    std::optional<Answer> answer;  // under mutex_
  };
  void work() EXCLUDES(mutex_);

  const std::size_t width_;
  const Ask ask_;
  std::deque<std::shared_ptr<Piece>> open_;  // the oldest first
  std::vector<std::thread> threads_;
  base::Mutex mutex_;
  base::CondVar moved_;
  std::deque<std::shared_ptr<Piece>> waiting_ GUARDED_BY(mutex_);  // for a thread
  std::size_t idle_ GUARDED_BY(mutex_) = 0;
  bool closing_ GUARDED_BY(mutex_) = false;
};

}  // namespace confd::cluster
