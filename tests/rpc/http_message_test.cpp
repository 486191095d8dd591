#include <catch2/catch.hpp>

#include "rpc/http_message.h"

using namespace confd::rpc;

TEST_CASE("headers are found in any case, the first one counts") {
  HttpRequest request;
  request.headers = {{"content-type", "text/xml"}, {"X", "1"}, {"x", "2"}};
  REQUIRE(request.header("Content-Type"));
  CHECK(*request.header("Content-Type") == "text/xml");
  CHECK(*request.header("X") == "1");
  CHECK(request.header("Authorization") == nullptr);
}

TEST_CASE("path and query of a target") {
  HttpRequest request;
  request.target = "/master?info_type=name&empty=&flag&text=a%20b+c%2Fd&broken=%zz%4";
  CHECK(request.path() == "/master");
  CHECK(request.query("info_type") == "name");
  CHECK(request.query("empty") == "");
  CHECK(request.query("flag") == "");
  CHECK(request.query("text") == "a b c/d");
  CHECK(request.query("broken") == "%zz%4");
  CHECK_FALSE(request.query("info"));
  request.target = "/";
  CHECK(request.path() == "/");
  CHECK_FALSE(request.query("x"));
  request.target = "*";
  CHECK(request.path() == "*");
}

TEST_CASE("reason phrases that clients show") {
  CHECK(reason_phrase(401) == "Unauthorized");
  CHECK(reason_phrase(302) == "Found");
  CHECK(reason_phrase(999) == "Status");
}
