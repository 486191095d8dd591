#include "rpc/xmlrpc.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <limits>
#include <string>

#include "base/json.h"

using namespace confd;
using base::Array;
using base::Struct;
using base::Value;

namespace {

std::string call_with(const std::string& value) {
  return "<?xml version='1.0'?>\n<methodCall>\n<methodName>m</methodName>\n<params>\n<param>\n" + value +
         "\n</param>\n</params>\n</methodCall>\n";
}

Value parsed(const std::string& value) {
  const auto call = rpc::parse_call(call_with(value));
  INFO(value);
  INFO((call ? "" : call.error().text));
  REQUIRE(call);
  REQUIRE(call->params.size() == 1);
  return call->params[0];
}

std::string refused(const std::string& xml, const rpc::XmlRpcLimits& limits = {}) {
  const auto call = rpc::parse_call(xml, limits);
  if (call) return "taken";
  CHECK(call.error().code == base::Code::bad_parameter);
  return call.error().text;
}

}  // namespace

TEST_CASE("a call as Python's xmlrpc.client sends it") {
  const auto call = rpc::parse_call(
      "<?xml version='1.0'?>\n<methodCall>\n<methodName>job_exec</methodName>\n<params>\n<param>\n"
      "<value><string>db_info</string></value>\n</param>\n<param>\n<value><struct>\n<member>\n<name>params</"
      "name>\n"
      "<value><struct>\n<member>\n<name>db_name</name>\n<value><string>Exasol</string></value>\n</member>\n</"
      "struct></value>\n"
      "</member>\n</struct></value>\n</param>\n</params>\n</methodCall>\n");
  REQUIRE(call);
  CHECK(call->method == "job_exec");
  CHECK(Value(call->params) == Array{"db_info", Struct{{"params", Struct{{"db_name", "Exasol"}}}}});
}

TEST_CASE("a call on one line with empty params, and one without params") {
  const auto call = rpc::parse_call(
      "<?xml version=\"1.0\"?><methodCall><methodName>job_list</methodName><params/></methodCall>");
  REQUIRE(call);
  CHECK(call->params.empty());
  CHECK(rpc::parse_call("<methodCall><methodName>x</methodName></methodCall>")->method == "x");
}

TEST_CASE("every type of value arrives") {
  CHECK(parsed("<value>bare  text </value>") == Value("bare  text "));
  CHECK(parsed("<value></value>") == Value(""));
  CHECK(parsed("<value/>") == Value(""));
  CHECK(parsed("<value>  </value>") == Value("  "));
  CHECK(parsed("<value> <string> x </string> </value>") == Value(" x "));
  CHECK(parsed("<value><string/></value>") == Value(""));
  CHECK(parsed("<value><string>a &lt;&amp;&gt;&quot;&apos; &#233;&#x20AC;<!-- c "
               "--><![CDATA[<b>]]></string></value>") == Value("a <&>\"' é€<b>"));
  CHECK(parsed("<value><string>a\r\nb</string></value>") == Value("a\nb"));
  CHECK(parsed("<value><int>-7</int></value>") == Value(-7));
  CHECK(parsed("<value><i4> 8 </i4></value>") == Value(8));
  CHECK(parsed("<value><i8>9223372036854775807</i8></value>") == Value(std::numeric_limits<long>::max()));
  CHECK(parsed("<value><ex:i8>5</ex:i8></value>") == Value(5));
  CHECK(parsed("<value><boolean>1</boolean></value>") == Value(true));
  CHECK(parsed("<value><boolean>0</boolean></value>") == Value(false));
  CHECK(parsed("<value><double>-1.5e3</double></value>") == Value(-1500.0));
  CHECK(parsed("<value><nil/></value>").is_null());
  CHECK(parsed("<value><ex:nil/></value>").is_null());
  CHECK(parsed("<value><dateTime.iso8601>20250417T14:56:00</dateTime.iso8601></value>") ==
        Value("20250417T14:56:00"));
  CHECK(parsed("<value><base64>\nUEVN\n</base64></value>") == Value("PEM"));
  CHECK(
      parsed("<value><array><data>\n<value><int>1</int></value>\n<value>x</value></data></array></value>") ==
      Array{1, "x"});
  CHECK(parsed("<value><array><data/></array></value>") == Array{});
  CHECK(parsed("<value><struct></struct></value>") == Struct{});
}

TEST_CASE("a struct member that comes twice keeps the last value") {
  CHECK(parsed("<value><struct><member><name>a</name><value>1</value></member>"
               "<member><name>a</name><value>2</value></member></struct></value>") == Struct{{"a", "2"}});
}

