#include "cluster/peer_link.h"

#include <atomic>
#include <thread>

#include "base/content_checksum.h"
#include "base/json.h"
#include "cluster/node_wire.h"
#include "tests/cluster/peer_fixture.h"

namespace confd::cluster {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Struct;
using base::Value;
using test::cluster_authority;
using test::TestNode;
using Clock = std::chrono::steady_clock;

rpc::HttpsClient::Limits patience() {
  rpc::HttpsClient::Limits limits;
  limits.deadline = Clock::now() + test::kDeadline;
  return limits;
}

// Node 11, which calls, as far as its link goes.
struct Caller {
  explicit Caller(TestNode& callee, std::shared_ptr<const rpc::ClientTls> tls = nullptr)
      : link(11, tls ? tls : test::tls_of(11, cluster_authority(), cluster_authority()),
             [&callee](int node) -> std::optional<PeerAddress> {
               if (node != 12) return std::nullopt;
               return PeerAddress{"127.0.0.1", callee.port};
             }) {
    control.set_peer_link(link);
  }
  Result<Value> call(const std::string& operation, Struct params = {}, PeerLink::Call rules = {}) {
    return link.call(12, operation, params, rules);
  }
  PeerLink link;
  NodeControl control{11};
};

void add_echo(NodeControl& control) {
  control.register_operation(
      "echo", [](const Struct& params, std::stop_token) -> Result<Value> { return Value(params); },
      {.repeatable = true});
}

// Runs until it is stopped; counts what runs.
struct Hanging {
  std::atomic<int> begun{0}, ended{0};
  void add_to(NodeControl& control, OperationTraits traits = {}) {
    control.register_operation(
        "hang",
        [this](const Struct&, std::stop_token stop) -> Result<Value> {
          ++begun;
          test::Gate gate;
          gate.pass([&] { return stop.stop_requested(); });
          ++ended;
          return Error{Code::stopped, "stopped"};
        },
        traits);
  }
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  std::uint64_t x = 1;
  for (char& c : text) c = static_cast<char>((x = x * 6364136223846793005ULL + 1442695040888963407ULL) >> 56);
  return text;
}

class TextSource final : public FileSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}
  Result<std::string> read(std::size_t most) override {
    std::string piece = text_.substr(at_, most);
    at_ += piece.size();
    return piece;
  }
  Struct about() override { return {{"size", static_cast<std::int64_t>(text_.size())}}; }

 private:
  const std::string text_;
  std::size_t at_ = 0;
};

// Where files arrive; `dropped` counts those that did not arrive whole.
struct Shelf {
  std::string whole;
  std::atomic<int> finished{0}, dropped{0};
};
class ShelfSink final : public FileSink {
 public:
  explicit ShelfSink(Shelf& shelf) : shelf_(shelf) {}
  ~ShelfSink() override {
    if (!finished_) ++shelf_.dropped;
  }
  base::Status write(std::string_view piece) override {
    text_.append(piece);
    return {};
  }
  Result<Value> finish() override {
    finished_ = true;
    shelf_.whole = std::move(text_);
    ++shelf_.finished;
    return Value("kept");
  }

 private:
  Shelf& shelf_;
  std::string text_;
  bool finished_ = false;
};
void add_shelf(NodeControl& control, Shelf& shelf) {
  control.register_send("shelf.put",
                        [&](const Struct&, std::stop_token) -> Result<std::unique_ptr<FileSink>> {
                          return std::unique_ptr<FileSink>(std::make_unique<ShelfSink>(shelf));
                        });
}
void add_book(NodeControl& control, const std::string& text) {
  control.register_fetch(
      "book.get", [text](const Struct& params, std::stop_token) -> Result<std::unique_ptr<FileSource>> {
        if (params.contains("missing")) return Error{Code::not_found, "no such book"};
        return std::unique_ptr<FileSource>(std::make_unique<TextSource>(text));
      });
}
std::function<Result<std::string>()> pieces_of(const std::string& text, std::size_t size) {
  return [&text, size, at = std::size_t(0)]() mutable -> Result<std::string> {
    std::string piece = text.substr(at, size);
    at += piece.size();
    return piece;
  };
}

}  // namespace

