// Small operations on text that C++20 lacks. ASCII case only; no locale. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace confd::base {

// White space = blank, \t, \n, \v, \f, \r.
std::string_view trim(std::string_view text);
std::vector<std::string> split(std::string_view text, char separator);
// Splits at ',', trims each item, drops empty ones (spec/exaconf.md §7 "list").
std::vector<std::string> split_list(std::string_view text);
std::string join(const std::vector<std::string>& items, std::string_view separator);
std::string to_lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
// The whole text as a decimal number, optionally signed; nothing when it is not one or does not fit.
std::optional<std::int64_t> parse_int(std::string_view text);
bool is_valid_utf8(std::string_view text);
std::string base64_encode(std::string_view bytes);
// Strict: alphabet A-Za-z0-9+/, padding required, no white space.
std::optional<std::string> base64_decode(std::string_view text);
// Same time for equal lengths whatever the content.
bool constant_time_equal(std::string_view a, std::string_view b);
std::string to_hex(std::string_view bytes);

}  // namespace confd::base
