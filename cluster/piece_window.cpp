#include "cluster/piece_window.h"

#include <system_error>
#include <utility>

namespace confd::cluster {

using base::MutexLock;

PieceWindow::~PieceWindow() {
  {
    MutexLock lock(mutex_);
    closing_ = true;
    waiting_.clear();
    moved_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

void PieceWindow::post(rpc::HttpRequest request) {
  const auto piece = std::make_shared<Piece>();
  piece->request = std::move(request);
  open_.push_back(piece);
  if (width_ > 1) {
    MutexLock lock(mutex_);
    waiting_.push_back(piece);
    const bool more = idle_ < waiting_.size() && threads_.size() < width_;
    moved_.notify_all();
    lock.unlock();
    if (!more) return;
    try {
      threads_.emplace_back([this] { work(); });
      return;
    } catch (const std::system_error&) {  // no thread is left
      if (!threads_.empty()) return;
    }
    lock.lock();
    waiting_.clear();
  }
  auto answer = ask_(std::move(piece->request));
  MutexLock lock(mutex_);
  piece->answer = std::move(answer);
}

PieceWindow::Answer PieceWindow::take() {
  const auto piece = std::move(open_.front());
  open_.pop_front();
  MutexLock lock(mutex_);
  while (!piece->answer) moved_.wait(mutex_);
  return std::move(*piece->answer);
}

void PieceWindow::work() {
  MutexLock lock(mutex_);
  for (;;) {
    ++idle_;
    while (waiting_.empty() && !closing_) moved_.wait(mutex_);
    --idle_;
    if (closing_) return;
    const auto piece = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    auto answer = ask_(std::move(piece->request));
    lock.lock();
    piece->answer = std::move(answer);
    moved_.notify_all();
  }
}

}  // namespace confd::cluster
