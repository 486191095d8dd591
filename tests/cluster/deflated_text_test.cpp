#include "cluster/deflated_text.h"

#include <catch2/catch.hpp>

using namespace confd;
using cluster::deflated;
using cluster::inflated;

TEST_CASE("what was deflated inflates to the same text") {
  for (const std::string& text : {std::string(), std::string("[Global]\n    Revision = 1\n"),
                                  std::string(200'000, 'x'), std::string("\0\n\xff", 3), deflated("once")}) {
    const auto back = inflated(deflated(text));
    REQUIRE(back);
    CHECK(*back == text);
  }
  CHECK(deflated(std::string(10'000, 'x')).size() < 100);
}

TEST_CASE("a text that was never deflated is taken as it is") {
  for (const std::string text : {"", "[Global]\n    Revision = 1\n", "confd-deflate"})
    CHECK(*inflated(text) == text);
}

TEST_CASE("a damaged value is an error, not a text") {
  const std::string value = deflated("[Global]\n    Revision = 1\n    Checksum = NONE\n");
  for (const std::string& damaged :
       {value.substr(0, value.size() - 4), std::string("confd-deflated 12"),
        std::string("confd-deflated x\nab"), std::string("confd-deflated 99999999999\nab"),
        std::string("confd-deflated -1\nab"), "confd-deflated 3\n" + value.substr(value.find('\n') + 1),
        "confd-deflated 300\n" + value.substr(value.find('\n') + 1)}) {
    const auto text = inflated(damaged);
    REQUIRE_FALSE(text);
    CHECK(text.error().code == base::Code::invalid_config);
  }
}