TEST_CASE("Results and errors of another node come through as they are") {
  TestNode node(12);
  add_echo(node.control);
  node.control.register_operation("fail", [](const Struct&, std::stop_token) -> Result<Value> {
    return Error{Code::conflict, "somebody else has it"};
  });
  node.control.register_operation("throw", [](const Struct& params, std::stop_token) -> Result<Value> {
    return Value(Value(params).as_int());
  });
  Caller caller(node);
  const auto answer = caller.call("echo", {{"a", 1}, {"b", base::Array{"x", nullptr, 2.5}}});
  if (!answer) FAIL(answer.error().text);
  CHECK(base::render_json(*answer) == R"({"a":1,"b":["x",null,2.5]})");
  const auto failed = caller.call("fail");
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == Code::conflict);
  CHECK(failed.error().text == "somebody else has it");
  CHECK(caller.call("throw").error().code == Code::internal);
  CHECK(test::eventually([&] { return node.routes.running() == 0; }));
}

TEST_CASE("A handler does not know whether the node is this one") {
  TestNode node(12);
  add_echo(node.control);
  Caller caller(node);
  add_echo(caller.control);
  for (const int id : {11, 12}) {
    const auto answer = caller.control.run(id, "echo", {{"id", id}}, {});
    if (!answer) FAIL(answer.error().text);
    CHECK(answer->find("id")->as_int() == id);
  }
}

TEST_CASE("What can't be called is said") {
  TestNode node(12);
  node.control.register_operation("strict",
                                  [](const Struct&, std::stop_token) -> Result<Value> { return Value(true); },
                                  {.params = {{"name", Value::Type::string}}});
  Caller caller(node);
  const auto nobody = caller.link.call(13, "strict", {}, {});
  CHECK(nobody.error().code == Code::node_unreachable);
  CHECK(nobody.error().text.find("node 13") != std::string::npos);
  CHECK(caller.call("no.such").error().code == Code::unsupported);
  CHECK(caller.call("../x y").error().code == Code::internal);
  CHECK(caller.call("strict").error().text.find("'name' is missing") != std::string::npos);
  CHECK(caller.call("strict", {{"name", 1}}).error().code == Code::bad_parameter);
  CHECK(caller.call("strict", {{"name", "x"}}).ok());
  node.stop();
  CHECK(caller.call("strict", {{"name", "x"}}).error().code == Code::node_unreachable);
}

TEST_CASE("At the caller's deadline the call ends on both sides") {
  Hanging hanging;
  TestNode node(12);
  hanging.add_to(node.control);
  Caller caller(node);
  PeerLink::Call rules;
  rules.timeout = std::chrono::milliseconds(200);
  const auto answer = caller.call("hang", {}, rules);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == Code::timeout);
  CHECK(test::eventually([&] { return hanging.ended == 1 && node.routes.running() == 0; }));
}

TEST_CASE("A caller that stops gives up at once, and the other end hears of it") {
  Hanging hanging;
  TestNode node(12);
  hanging.add_to(node.control);
  Caller caller(node);
  std::stop_source source;
  PeerLink::Call rules;
  rules.timeout = std::chrono::minutes(5);
  rules.stop = source.get_token();
  test::Answer<Code> answer;
  std::jthread thread([&] { answer.callback()(caller.call("hang", {}, rules).error().code); });
  REQUIRE(test::eventually([&] { return hanging.begun == 1; }));
  source.request_stop();
  CHECK(answer.get() == Code::stopped);
  CHECK(test::eventually([&] { return hanging.ended == 1 && node.routes.running() == 0; }));
}

