// Responder::Exchange: one request's way back to its connection. Used by HttpConnection and Responder.
// Thread-safety: any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "rpc/http_server.h"

namespace confd::rpc {

class HttpConnection;

class Responder::Exchange {
 public:
  Exchange(std::shared_ptr<HttpConnection> connection, std::uint64_t number);
  // Nobody can answer any more: sends 500 if nobody did.
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void decide(HeaderDecision decision);
  void send(HttpResponse response);
  std::shared_ptr<EventStream> begin_events(std::function<void()> on_closed);
  void on_disconnect(std::function<void()> callback);

 private:
  const std::shared_ptr<HttpConnection> connection_;
  const std::uint64_t number_;
  std::atomic<bool> answered_{false};
};

// A refusal of the server itself, as text/plain.
HttpResponse text_answer(unsigned status, const std::string& text);

}  // namespace confd::rpc