TEST_CASE("what is no call or no value is refused with a reason and the place") {
  CHECK(refused("").find("no XML document") != std::string::npos);
  CHECK(refused("job_exec").find("outside the document") != std::string::npos);
  CHECK(refused("<methodResponse/>").find("<methodResponse>") != std::string::npos);
  CHECK(refused("<methodCall/>").find("<methodName>") != std::string::npos);
  for (const char* value : {"<value><int>x</int></value>",
                            "<value><int></int></value>",
                            "<value><i8>9223372036854775808</i8></value>",
                            "<value><boolean>true</boolean></value>",
                            "<value><double>nan</double></value>",
                            "<value><double>1e999</double></value>",
                            "<value><base64>%%%</base64></value>",
                            "<value><base64>/w==</base64></value>",
                            "<value><float128>1</float128></value>",
                            "<value><int>1</int><int>2</int></value>",
                            "<value>text<int>1</int></value>",
                            "<value><string><b/></string></value>",
                            "<value><array><value>1</value></array></value>",
                            "<value><array/></value>",
                            "<value><struct><member><name>a</name></member></struct></value>",
                            "<value><struct><member><value>1</value></member></struct></value>",
                            "<int>1</int>",
                            "<value>1</value><value>2</value>",
                            "<value>\x01</value>",
                            "<value>\xff</value>",
                            "<value>&#0;</value>",
                            "<value>&#xD800;</value>",
                            "<value>&#;</value>",
                            "<value>&nbsp;</value>",
                            "<value>a & b</value>",
                            "<value",
                            "<value>1</valu>",
                            "<value>1</value></param>"}) {
    INFO(value);
    CHECK(refused(call_with(value)).find("at byte") != std::string::npos);
  }
  CHECK(refused(call_with("<value>1</value>") + "<methodCall/>").find("second element") != std::string::npos);
  CHECK(refused(call_with("<value>1</value>") + "tail").find("outside the document") != std::string::npos);
  CHECK(refused("<?xml version='1.0' encoding='iso-8859-1'?><methodCall/>").find("only UTF-8") !=
        std::string::npos);
}

TEST_CASE("a DTD is refused before anything is expanded") {
  const std::string bomb =
      "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>"
      "<methodCall><methodName>&b;</methodName></methodCall>";
  CHECK(refused(bomb).find("DTD") != std::string::npos);
  CHECK(refused("<!DOCTYPE x SYSTEM 'file:///etc/passwd'><methodCall/>").find("DTD") != std::string::npos);
}

TEST_CASE("nesting and the number of values are limited, long before memory is") {
  const auto nested = [](int depth) {
    std::string open, close;
    for (int i = 0; i < depth; ++i) {
      open += "<value><array><data>";
      close += "</data></array></value>";
    }
    return call_with(open + "<value>x</value>" + close);
  };
  CHECK(refused(nested(64)) == "taken");
  CHECK(refused(nested(65)).find("deeper") != std::string::npos);
  CHECK(refused(nested(100'000)).find("deeper") != std::string::npos);
  std::string open;
  for (int i = 0; i < 1'000'000; ++i) open += "<a>";
  CHECK(refused(open).find("deeper") != std::string::npos);

  std::string items = "<value><array><data>";
  for (int i = 0; i < 100; ++i) items += "<value/>";
  items += "</data></array></value>";
  CHECK(refused(call_with(items), {.depth = 64, .values = 101}) == "taken");
  CHECK(refused(call_with(items), {.depth = 64, .values = 100}).find("more than 100 values") !=
        std::string::npos);
}

TEST_CASE("an answer holds exactly one value, typed as clients read it") {
  CHECK(rpc::render_response(
            Struct{{"a", Array{1, 2'147'483'648, -2'147'483'648, 1.5, true, false, nullptr}}, {"b", "x"}}) ==
        "<?xml "
        "version='1.0'?>\n<methodResponse><params><param><value><struct><member><name>a</"
        "name><value><array><data>"
        "<value><int>1</int></value><value><i8>2147483648</i8></value><value><int>-2147483648</int></value>"
        "<value><double>1.5</double></value><value><boolean>1</boolean></value><value><boolean>0</boolean></"
        "value>"
        "<value><nil/></value></data></array></value></member><member><name>b</name><value><string>x</"
        "string></value></member>"
        "</struct></value></param></params></methodResponse>\n");
}

TEST_CASE("text goes out escaped; what XML cannot hold becomes U+FFFD") {
  const std::string xml = rpc::render_response("<a & b>\r\n\t\x01 é \xff \xEF\xBF\xBE");
  CHECK(xml.find("&lt;a &amp; b&gt;&#13;\n\t\xEF\xBF\xBD é \xEF\xBF\xBD \xEF\xBF\xBD<") != std::string::npos);
}

TEST_CASE("a fault has code and text") {
  CHECK(rpc::render_fault({1, "method \"nope\" is not supported"}) ==
        "<?xml "
        "version='1.0'?>\n<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</"
        "int></value>"
        "</member><member><name>faultString</name><value><string>method \"nope\" is not "
        "supported</string></value></member>"
        "</struct></value></fault></methodResponse>\n");
}