TEST_CASE("Only nodes of this cluster are heard") {
  TestNode node(12);
  std::atomic<int> runs{0};
  node.control.register_operation(
      "count", [&](const Struct&, std::stop_token) -> Result<Value> { return Value(++runs); });
  const auth::SignedPair others = test::make_authority();
  SECTION("a certificate of another authority") {
    Caller caller(node, test::tls_of(11, others, cluster_authority()));
    const auto answer = caller.call("count");
    REQUIRE_FALSE(answer.ok());
    CHECK((answer.error().code == Code::node_unreachable || answer.error().code == Code::unknown_outcome));
  }
  SECTION("a node that EXAConf does not have") {
    Caller caller(node, test::tls_of(14, cluster_authority(), cluster_authority()));
    const auto answer = caller.call("count");
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == Code::node_unreachable);
    CHECK(answer.error().text.find("403") != std::string::npos);
    CHECK(node.log.has("node 14, which EXAConf does not have"));
  }
  SECTION("a listener of another cluster") {
    Caller caller(node, test::tls_of(11, cluster_authority(), others));
    const auto answer = caller.call("count");
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == Code::node_unreachable);
    CHECK(answer.error().text.find("certificate is refused") != std::string::npos);
  }
  SECTION("a node at the address of another") {
    PeerLink link(11, test::tls_of(11, cluster_authority(), cluster_authority()), [&](int) {
      return PeerAddress{"127.0.0.1", node.port};
    });
    CHECK(link.call(11, "count", {}, {}).error().code == Code::node_unreachable);
  }
  SECTION("somebody without a certificate") {
    rpc::ClientTlsSettings settings;
    settings.authorities_pem = node.user_certificate.certificate_pem;
    rpc::HttpsClient client(test::sure(rpc::ClientTls::create(settings)), {"127.0.0.1", node.port, "", ""});
    rpc::HttpRequest request;
    request.method = "POST";
    request.target = "/node/count";
    request.body = R"({"params": {}})";
    request.headers = {{std::string(wire::kTimeoutHeader), "1000"}};
    const auto answer = client.call(request, patience());
    REQUIRE(answer.ok());
    CHECK(answer->status == 403);
    CHECK(node.log.has("somebody without a certificate"));
  }
  CHECK(runs == 0);
}

TEST_CASE("Users of the listener notice nothing of nodes, and nodes nothing of CertVerify") {
  for (const auto verify : {rpc::TlsSettings::Verify::none, rpc::TlsSettings::Verify::optional,
                            rpc::TlsSettings::Verify::required}) {
    TestNode::Options options;
    options.verify = verify;
    TestNode node(12, options);
    add_echo(node.control);
    Caller caller(node);
    CHECK(caller.call("echo").ok());

    rpc::HttpRequest request;
    request.method = "GET";
    request.target = "/";
    const auto ask = [&](const rpc::ClientTlsSettings& settings, const std::string& name) {
      rpc::HttpsClient client(test::sure(rpc::ClientTls::create(settings)),
                              {"127.0.0.1", node.port, "", name});
      const auto answer = client.call(request, patience());
      return answer ? answer->body : "refused";
    };
    rpc::ClientTlsSettings plain;
    plain.authorities_pem = node.user_certificate.certificate_pem + cluster_authority().certificate_pem;
    const bool required = verify == rpc::TlsSettings::Verify::required;
    CHECK(ask(plain, "localhost") == (required ? "refused" : "subject '' peer ''"));
    CHECK(ask(plain, exaconf::node_server_name(12)) == "refused");

    rpc::ClientTlsSettings user = plain;
    user.certificate_chain_pem = node.user_certificate.certificate_pem;
    user.private_key_pem = node.user_certificate.key_pem;
    const bool asked = verify != rpc::TlsSettings::Verify::none;
    CHECK(ask(user, "localhost") == (asked ? "subject 'CN=confd' peer ''" : "subject '' peer ''"));
    CHECK(ask(user, exaconf::node_server_name(12)) == "refused");

    const auto pair =
        test::sure(auth::issue_node_certificate(cluster_authority(), 11, {}, base::system_clock().now()));
    rpc::ClientTlsSettings peer = plain;
    peer.certificate_chain_pem = pair.certificate_pem;
    peer.private_key_pem = pair.key_pem;
    CHECK(ask(peer, exaconf::node_server_name(12)) == "subject '' peer 'confd://node/11'");
    CHECK(ask(peer, "localhost") == (asked ? "refused" : "subject '' peer ''"));
  }
}

TEST_CASE("A lost answer is asked for again only where that is allowed") {
  for (const bool repeatable : {true, false}) {
    Hanging hanging;
    TestNode first(12);
    hanging.add_to(first.control);
    TestNode second(12);
    second.control.register_operation(
        "hang", [](const Struct&, std::stop_token) -> Result<Value> { return Value("second"); });
    std::atomic<int> lookups{0};
    PeerLink link(11, test::tls_of(11, cluster_authority(), cluster_authority()), [&](int) {
      return PeerAddress{"127.0.0.1", lookups++ == 0 ? first.port : second.port};
    });
    test::Answer<Result<Value>> answer;
    std::jthread thread([&] {
      PeerLink::Call rules;
      rules.timeout = test::kDeadline;
      rules.repeatable = repeatable;
      answer.callback()(link.call(12, "hang", {}, rules));
    });
    REQUIRE(test::eventually([&] { return hanging.begun == 1; }));
    first.stop();
    const Result<Value> outcome = answer.get();
    CHECK(outcome.ok() == repeatable);
    CHECK(lookups == (repeatable ? 2 : 1));
    if (!repeatable) CHECK(outcome.error().code == Code::unknown_outcome);
    CHECK(test::eventually([&] { return hanging.ended == 1; }));
  }
}

