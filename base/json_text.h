// JsonText: writes JSON at the end of a string with a cursor in memory that is there already; std::string
// asks for its size and its end at every append, which is half the price of a job's record. Underneath
// base/json.h and scheduler/record.cpp. Names and values are written as they come: commas and brackets are
// the caller's. Thread-safety: a plain object; nobody else looks at the string while it lives.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/value.h"

namespace confd::base {

class JsonText {
 public:
  // `expected`: bytes there is room for at once; more come as they are needed.
  explicit JsonText(std::string& out, std::size_t expected = 0) : out_(out) {
    const std::size_t size = out.size();
    out.resize(size + expected);
    at_ = out.data() + size;
    end_ = out.data() + out.size();
  }
  ~JsonText() { out_.resize(static_cast<std::size_t>(at_ - out_.data())); }
  JsonText(const JsonText&) = delete;
  JsonText& operator=(const JsonText&) = delete;

  // As it stands; the caller knows that it is JSON.
  [[gnu::always_inline]] void raw(std::string_view text) {
    need(text.size());
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void raw(char c) {
    need(1);
    *at_++ = c;
  }
  // `"name":` with a comma before it if it is not the first. The name needs no escape.
  [[gnu::always_inline]] void key(std::string_view name, bool is_first) {
    need(name.size() + 4);
    *at_ = ',';
    at_ += is_first ? 0 : 1;
    *at_++ = '"';
    std::memcpy(at_, name.data(), name.size());
    at_ += name.size();
    *at_++ = '"';
    *at_++ = ':';
  }
  // Quoted, escaped. What is not UTF-8 becomes U+FFFD.
  void text(std::string_view text);
  void integer(std::int64_t number) {
    need(24);
    at_ = std::to_chars(at_, at_ + 24, number).ptr;
  }
  void value(const Value& value);
  void structure(const Struct& value);

 private:
  void need(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes) [[unlikely]]
      grow(bytes);
  }
  void grow(std::size_t bytes);
  void escaped(std::string_view text);

  std::string& out_;  // longer than what is written, until the end
  char* at_ = nullptr;
  char* end_ = nullptr;
};

}  // namespace confd::base
