#include "storage/piece_fanout.h"

#include <algorithm>

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;

namespace {
constexpr std::size_t kAhead = 4;
}

PieceFanout::PieceFanout(std::size_t takers, std::chrono::milliseconds patience, Time deadline,
                         std::stop_token stop)
    : patience_(patience), deadline_(deadline), stop_(stop), takers_(takers), on_stop_(stop, [this] {
        for (Taker& taker : takers_) taker.stop.request_stop();
        MutexLock lock(mutex_);
        moved_.notify_all();
      }) {}

bool PieceFanout::give(std::string piece) {
  const auto shared = std::make_shared<std::string>(std::move(piece));
  const Time until = std::min(deadline_, std::chrono::steady_clock::now() + patience_);
  MutexLock lock(mutex_);
  const auto full = [](const Taker& taker) { return !taker.gone && taker.queue.size() >= kAhead; };
  while (!stop_.stop_requested() && std::any_of(takers_.begin(), takers_.end(), full))
    if (moved_.wait_until(mutex_, until) == std::cv_status::timeout) break;
  bool any = false;
  for (Taker& taker : takers_) {
    if (full(taker)) {
      taker.gone = true;
      taker.stop.request_stop();
    }
    if (taker.gone) continue;
    taker.queue.push_back(shared);
    any = true;
  }
  moved_.notify_all();
  return any && !stop_.stop_requested();
}

void PieceFanout::end(base::Status why) {
  MutexLock lock(mutex_);
  ended_ = true;
  why_ = std::move(why);
  moved_.notify_all();
}

Result<std::string> PieceFanout::take(std::size_t taker) {
  MutexLock lock(mutex_);
  Taker& mine = takers_[taker];
  while (mine.queue.empty() && !ended_ && !mine.gone && !stop_.stop_requested())
    if (moved_.wait_until(mutex_, deadline_) == std::cv_status::timeout) break;
  if (stop_.stop_requested()) return Error{Code::stopped, "the write was stopped"};
  if (mine.gone) return Error{Code::timeout, "the copy was too slow"};
  if (ended_ && !why_) return why_.error();
  if (!mine.queue.empty()) {
    const auto piece = std::move(mine.queue.front());
    mine.queue.pop_front();
    moved_.notify_all();
    // The last one to take it needs no copy of it.
    return piece.use_count() == 1 ? std::move(*piece) : *piece;
  }
  if (ended_) return std::string();
  return Error{Code::timeout, "the write took too long"};
}

void PieceFanout::leave(std::size_t taker) {
  MutexLock lock(mutex_);
  takers_[taker].gone = true;
  takers_[taker].queue.clear();
  moved_.notify_all();
}

}  // namespace confd::storage
