#include "rpc/xmlrpc.h"

#include <malloc.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <pugixml.hpp>
#include <utility>

#include "base/struct_builder.h"
#include "base/text.h"
#include "rpc/plain_call.h"
#include "rpc/xml_scan.h"

namespace confd::rpc {
namespace {

// pugixml takes a page of 32 KiB for each document. Freed and taken again it costs more than the parsing of a
// small call, so each thread keeps one.
class SparePage {
 public:
  ~SparePage() { std::free(page_); }
  void* take(std::size_t size) {
    if (!page_ || ::malloc_usable_size(page_) < size || size < kLeast) return std::malloc(size);
    return std::exchange(page_, nullptr);
  }
  void give(void* page) {
    const std::size_t size = page ? ::malloc_usable_size(page) : 0;
    if (!page_ && size >= kLeast && size <= kMost)
      page_ = page;
    else
      std::free(page);
  }

 private:
  static constexpr std::size_t kLeast = 16 << 10;
  static constexpr std::size_t kMost = 64 << 10;
  void* page_ = nullptr;
};

thread_local SparePage spare_page;

const bool kPagesAreKept = [] {
  pugi::set_memory_management_functions([](std::size_t size) { return spare_page.take(size); },
                                        [](void* page) { spare_page.give(page); });
  return true;
}();

using base::Code;
using base::Error;
using base::Result;
using base::StructBuilder;
using base::Value;

// Thrown inside this file only, so that the walk over nested values reads straight.
struct Refused {
  std::string text;
  std::ptrdiff_t offset;
};

constexpr std::string_view kWhite = " \t\r\n";

bool is_text(pugi::xml_node node) {
  return node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kWhite) == std::string_view::npos;
}

class CallReader {
 public:
  explicit CallReader(const XmlRpcLimits& limits) : limits_(limits) {}

  MethodCall read(pugi::xml_node root) {
    MethodCall call;
    if (name_of(root) != "methodCall")
      refuse(root, "the document is a <" + std::string(name_of(root)) + ">, not a <methodCall>");
    bool named = false;
    bool has_params = false;
    for (pugi::xml_node part = first_element(root); part; part = next_element(part)) {
      if (name_of(part) == "methodName" && !named) {
        call.method = base::trim(text_of(part));
        named = true;
      } else if (name_of(part) == "params" && !has_params) {
        has_params = true;
        for (pugi::xml_node param = first_element(part); param; param = next_element(param)) {
          expect(param, "param");
          call.params.push_back(value_of(only_element(param, "value"), 0));
        }
      } else {
        refuse(part, "<" + std::string(name_of(part)) + "> has no place in a <methodCall>");
      }
    }
    if (call.method.empty()) refuse(root, "the <methodCall> has no <methodName>");
    return call;
  }

 private:
  static std::string_view name_of(pugi::xml_node node) { return node.name(); }

  [[noreturn]] static void refuse(pugi::xml_node node, std::string text) {
    throw Refused{std::move(text), node.offset_debug()};
  }

  // The next element; text between elements must be white space.
  static pugi::xml_node skip_blank(pugi::xml_node node) {
    while (node && node.type() != pugi::node_element) {
      if (!is_blank(node.value())) refuse(node, "text beside an element");
      node = node.next_sibling();
    }
    return node;
  }
  static pugi::xml_node first_element(pugi::xml_node parent) { return skip_blank(parent.first_child()); }
  static pugi::xml_node next_element(pugi::xml_node node) { return skip_blank(node.next_sibling()); }

  static void expect(pugi::xml_node node, std::string_view name) {
    if (name_of(node) != name)
      refuse(node, "<" + std::string(name) + "> expected, found <" + std::string(name_of(node)) + ">");
  }

  static pugi::xml_node only_element(pugi::xml_node parent, std::string_view name) {
    const pugi::xml_node child = first_element(parent);
    if (!child) refuse(parent, "<" + std::string(name_of(parent)) + "> without <" + std::string(name) + ">");
    expect(child, name);
    if (const pugi::xml_node more = next_element(child))
      refuse(more, "<" + std::string(name_of(parent)) + "> with more than one <" + std::string(name) + ">");
    return child;
  }

  static std::string text_of(pugi::xml_node node) {
    if (const pugi::xml_node only = node.first_child(); only && is_text(only) && !only.next_sibling())
      return only.value();
    std::string text;
    for (pugi::xml_node child = node.first_child(); child; child = child.next_sibling()) {
      if (!is_text(child)) refuse(child, "<" + std::string(name_of(node)) + "> must hold text only");
      text += child.value();
    }
    return text;
  }

