// Compared with CPython itself in python_oracle_test.py; here stand the rules that job_help and -P rely on.
#include "base/python_literal.h"

#include <catch2/catch.hpp>
#include <string>

using namespace confd::base;

TEST_CASE("repr chooses quotes, escapes and number formats as Python does") {
  CHECK(python_repr("it's") == "\"it's\"");
  CHECK(python_repr("both ' and \"") == "'both \\' and \"'");
  CHECK(python_repr("a\n\\\x01é\u200b") == "'a\\n\\\\\\x01é\\u200b'");
  CHECK(python_repr(Array{1, 1.0, 1e16, 1e-5, true, nullptr, "x"}) ==
        "[1, 1.0, 1e+16, 1e-05, True, None, 'x']");
  CHECK(python_repr(Struct{{"b", 1}, {"a", Array{}}}) == "{'b': 1, 'a': []}");
  CHECK(python_repr("broken \xff") == "'broken \\udcff'");
}

TEST_CASE("pformat keeps short things on one line, sorts and breaks long ones") {
  CHECK(python_pformat(Struct{{"b", 1}, {"a", 2}}) == "{'a': 2, 'b': 1}");
  CHECK(python_pformat(Struct{
            {"user",
             Struct{{"desc", "Name of the user that is going to be created on all nodes of the cluster"},
                    {"type", "(<class 'str'>,)"}}}}) ==
        "{   'user': {   'desc': 'Name of the user that is going to be created on all '\n"
        "                        'nodes of the cluster',\n"
        "                'type': \"(<class 'str'>,)\"}}");
}
