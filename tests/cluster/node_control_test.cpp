#include "cluster/node_control.h"

#include <catch2/catch.hpp>

namespace confd::cluster {
namespace {

NodeControl with_echo() {
  NodeControl control(11);
  control.register_operation("echo", [](const base::Struct& params, std::stop_token stop) {
    return stop.stop_requested() ? base::Result<base::Value>(base::Error{base::Code::stopped, "stopped"})
                                 : base::Result<base::Value>(base::Value(params));
  });
  return control;
}

}  // namespace

TEST_CASE("An operation of the own node runs with its parameters") {
  NodeControl control = with_echo();
  const auto answer = control.run(11, "echo", {{"a", 1}}, {});
  REQUIRE(answer.ok());
  CHECK(answer->find("a")->as_int() == 1);
}

TEST_CASE("An operation sees the stop and its error comes back") {
  NodeControl control = with_echo();
  std::stop_source source;
  source.request_stop();
  CHECK(control.run(11, "echo", {}, source.get_token()).error().code == base::Code::stopped);
}

TEST_CASE("Another node can't be reached, an unknown operation is our fault") {
  NodeControl control = with_echo();
  const auto far = control.run(12, "echo", {}, {});
  REQUIRE_FALSE(far.ok());
  CHECK(far.error().code == base::Code::node_unreachable);
  CHECK(far.error().text.find("node 12") != std::string::npos);
  const auto unknown = control.run(11, "no.such", {}, {});
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().code == base::Code::internal);
  CHECK(unknown.error().text.find("no.such") != std::string::npos);
}

}  // namespace confd::cluster