TEST_CASE("A kept connection that has ended is made anew, also for what must not run twice") {
  TestNode node(12);
  std::atomic<int> runs{0};
  node.control.register_operation(
      "count", [&](const Struct&, std::stop_token) -> Result<Value> { return Value(++runs); });
  Caller caller(node);
  CHECK(caller.call("count").ok());
  node.stop();
  node.start();
  const auto answer = caller.call("count");
  if (!answer) FAIL(answer.error().text);
  CHECK(answer->as_int() == 2);
  caller.link.replace_tls(test::tls_of(11, cluster_authority(), cluster_authority()));
  CHECK(caller.call("count")->as_int() == 3);
}

TEST_CASE("Fifty calls at once are answered, each with its own answer") {
  TestNode::Options options;
  options.limits.calls_per_node = 64;
  TestNode node(12, options);
  add_echo(node.control);
  Caller caller(node);
  std::atomic<int> right{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 50; ++i)
      threads.emplace_back([&, i] {
        PeerLink::Call rules;
        rules.timeout = test::kDeadline;
        const auto answer = caller.call("echo", {{"i", i}}, rules);
        right += answer && answer->find("i")->as_int() == i ? 1 : 0;
      });
  }
  CHECK(right == 50);
  CHECK(test::eventually([&] { return node.routes.running() == 0; }));
}

TEST_CASE("Beyond its limit a node says that it is busy") {
  Hanging hanging;
  TestNode::Options options;
  options.limits.calls_per_node = 1;
  TestNode node(12, options);
  hanging.add_to(node.control);
  add_echo(node.control);
  Caller caller(node);
  std::stop_source source;
  PeerLink::Call rules;
  rules.timeout = test::kDeadline;
  rules.stop = source.get_token();
  std::jthread thread([&] { (void)caller.call("hang", {}, rules).ok(); });
  REQUIRE(test::eventually([&] { return hanging.begun == 1; }));
  CHECK(caller.call("echo").error().code == Code::busy);
  source.request_stop();
  CHECK(test::eventually([&] { return node.routes.running() == 0; }));
  CHECK(caller.call("echo").ok());
}

TEST_CASE("A file of 20 MB goes both ways whole") {
  const std::string text = pattern(20'000'000);
  Shelf shelf;
  TestNode node(12);
  add_shelf(node.control, shelf);
  add_book(node.control, text);
  Caller caller(node);
  PeerLink::Transfer transfer;
  transfer.timeout = test::kDeadline;
  std::string got;
  const auto about = caller.link.fetch(
      12, "book.get", {},
      [&](std::string_view piece) {
        got.append(piece);
        return base::Status();
      },
      transfer);
  if (!about) FAIL(about.error().text);
  CHECK((got == text));
  CHECK(about->find("size")->as_int() == 20'000'000);
  const auto sent = caller.link.send(12, "shelf.put", {}, pieces_of(text, 3'000'000), transfer);
  if (!sent) FAIL(sent.error().text);
  CHECK(sent->as_string() == "kept");
  CHECK((shelf.whole == text));
  CHECK(node.routes.open_transfers() == 0);
}

TEST_CASE("Files of the own node and empty ones take the same way for a handler") {
  Shelf shelf;
  TestNode node(12);
  add_shelf(node.control, shelf);
  add_book(node.control, "");
  Caller caller(node);
  add_shelf(caller.control, shelf);
  add_book(caller.control, "");
  const auto no_piece = [](std::string_view) { return base::Status(Error{Code::internal, "a piece"}); };
  for (const int id : {11, 12}) {
    CHECK(caller.control.fetch(id, "book.get", {}, no_piece, {}).ok());
    CHECK(caller.control.send(id, "shelf.put", {}, pieces_of("abc", 2), {}).ok());
    CHECK(shelf.whole == "abc");
    CHECK(caller.control.fetch(id, "book.get", {{"missing", true}}, no_piece, {}).error().code ==
          Code::not_found);
  }
}

