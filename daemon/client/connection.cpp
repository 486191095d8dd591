#include "daemon/client/connection.h"

#include "base/json.h"

namespace confd::client {
namespace {

using base::Code;
using base::Result;
using base::Struct;
using base::Value;

std::string first_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

// The message of {"error": text} or {"error": {"message": text}}, or the text itself.
std::string error_text(const std::string& body) {
  if (const Result<Value> value = base::parse_json(body)) {
    const Value* error = value->find("error");
    if (const Value* message = error ? error->find("message") : nullptr) error = message;
    if (error) return error->is_string() ? error->as_string() : base::render_json(*error);
  }
  return first_line(body);
}

// "https://10.0.0.12:443/jrpc" -> "10.0.0.12"
std::string host_of(std::string location) {
  if (const std::size_t scheme = location.find("://"); scheme != std::string::npos)
    location.erase(0, scheme + 3);
  location = location.substr(0, location.find('/'));
  if (location.starts_with('[')) return location.substr(1, location.find(']') - 1);
  return location.substr(0, location.find(':'));
}

}  // namespace

Confd::Confd(rpc::HttpClient client, std::string socket, std::optional<std::string> user)
    : client_(std::move(client)), socket_(std::move(socket)), user_(std::move(user)) {}

Confd Confd::connect(const std::string& root, const std::optional<std::string>& user) {
  const std::string socket = root + (root.ends_with('/') ? "" : "/") + "run/confd.sock";
  Result<rpc::HttpClient> client = rpc::HttpClient::connect_local(socket);
  if (!client)
    throw Failure{kUnreachable,
                  client.error().text +
                      "\nStart confd on this node, or name the folder of the node with --root DIR or "
                      "CONFD_ROOT."};
  return Confd(std::move(*client), socket, user);
}

std::string Confd::send(rpc::HttpRequest request, Deadline deadline) {
  request.headers.emplace_back("Host", "localhost");
  if (user_) request.headers.emplace_back("X-Confd-User", *user_);
  const Result<rpc::HttpResponse> response = client_.call(request, deadline);
  if (!response)
    throw Failure{kUnreachable, "no answer from confd at " + socket_ + ": " + response.error().text +
                                    "\nA job that was submitted goes on; confd_client history shows it."};
  if (response->status == 302 || response->status == 307 || response->status == 301 ||
      response->status == 308) {
    for (const auto& [name, value] : response->headers)
      if (name.size() == 8 && (name[0] == 'L' || name[0] == 'l') && name.substr(1) == "ocation")
        throw Failure{kUnreachable,
                      "this node is not the master; run confd_client on the node with the address " +
                          host_of(value) + " (" + value + ")"};
    throw Failure{kUnreachable, "this node is not the master, and it does not say which node is"};
  }
  if (response->status >= 400) {
    const std::string text = error_text(response->body);
    throw Failure{kFailed, "confd refuses the call (HTTP " + std::to_string(response->status) + ")" +
                               (text.empty() ? "" : ": " + text)};
  }
  return response->body;
}

Value Confd::post(const Struct& message, Deadline deadline) {
  rpc::HttpRequest request;
  request.method = "POST";
  request.target = "/jrpc";
  request.headers.emplace_back("Content-Type", "application/json");
  request.body = base::render_json(message);
  const std::string body = send(std::move(request), deadline);
  Result<Value> answer = base::parse_json(body);
  if (!answer) throw Failure{kFailed, "the answer of confd cannot be read: " + answer.error().text};
  if (answer->is_struct() && answer->find("error") && !answer->find("result_code"))
    throw Failure{kFailed, error_text(body)};
  // A fault of the plain style: {"code": -32601, "message": text}.
  if (answer->is_struct() && answer->as_struct().size() == 2 && answer->find("code") &&
      answer->find("message"))
    throw Failure{kFailed,
                  answer->find("message")->is_string() ? answer->find("message")->as_string() : body};
  return std::move(*answer);
}

Value Confd::call(const std::string& method, Struct params, Deadline deadline) {
  return post(Struct{{"method", method}, {"params", std::move(params)}}, deadline);
}

Value Confd::call_job(const std::string& method, const std::string& job, Struct options, Deadline deadline) {
  return post(Struct{{"method", method}, {"job", job}, {"params", std::move(options)}}, deadline);
}

std::string Confd::get(const std::string& target) {
  rpc::HttpRequest request;
  request.method = "GET";
  request.target = target;
  return first_line(send(std::move(request), std::nullopt));
}

}  // namespace confd::client
