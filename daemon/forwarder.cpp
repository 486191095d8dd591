#include "daemon/forwarder.h"

#include <optional>

#include "base/mutex.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Struct;
using base::Value;
using rpc::HttpRequest;
using rpc::HttpResponse;

namespace {

constexpr std::string_view kOperation = "rpc.call";
// A job that its caller waits for may run for hours.
constexpr std::chrono::hours kLongest{24};

std::string text_of(const Struct& params, std::string_view name) {
  return params.find(name)->as_string();
}

HttpResponse failed(const Error& error) {
  const bool is_unknown = error.code == Code::unknown_outcome;
  HttpResponse response;
  response.status = error.code == Code::timeout ? 504 : 502;
  response.headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  response.body = "The master can't be asked: " + error.text +
                  (is_unknown ? "; the call may have been carried out, look at job_history" : "") + "\n";
  return response;
}

}  // namespace

Forwarder::~Forwarder() {
  stop_.request_stop();
}

void Forwarder::forward(int master, const HttpRequest& request, const auth::Identity& caller,
                        DialectAnswer done) {
  const std::string* type = request.header("Content-Type");
  Struct params{{"user", caller.user},
                {"path", std::string(request.path())},
                {"type", type ? *type : std::string()},
                {"body", request.body}};
  threads_.post([this, master, params = std::move(params), done = std::move(done)] {
    const std::string note = "by node " + std::to_string(master);
    const auto asked = nodes_.run(master, kOperation, params, stop_.get_token());
    if (!asked) return done(failed(asked.error()), note + ": " + asked.error().text);
    const Value* status = asked->find("status");
    const Value* answer_type = asked->find("type");
    const Value* body = asked->find("body");
    if (!status || !status->is_int() || !answer_type || !answer_type->is_string() || !body ||
        !body->is_string())
      return done(failed({Code::internal, "its answer has no body"}), note);
    HttpResponse response;
    response.status = static_cast<unsigned>(status->as_int());
    response.headers.emplace_back("Content-Type", answer_type->as_string());
    response.body = body->as_string();
    done(std::move(response), note);
  });
}

void register_forwarding(
    cluster::NodeControl& nodes, std::function<exaconf::ConfigPtr()> config,
    std::function<void(const HttpRequest&, std::shared_ptr<const auth::Identity>, DialectAnswer)> answer) {
  cluster::OperationTraits traits;
  traits.timeout = kLongest;
  traits.params = {{"user", Value::Type::string},
                   {"path", Value::Type::string},
                   {"type", Value::Type::string},
                   {"body", Value::Type::string}};
  nodes.register_operation(
      std::string(kOperation),
      [config = std::move(config), answer = std::move(answer)](const Struct& params,
                                                               std::stop_token stop) -> Result<Value> {
        const exaconf::ConfigPtr now = config();
        const std::string user = text_of(params, "user");
        if (user != "root" && !now->user(user))
          return Error{Code::forbidden, "there is no user " + user + " in EXAConf"};
        HttpRequest request;
        request.method = "POST";
        request.target = text_of(params, "path");
        request.headers.emplace_back("Content-Type", text_of(params, "type"));
        request.remote_address = "another node";
        request.body = text_of(params, "body");

        struct Outcome {
          base::Mutex mutex;
          base::CondVar came;
          std::optional<HttpResponse> response;
          bool given_up = false;
        };
        const auto outcome = std::make_shared<Outcome>();
        answer(request, std::make_shared<const auth::Identity>(auth::identify(*now, user, "local")),
               [outcome](HttpResponse response, const std::string&) {
                 MutexLock lock(outcome->mutex);
                 outcome->response = std::move(response);
                 outcome->came.notify_all();
               });
        const std::stop_callback on_stop(stop, [outcome] {
          MutexLock lock(outcome->mutex);
          outcome->given_up = true;
          outcome->came.notify_all();
        });
        MutexLock lock(outcome->mutex);
        const auto until = std::chrono::steady_clock::now() + kLongest;
        while (!outcome->response && !outcome->given_up && std::chrono::steady_clock::now() < until)
          outcome->came.wait_until(outcome->mutex, until);
        if (!outcome->response) return Error{Code::stopped, "nobody waits for the answer any more"};
        std::string type;
        for (const auto& [name, value] : outcome->response->headers)
          if (name == "Content-Type") type = value;
        return Value(Struct{{"status", static_cast<std::int64_t>(outcome->response->status)},
                            {"type", std::move(type)},
                            {"body", std::move(outcome->response->body)}});
      },
      traits);
}

}  // namespace confd::daemon
