// EventLoop: one thread that waits for sockets and runs what they ask for. Used by the HTTP server only;
// Boost.Asio stays behind it.
//
// Sockets are handed in as non-blocking descriptors and tell when they can be read or written; reading and
// writing is their owner's business (TLS works on the descriptor itself). Thread-safety: post() and
// on_loop_thread() from any thread, everything else on the loop's thread or before start().
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace confd::rpc {

class EventLoop {
 public:
  class SocketEvents {
   public:
    virtual ~SocketEvents() = default;
    virtual void on_readable() = 0;
    virtual void on_writable() = 0;
  };
  class Task {
   public:
    virtual ~Task() = default;
    virtual void run_task() = 0;
  };

  // A descriptor watched by a loop, which owns and closes it. The loop outlives it.
  class Socket {
   public:
    Socket(EventLoop& loop, int descriptor);
    Socket(Socket&&) noexcept;
    ~Socket();
    // One call of `events` follows when the descriptor is ready, unless close() comes first.
    void wait_readable(std::shared_ptr<SocketEvents> events);
    void wait_writable(std::shared_ptr<SocketEvents> events);
    void close();
    int descriptor() const { return descriptor_; }

   private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
    int descriptor_;
  };

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void start(const std::string& thread_name);
  // Lets the loop end once no socket waits any more (their owner closes them), joins the thread and refuses
  // further tasks. Not from the loop's own thread.
  void finish();

  // Runs the task on the loop's thread, at the latest when the loop ends. False, and the task is dropped,
  // when it has ended.
  bool post(std::shared_ptr<Task> task) EXCLUDES(mutex_);
  bool on_loop_thread() const;

  // Runs `tick` every `interval` until cancel_tick().
  void set_tick(std::chrono::milliseconds interval, std::function<void()> tick);
  void cancel_tick();

 private:
  struct Impl;
  void arm_tick();
  void await_tasks();
  void run_tasks() EXCLUDES(mutex_);
  void close_queue() EXCLUDES(mutex_);

  std::unique_ptr<Impl> impl_;
  std::vector<std::shared_ptr<Task>> running_;  // loop thread; keeps its capacity
  base::Mutex mutex_;
  std::vector<std::shared_ptr<Task>> tasks_ GUARDED_BY(mutex_);
  bool finishing_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace confd::rpc
