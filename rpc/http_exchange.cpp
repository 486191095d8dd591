#include "rpc/http_exchange.h"

#include <utility>

#include "rpc/http_connection.h"

namespace confd::rpc {

namespace {

class ConnectionEvents final : public EventStream {
 public:
  ConnectionEvents(std::shared_ptr<HttpConnection> connection, std::uint64_t exchange,
                   std::shared_ptr<std::atomic<bool>> open)
      : connection_(std::move(connection)), exchange_(exchange), open_(std::move(open)) {}
  ~ConnectionEvents() override { close(); }

  bool write(std::string chunk) override {
    if (!open_->load()) return false;
    const std::size_t unread = connection_->unread_events().fetch_add(chunk.size()) + chunk.size();
    if (unread > connection_->event_backlog()) {
      if (open_->exchange(false)) connection_->submit({exchange_, HttpConnection::EndEvents{true}});
      return false;
    }
    connection_->submit({exchange_, HttpConnection::EventChunk{std::move(chunk)}});
    return open_->load();
  }
  void close() override {
    if (open_->exchange(false)) connection_->submit({exchange_, HttpConnection::EndEvents{}});
  }

 private:
  const std::shared_ptr<HttpConnection> connection_;
  const std::uint64_t exchange_;
  const std::shared_ptr<std::atomic<bool>> open_;
};

}  // namespace

Responder::Exchange::Exchange(std::shared_ptr<HttpConnection> connection, std::uint64_t number)
    : connection_(std::move(connection)), number_(number) {}

Responder::Exchange::~Exchange() {
  if (!answered_.load()) {
    connection_->submit({number_, text_answer(500, "the server gave this request up; its log says why")});
  }
}

void Responder::Exchange::decide(HeaderDecision decision) {
  if (!answered_.exchange(true)) connection_->submit({number_, std::move(decision)});
}

void Responder::Exchange::send(HttpResponse response) {
  if (answered_.exchange(true) || connection_->answer_directly(number_, response)) return;
  connection_->submit({number_, std::move(response)});
}

std::shared_ptr<EventStream> Responder::Exchange::begin_events(std::function<void()> on_closed) {
  const bool first = !answered_.exchange(true);
  auto open = std::make_shared<std::atomic<bool>>(first);
  if (first) {
    connection_->submit({number_, HttpConnection::BeginEvents{[open, on_closed = std::move(on_closed)] {
                           open->store(false);
                           if (on_closed) on_closed();
                         }}});
  } else if (on_closed) {
    on_closed();
  }
  return std::make_shared<ConnectionEvents>(connection_, number_, std::move(open));
}

void Responder::Exchange::on_disconnect(std::function<void()> callback) {
  if (!answered_.load()) connection_->submit({number_, HttpConnection::OnDisconnect{std::move(callback)}});
}

void Responder::send(HttpResponse response) const {
  exchange_->send(std::move(response));
}

std::shared_ptr<EventStream> Responder::begin_events(std::function<void()> on_closed) const {
  return exchange_->begin_events(std::move(on_closed));
}

void Responder::on_disconnect(std::function<void()> callback) const {
  exchange_->on_disconnect(std::move(callback));
}

HttpResponse text_answer(unsigned status, const std::string& text) {
  HttpResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"}};
  response.body = text + "\n";
  return response;
}

}  // namespace confd::rpc