TEST_CASE("A transfer that fails on one side leaves nothing on the other") {
  const std::string text = pattern(3'000'000);
  Shelf shelf;
  TestNode node(12);
  add_shelf(node.control, shelf);
  add_book(node.control, text);
  Caller caller(node);
  const auto full = [](std::string_view) { return base::Status(Error{Code::io_error, "disk full"}); };
  CHECK(caller.link.fetch(12, "book.get", {}, full, {}).error().text == "disk full");
  int pieces = 0;
  const auto broken = [&]() -> Result<std::string> {
    return ++pieces < 3 ? Result<std::string>(std::string("x")) : Error{Code::io_error, "disk broken"};
  };
  CHECK(caller.link.send(12, "shelf.put", {}, broken, {}).error().text == "disk broken");
  CHECK(test::eventually([&] { return shelf.dropped == 1 && node.routes.open_transfers() == 0; }));
  CHECK(shelf.finished == 0);
}

TEST_CASE("A file with a wrong checksum is refused by who receives it") {
  Shelf shelf;
  TestNode node(12);
  add_shelf(node.control, shelf);
  const auto tls = test::tls_of(11, cluster_authority(), cluster_authority());
  rpc::HttpsClient client(tls, {"127.0.0.1", node.port, "", exaconf::node_server_name(12)});
  const auto post = [&](const std::string& target, const std::string& body, rpc::Headers headers) {
    rpc::HttpRequest request;
    request.method = "POST";
    request.target = target;
    request.body = body;
    request.headers = std::move(headers);
    request.headers.emplace_back(wire::kTimeoutHeader, "20000");
    const auto answer = client.call(request, patience());
    if (!answer) FAIL(answer.error().text);
    return wire::parse_answer(answer->body);
  };
  const auto id = post("/node/shelf.put", R"({"params":{}})", {{"X-Confd-Transfer", "send"}});
  REQUIRE(id.ok());
  const std::string path = "/node-transfer/" + id->as_string();
  CHECK(post(path + "?piece=0", "abc", {}).ok());
  CHECK(post(path + "?piece=0", "abc", {}).ok());  // the answer got lost, say
  CHECK(post(path + "?piece=9", "abc", {}).error().code == Code::conflict);
  const auto end = post(path + "?piece=1", "", {{"X-Confd-Checksum", std::string(32, '0')}});
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().code == Code::io_error);
  CHECK(shelf.dropped == 1);
  CHECK(shelf.finished == 0);
  CHECK(post(path + "?piece=2", "", {}).error().code == Code::wrong_state);

  base::ContentChecksum sum;
  sum.update("abc");
  const auto again = post("/node/shelf.put", R"({"params":{}})", {{"X-Confd-Transfer", "send"}});
  REQUIRE(again.ok());
  const std::string other = "/node-transfer/" + again->as_string();
  CHECK(post(other + "?piece=0", "abc", {}).ok());
  CHECK(post(other + "?piece=1", "", {{"X-Confd-Checksum", sum.finish()}}).ok());
  CHECK(shelf.whole == "abc");
}

