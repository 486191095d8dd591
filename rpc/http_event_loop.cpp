#include "rpc/http_event_loop.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>

namespace confd::rpc {

namespace asio = boost::asio;
using boost::system::error_code;

struct EventLoop::Impl {
  asio::io_context context{1};  // one thread runs it
  asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
  asio::steady_timer timer{context};
  std::chrono::milliseconds interval{0};
  std::function<void()> tick;
  std::thread thread;
  std::atomic<std::thread::id> thread_id{};
  // Wakes the loop. Asio's own way (asio::post) does it under a lock that the woken thread wants at once: on
  // one core that is two context switches more for each answer.
  asio::posix::stream_descriptor waker{context};
  std::uint64_t wakes = 0;  // read and forgotten
  bool finishing = false;   // loop thread
};

struct EventLoop::Socket::Impl {
  explicit Impl(asio::io_context& context, int descriptor) : stream(context, descriptor) {}
  asio::posix::stream_descriptor stream;
};

EventLoop::Socket::Socket(EventLoop& loop, int descriptor)
    : impl_(std::make_unique<Impl>(loop.impl_->context, descriptor)), descriptor_(descriptor) {}
EventLoop::Socket::Socket(Socket&&) noexcept = default;
EventLoop::Socket::~Socket() {
  close();
}

void EventLoop::Socket::wait_readable(std::shared_ptr<SocketEvents> events) {
  impl_->stream.async_wait(asio::posix::stream_descriptor::wait_read,
                           [events = std::move(events)](error_code error) {
                             if (!error) events->on_readable();
                           });
}

void EventLoop::Socket::wait_writable(std::shared_ptr<SocketEvents> events) {
  impl_->stream.async_wait(asio::posix::stream_descriptor::wait_write,
                           [events = std::move(events)](error_code error) {
                             if (!error) events->on_writable();
                           });
}

void EventLoop::Socket::close() {
  if (!impl_ || !impl_->stream.is_open()) return;
  error_code ignored;
  impl_->stream.close(ignored);
  descriptor_ = -1;
}

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {
  const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  impl_->waker.assign(descriptor);
  await_tasks();
}
EventLoop::~EventLoop() {
  finish();
}

void EventLoop::start(const std::string& thread_name) {
  impl_->thread = std::thread([this] {
    impl_->thread_id = std::this_thread::get_id();
    impl_->context.run();
    close_queue();
    impl_->thread_id = std::thread::id();
  });
  pthread_setname_np(impl_->thread.native_handle(), thread_name.substr(0, 15).c_str());
}

void EventLoop::finish() {
  {
    base::MutexLock lock(mutex_);
    finishing_ = true;
  }
  asio::post(impl_->context, [this] {
    impl_->finishing = true;
    impl_->waker.cancel();
    run_tasks();
  });
  impl_->guard.reset();
  if (impl_->thread.joinable()) {
    impl_->thread.join();
  } else {
    close_queue();
  }
}

bool EventLoop::post(std::shared_ptr<Task> task) {
  bool wake = false;
  bool finishing = false;
  {
    base::MutexLock lock(mutex_);
    if (closed_) return false;
    wake = tasks_.empty();
    finishing = finishing_;
    tasks_.push_back(std::move(task));
  }
  if (!wake) return true;
  constexpr std::uint64_t kOne = 1;
  if (finishing || ::write(impl_->waker.native_handle(), &kOne, sizeof kOne) != sizeof kOne)
    asio::post(impl_->context, [this] { run_tasks(); });
  return true;
}

void EventLoop::await_tasks() {
  impl_->waker.async_read_some(asio::buffer(&impl_->wakes, sizeof impl_->wakes),
                               [this](error_code error, std::size_t) {
                                 if (error || impl_->finishing) return;
                                 run_tasks();
                                 await_tasks();
                               });
}

void EventLoop::run_tasks() {
  {
    base::MutexLock lock(mutex_);
    running_.swap(tasks_);
  }
  for (std::shared_ptr<Task>& task : running_) {
    task->run_task();
    task.reset();
  }
  running_.clear();
}

void EventLoop::close_queue() {
  std::vector<std::shared_ptr<Task>> left;
  base::MutexLock lock(mutex_);
  closed_ = true;
  left.swap(tasks_);
  lock.unlock();
  for (const std::shared_ptr<Task>& task : left) task->run_task();  // they tell their owners that all is over
}

bool EventLoop::on_loop_thread() const {
  return impl_->thread_id.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void EventLoop::set_tick(std::chrono::milliseconds interval, std::function<void()> tick) {
  impl_->interval = interval;
  impl_->tick = std::move(tick);
  arm_tick();
}

void EventLoop::arm_tick() {
  impl_->timer.expires_after(impl_->interval);
  impl_->timer.async_wait([this](error_code error) {
    if (error || !impl_->tick) return;
    impl_->tick();
    if (impl_->tick) arm_tick();
  });
}

void EventLoop::cancel_tick() {
  impl_->tick = nullptr;
  impl_->timer.cancel();
}

}  // namespace confd::rpc
