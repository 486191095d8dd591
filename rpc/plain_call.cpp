#include "rpc/plain_call.h"

#include <array>
#include <string>
#include <utility>

#include "base/struct_builder.h"
#include "base/text.h"

namespace confd::rpc {
namespace {

using base::Value;

// Bytes of a text that stand for themselves. '\r' does not: XML makes a line feed of it.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> table{};
  for (std::size_t byte = 0x20; byte < 0x80; ++byte) table[byte] = true;
  table['\t'] = table['\n'] = true;
  table['<'] = table['&'] = false;
  return table;
}();

// Each function is false when the text is not of its form; then all is given up.
class Reader {
 public:
  Reader(std::string_view xml, const XmlRpcLimits& limits) : rest_(xml), limits_(limits) {}

  bool call(MethodCall& call) {
    declaration();
    std::string_view name;
    if (!tag("<methodCall>") || !tag("<methodName>") || !text(name) || !take("</methodName>")) return false;
    call.method = base::trim(name);
    if (call.method.empty()) return false;
    if (tag("<params>")) {
      while (tag("<param>"))
        if (!value_element(call.params.emplace_back(), 0) || !tag("</param>")) return false;
      if (!tag("</params>")) return false;
    }
    if (!tag("</methodCall>")) return false;
    blanks();
    return rest_.empty();
  }

 private:
  bool take(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  void blanks() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t' || rest_[0] == '\r'))
      rest_.remove_prefix(1);
  }
  // Between elements: blanks do not count.
  bool tag(std::string_view expected) {
    blanks();
    return take(expected);
  }
  void declaration() {
    for (const std::string_view form :
         {"<?xml version='1.0'?>", "<?xml version=\"1.0\"?>", "<?xml version='1.0' encoding='utf-8'?>",
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"})
      if (take(form)) return;
  }
  // Up to the next tag.
  bool text(std::string_view& found) {
    std::size_t size = 0;
    while (size < rest_.size() && kPlain[static_cast<unsigned char>(rest_[size])]) ++size;
    if (size == rest_.size() || rest_[size] != '<') return false;
    found = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  bool value_element(Value& value, std::size_t depth) {
    std::string_view found;
    if (++values_ > limits_.values || !tag("<value>") || !text(found)) return false;
    if (take("</value>")) {
      value = found;
      return true;
    }
    return base::trim(found).empty() && typed(value, depth) && tag("</value>");
  }

  bool typed(Value& value, std::size_t depth) {
    std::string_view found;
    if (take("<string>")) {
      if (!text(found)) return false;
      value = found;
      return take("</string>");
    }
    if (take("<struct>")) return members(value, depth + 1);
    if (take("<array>")) return items(value, depth + 1);
    if (take("<int>")) return integer(value) && take("</int>");
    if (take("<i4>")) return integer(value) && take("</i4>");
    if (take("<i8>")) return integer(value) && take("</i8>");
    if (take("<boolean>")) {
      if (!text(found) || !take("</boolean>")) return false;
      const std::string_view flag = base::trim(found);
      value = flag == "1";
      return flag == "0" || flag == "1";
    }
    return take("<nil/>");
  }

  bool integer(Value& value) {
    std::string_view found;
    if (!text(found)) return false;
    const auto number = base::parse_int(base::trim(found));
    if (number) value = static_cast<long long>(*number);
    return number.has_value();
  }

  bool members(Value& value, std::size_t depth) {
    if (depth > limits_.depth) return false;
    base::StructBuilder members;
    while (tag("<member>")) {
      std::string_view name;
      Value member;
      if (!tag("<name>") || !text(name) || !take("</name>") || !value_element(member, depth) ||
          !tag("</member>"))
        return false;
      members.set(std::string(name), std::move(member));
    }
    value = members.take();
    return tag("</struct>");
  }

  bool items(Value& value, std::size_t depth) {
    if (depth > limits_.depth || !tag("<data>")) return false;
    base::Array items;
    for (;;) {
      blanks();
      if (!rest_.starts_with("<value>")) break;
      if (!value_element(items.emplace_back(), depth)) return false;
    }
    value = std::move(items);
    return tag("</data>") && tag("</array>");
  }

  std::string_view rest_;
  const XmlRpcLimits& limits_;
  std::size_t values_ = 0;
};

}  // namespace

std::optional<MethodCall> read_plain_call(std::string_view xml, const XmlRpcLimits& limits) {
  MethodCall call;
  if (!Reader(xml, limits).call(call)) return std::nullopt;
  return call;
}

}  // namespace confd::rpc