TEST_CASE("Pieces that overtake each other are put in order, and answered again when asked again") {
  Shelf shelf;
  NodeControl control(12);
  add_shelf(control, shelf);
  add_book(control, "abcdef");
  daemon::NodeTransfers transfers({}, control, base::system_random());
  const auto deadline = Clock::now() + test::kDeadline;
  const auto open = [&](daemon::NodeTransfers::Kind kind, const std::string& name) {
    return transfers.open(11, kind, name, {}, deadline)->as_string();
  };
  const auto ask = [&](const std::string& id, int number, const std::string& rest, const std::string& body,
                       std::stop_token stop = {}) {
    rpc::HttpRequest request;
    request.target = "/node-transfer/" + id + "?piece=" + std::to_string(number) + rest;
    request.body = body;
    return transfers.piece(11, request, deadline, stop).body;
  };
  SECTION("sent") {
    const std::string id = open(daemon::NodeTransfers::Kind::send, "shelf.put");
    std::vector<std::thread> early;
    std::atomic<int> refused = 0;
    for (const int number : {3, 2, 1})
      early.emplace_back([&, number] {
        const std::string answer = ask(id, number, "", std::string(1, static_cast<char>('a' + number)));
        if (!wire::parse_answer(answer)) ++refused;
      });
    CHECK(wire::parse_answer(ask(id, 0, "", "a")).ok());
    for (std::thread& one : early) one.join();
    CHECK(refused == 0);
    CHECK(wire::parse_answer(ask(id, 1, "", "b")).ok());  // again
    CHECK(wire::parse_answer(ask(id, 0, "", "a")).error().code == Code::conflict);
    base::ContentChecksum sum;
    sum.update("abcd");
    rpc::HttpRequest end;
    end.target = "/node-transfer/" + id + "?piece=4";
    end.headers = {{std::string(wire::kChecksumHeader), sum.finish()}};
    CHECK(wire::parse_answer(transfers.piece(11, end, deadline).body).ok());
    CHECK(shelf.whole == "abcd");
  }
  SECTION("fetched") {
    const std::string id = open(daemon::NodeTransfers::Kind::fetch, "book.get");
    std::string second;
    std::thread early([&] { second = ask(id, 1, "&size=2", ""); });
    CHECK(ask(id, 0, "&size=2", "") == "ab");
    early.join();
    CHECK(second == "cd");
    CHECK(ask(id, 0, "&size=2", "") == "ab");  // again
    CHECK(ask(id, 2, "&size=2", "") == "ef");
    CHECK(ask(id, 3, "&size=2", "").find("checksum") != std::string::npos);
    CHECK(wire::parse_answer(ask(id, 4, "&size=2", "")).error().code == Code::wrong_state);
  }
  SECTION("waiting ends with the caller, and with the transfer") {
    const std::string id = open(daemon::NodeTransfers::Kind::send, "shelf.put");
    std::stop_source gone;
    gone.request_stop();
    CHECK(wire::parse_answer(ask(id, 2, "", "c", gone.get_token())).error().code == Code::stopped);
    std::string late;
    std::thread waiting([&] { late = ask(id, 2, "", "c"); });
    CHECK(wire::parse_answer(ask(id, 0, "&end=1", "")).ok());
    waiting.join();
    CHECK(wire::parse_answer(late).error().code == Code::not_found);
    CHECK(shelf.dropped == 1);
  }
}

TEST_CASE("A transfer keeps to its rate") {
  const std::string text = pattern(400'000);
  TestNode node(12);
  add_book(node.control, text);
  Caller caller(node);
  PeerLink::Transfer transfer;
  transfer.timeout = test::kDeadline;
  transfer.bytes_per_second = 1'000'000;
  std::size_t got = 0;
  const Clock::time_point start = Clock::now();
  const auto done = caller.link.fetch(
      12, "book.get", {},
      [&](std::string_view piece) {
        got += piece.size();
        return base::Status();
      },
      transfer);
  CHECK(done.ok());
  CHECK(got == text.size());
  CHECK(Clock::now() - start >= std::chrono::milliseconds(400));  // never sooner, whatever else runs here
  transfer.bytes_per_second = 1000;
  transfer.timeout = std::chrono::milliseconds(300);
  CHECK(caller.link
            .fetch(
                12, "book.get", {}, [](std::string_view) { return base::Status(); }, transfer)
            .error()
            .code == Code::timeout);
}

TEST_CASE("Transfers that nobody asks for any more are forgotten") {
  Shelf shelf;
  NodeControl control(12);
  add_shelf(control, shelf);
  daemon::NodeTransfers transfers({.in_all = 3, .per_node = 2}, control, base::system_random());
  const auto now = Clock::now();
  const auto open = [&](int node) {
    return transfers.open(node, daemon::NodeTransfers::Kind::send, "shelf.put", {},
                          now + std::chrono::hours(1));
  };
  const auto id = open(11);
  REQUIRE(id.ok());
  CHECK(open(11).ok());
  CHECK(open(11).error().code == Code::busy);
  CHECK(open(13).ok());
  CHECK(open(14).error().code == Code::busy);
  rpc::HttpRequest request;
  request.target = "/node-transfer/" + id->as_string() + "?piece=0";
  request.body = "x";
  CHECK(wire::parse_answer(transfers.piece(13, request, now).body).error().code == Code::not_found);
  CHECK(wire::parse_answer(transfers.piece(11, request, now).body).ok());
  transfers.forget_idle(now + std::chrono::minutes(1));
  CHECK(transfers.open_count() == 3);
  transfers.forget_idle(Clock::now() + std::chrono::minutes(5));
  CHECK(transfers.open_count() == 0);
  CHECK(shelf.dropped == 3);
}

}  // namespace confd::cluster
