#include "rpc/plain_call.h"

#include <catch2/catch.hpp>
#include <string>

using confd::base::Value;
using confd::rpc::parse_call;
using confd::rpc::read_plain_call;

namespace {

std::string call_with(const std::string& value) {
  return "<?xml version='1.0'?>\n<methodCall>\n<methodName>m</methodName>\n<params>\n<param>\n" + value +
         "\n</param>\n</params>\n</methodCall>\n";
}

// A comment sends a call the whole way.
void check_same_as_whole_way(const std::string& xml) {
  CAPTURE(xml);
  const auto plain = read_plain_call(xml, {});
  REQUIRE(plain);
  const std::string with_comment = xml + "<!-- -->";
  REQUIRE_FALSE(read_plain_call(with_comment, {}));
  const auto whole = parse_call(with_comment);
  REQUIRE(whole);
  CHECK(plain->method == whole->method);
  CHECK(Value(plain->params) == Value(whole->params));
}

}  // namespace

TEST_CASE("a plain call gives what the whole way gives") {
  for (const std::string value :
       {"<value><string>text</string></value>",
        "<value>bare text</value>",
        "<value> bare text\n</value>",
        "<value></value>",
        "<value> </value>",
        "<value><string></string></value>",
        "<value> <string> kept </string>\n</value>",
        "<value><string>a > b \" ' ]]> \x7f</string></value>",
        "<value><int>-5</int></value>",
        "<value><i4> 7 </i4></value>",
        "<value><i8>9223372036854775807</i8></value>",
        "<value><boolean>1</boolean></value>",
        "<value><boolean> 0 </boolean></value>",
        "<value><nil/></value>",
        "<value><array><data></data></array></value>",
        "<value><array> <data> <value>a</value><value><int>1</int></value> </data> </array></value>",
        "<value><struct></struct></value>",
        "<value><struct>\n<member>\n<name>b</name>\n<value><int>1</int></value>\n</member>\n"
        "<member><name>a</name><value>2</value></member></struct></value>",
        "<value><struct><member><name>a</name><value>1</value></member>"
        "<member><name>b</name><value>2</value></member>"
        "<member><name>a</name><value>3</value></member></struct></value>",
        "<value><struct><member><name> a b </name><value><struct><member><name>c</name><value><array><data>"
        "<value><nil/></value></data></array></value></member></struct></value></member></struct></value>"})
    check_same_as_whole_way(call_with(value));
  check_same_as_whole_way("<methodCall><methodName> m </methodName></methodCall>");
  check_same_as_whole_way(" \r\n<methodCall><methodName>m</methodName><params></params></methodCall>");
  check_same_as_whole_way(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?><methodCall><methodName>m</methodName></methodCall>");
}

TEST_CASE("what is not plain is left to the whole way") {
  for (const std::string value : {"<value><string>a &amp; b</string></value>",
                                  "<value><string>\xC3\xA9</string></value>",
                                  "<value><string>a\r\nb</string></value>",
                                  "<value><string>\x01</string></value>",
                                  "<value><string><![CDATA[x]]></string></value>",
                                  "<value><string>a<!-- -->b</string></value>",
                                  "<value ><string>a</string></value>",
                                  "<value a='b'>c</value>",
                                  "<value><string/></value>",
                                  "<value/>",
                                  "<value>a<string>b</string></value>",
                                  "<value><string>a</string>b</value>",
                                  "<value><int>1</int><int>2</int></value>",
                                  "<value><int>one</int></value>",
                                  "<value><int>9223372036854775808</int></value>",
                                  "<value><boolean>2</boolean></value>",
                                  "<value><double>1.5</double></value>",
                                  "<value><ex:nil/></value>",
                                  "<value><base64>YQ==</base64></value>",
                                  "<value><string>a</value>",
                                  "<value><struct><member><name>a</name></member></struct></value>",
                                  "<value><array><value>a</value></array></value>",
                                  "<value>a</value><value>b</value>"})
    CHECK_FALSE(read_plain_call(call_with(value), {}));
  const std::string whole = call_with("<value>a</value>");
  REQUIRE(read_plain_call(whole, {}));
  for (std::size_t size = 0; size + 1 < whole.size(); ++size)  // the last byte is a line feed
    CHECK_FALSE(read_plain_call(whole.substr(0, size), {}));
  CHECK_FALSE(read_plain_call(whole + "x", {}));
  CHECK_FALSE(read_plain_call(" " + whole, {}));  // a declaration stands at the start or nowhere
  CHECK_FALSE(read_plain_call("<methodCall><methodName> </methodName></methodCall>", {}));
}

TEST_CASE("a plain call keeps the limits: beyond them the whole way refuses") {
  const std::string nested = call_with(
      "<value><array><data><value><array><data><value>a</value></data></array></value></data></array></"
      "value>");
  CHECK(read_plain_call(nested, {.depth = 2, .values = 3}));
  CHECK_FALSE(read_plain_call(nested, {.depth = 1, .values = 3}));
  CHECK_FALSE(read_plain_call(nested, {.depth = 2, .values = 2}));
  CHECK_FALSE(parse_call(nested, {.depth = 1, .values = 3}));
  CHECK_FALSE(parse_call(nested, {.depth = 2, .values = 2}));
}