  Value value_of(pugi::xml_node node, std::size_t depth) {
    if (++values_ > limits_.values)
      refuse(node, "more than " + std::to_string(limits_.values) + " values in one call");
    // <value>text</value> is a string, white space included.
    pugi::xml_node typed = node.first_child();
    while (typed && is_text(typed)) typed = typed.next_sibling();
    if (!typed) return text_of(node);
    typed = first_element(node);
    if (const pugi::xml_node more = next_element(typed)) refuse(more, "a <value> with two types");
    std::string_view type = name_of(typed);
    if (type.starts_with("ex:")) type.remove_prefix(3);
    if (type == "string") return text_of(typed);
    if (type == "struct") return struct_of(typed, depth + 1);
    if (type == "array") return array_of(typed, depth + 1);
    if (type == "int" || type == "i4" || type == "i8" || type == "i1" || type == "i2") return int_of(typed);
    if (type == "boolean") {
      const std::string text = text_of(typed);
      const std::string_view flag = base::trim(text);
      if (flag != "0" && flag != "1")
        refuse(typed, "a <boolean> must be 0 or 1, not '" + shortened(flag) + "'");
      return flag == "1";
    }
    if (type == "double" || type == "float") return double_of(typed);
    if (type == "nil") return {};
    if (type == "dateTime.iso8601" || type == "dateTime") return std::string(base::trim(text_of(typed)));
    if (type == "base64") return base64_of(typed);
    refuse(typed, "<" + shortened(type) + "> is no XML-RPC type");
  }

  Value struct_of(pugi::xml_node node, std::size_t depth) {
    check_depth(node, depth);
    StructBuilder members;
    for (pugi::xml_node member = first_element(node); member; member = next_element(member)) {
      expect(member, "member");
      const pugi::xml_node name = first_element(member);
      if (!name) refuse(member, "a <member> without <name>");
      expect(name, "name");
      const pugi::xml_node value = next_element(name);
      if (!value) refuse(member, "a <member> without <value>");
      expect(value, "value");
      if (const pugi::xml_node more = next_element(value))
        refuse(more, "a <member> with more than name and value");
      members.set(text_of(name), value_of(value, depth));
    }
    return members.take();
  }

  Value array_of(pugi::xml_node node, std::size_t depth) {
    check_depth(node, depth);
    const pugi::xml_node data = only_element(node, "data");
    base::Array items;
    for (pugi::xml_node item = first_element(data); item; item = next_element(item)) {
      expect(item, "value");
      items.push_back(value_of(item, depth));
    }
    return items;
  }

  static Value int_of(pugi::xml_node node) {
    const std::string text = text_of(node);
    const std::optional<std::int64_t> number = base::parse_int(base::trim(text));
    if (!number) refuse(node, "'" + shortened(text) + "' is no integer of 64 bit");
    return static_cast<long long>(*number);
  }

  static Value double_of(pugi::xml_node node) {
    const std::string text = text_of(node);
    std::string_view digits = base::trim(text);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    double number = 0;
    const auto [stop, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (problem != std::errc() || stop != digits.data() + digits.size() || !std::isfinite(number))
      refuse(node, "'" + shortened(text) + "' is no finite number");
    return number;
  }

  static Value base64_of(pugi::xml_node node) {
    std::string packed;
    for (const char c : text_of(node))
      if (kWhite.find(c) == std::string_view::npos) packed += c;
    std::optional<std::string> bytes = base::base64_decode(packed);
    if (!bytes) refuse(node, "<base64> holds something that is not base64");
    if (!base::is_valid_utf8(*bytes))
      refuse(node, "<base64> holds bytes that are not UTF-8 text; parameters are text only");
    return std::move(*bytes);
  }

  void check_depth(pugi::xml_node node, std::size_t depth) const {
    if (depth > limits_.depth)
      refuse(node, "values are nested deeper than " + std::to_string(limits_.depth) + " levels");
  }

  static std::string shortened(std::string_view text) {
    return text.size() <= 40 ? std::string(text) : std::string(text.substr(0, 37)) + "...";
  }

  const XmlRpcLimits& limits_;
  std::size_t values_ = 0;
};

Error refusal(const std::string& text, std::ptrdiff_t offset) {
  return {Code::bad_parameter, "not a valid XML-RPC call at byte " + std::to_string(offset) + ": " + text};
}

}  // namespace

Result<MethodCall> parse_call(std::string_view xml, const XmlRpcLimits& limits) {
  if (auto plain = read_plain_call(xml, limits)) return std::move(*plain);
  // An array or struct takes three elements per level; the call around them a handful.
  if (const auto problem = scan_xml(xml, {.depth = 3 * limits.depth + 8, .elements = 5 * limits.values + 64}))
    return refusal(problem->text, static_cast<std::ptrdiff_t>(problem->offset));
  std::string buffer(xml);
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer_inplace(
      buffer.data(), buffer.size(),
      pugi::parse_cdata | pugi::parse_escapes | pugi::parse_eol | pugi::parse_ws_pcdata, pugi::encoding_utf8);
  if (!parsed) return refusal(parsed.description(), parsed.offset);
  try {
    const pugi::xml_node root = document.document_element();
    for (pugi::xml_node other = root.next_sibling(); other; other = other.next_sibling())
      if (other.type() == pugi::node_element)
        return refusal("a second element at the top", other.offset_debug());
    return CallReader(limits).read(root);
  } catch (const Refused& refused) {
    return refusal(refused.text, refused.offset);
  }
}

}  // namespace confd::rpc
