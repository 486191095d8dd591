#include "exaconf/value_types.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/text.h"

namespace confd::exaconf {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  const std::string_view digits = text.substr(0, n);
  text.remove_prefix(n);
  return digits;
}

constexpr std::string_view kUnits = "KMGTPEZY";

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  const std::string word = base::to_lower(base::trim(text));
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  return std::nullopt;
}

std::string format_bool(bool value) {
  return value ? "True" : "False";
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  text = base::trim(text);
  const std::string_view whole = text;
  (void)take_digits(text);
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    (void)take_digits(text);
  }
  const std::string_view number = whole.substr(0, whole.size() - text.size());
  if (number.empty() || !is_digit(number.front()) || !is_digit(number.back())) return std::nullopt;

  const std::string unit = base::to_lower(base::trim(text));
  std::string_view rest = unit;
  long double factor = 1;
  if (!rest.empty() && rest.front() != 'b') {
    const std::size_t power = base::to_lower(kUnits).find(rest.front());
    if (power == std::string::npos) return std::nullopt;
    rest.remove_prefix(1);
    const bool binary = !rest.empty() && rest.front() == 'i';
    if (binary) rest.remove_prefix(1);
    for (std::size_t i = 0; i <= power; ++i) factor *= binary ? 1024 : 1000;
  }
  if (!rest.empty() && rest.front() == 'b') rest.remove_prefix(1);
  if (!rest.empty()) return std::nullopt;

  long double value = 0;
  const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (failure != std::errc() || end != number.data() + number.size()) return std::nullopt;
  const long double bytes = std::round(value * factor);
  if (bytes >= 18446744073709551616.0L) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 7> kNames = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  long double value = static_cast<long double>(bytes);
  while (value >= 1024 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.4Lf", value);
  std::string text = buffer;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text.append(" ").append(kNames[unit]);
}

std::optional<std::int64_t> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<char, std::int64_t>, 5> kParts = {
      {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};
  constexpr std::int64_t kLargest = std::int64_t{1} << 53;
  text = base::trim(text);
  if (text.empty()) return std::nullopt;
  std::int64_t seconds = 0;
  std::size_t next = 0;
  while (!text.empty()) {
    const auto number = base::parse_int(take_digits(text));
    if (!number) return std::nullopt;
    text = base::trim(text);
    std::int64_t factor = 1;
    if (text.empty()) {
      next = kParts.size();  // a last bare number is seconds
    } else {
      const char unit = base::to_lower(text.substr(0, 1)).front();
      while (next < kParts.size() && kParts[next].first != unit) ++next;
      if (next == kParts.size()) return std::nullopt;
      factor = kParts[next++].second;
      text = base::trim(text.substr(1));
    }
    if (*number > (kLargest - seconds) / factor) return std::nullopt;
    seconds += *number * factor;
  }
  return seconds;
}

std::string format_duration(std::int64_t seconds) {
  constexpr std::array<std::pair<char, std::int64_t>, 5> kParts = {
      {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};
  std::string text;
  for (const auto& [unit, size] : kParts) {
    const std::int64_t count = seconds / size;
    seconds %= size;
    if (count == 0) continue;
    if (!text.empty()) text += ' ';
    text.append(std::to_string(count)).append(1, unit);
  }
  return text.empty() ? "0s" : text;
}

std::optional<Owner> parse_owner(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto uid = base::parse_int(base::trim(text.substr(0, colon)));
  const auto gid = base::parse_int(base::trim(text.substr(colon + 1)));
  if (!uid || !gid || *uid < 0 || *gid < 0) return std::nullopt;
  return Owner{*uid, *gid};
}

std::string format_owner(const Owner& owner) {
  return std::to_string(owner.uid) + " : " + std::to_string(owner.gid);
}

bool is_ipv4_address(std::string_view text) {
  for (int i = 0; i < 4; ++i) {
    if (i > 0) {
      if (text.empty() || text.front() != '.') return false;
      text.remove_prefix(1);
    }
    const std::string_view digits = take_digits(text);
    if (digits.empty() || digits.size() > 3 || *base::parse_int(digits) > 255) return false;
    if (digits.size() > 1 && digits.front() == '0') return false;
  }
  return text.empty();
}

bool is_ipv6_address(std::string_view text) {
  if (text.size() < 2) return false;
  bool shortened = false;
  int groups = 0;
  if (text.front() == ':' && text[1] != ':') return false;
  while (!text.empty()) {
    if (text.starts_with("::")) {
      if (shortened) return false;
      shortened = true;
      text.remove_prefix(2);
      continue;
    }
    if (groups > 0 && text.front() == ':') text.remove_prefix(1);
    std::size_t n = 0;
    while (n < text.size() && std::string_view("0123456789abcdefABCDEF").find(text[n]) != std::string::npos)
      ++n;
    if (n < text.size() && text[n] == '.') {
      groups += 2;
      return is_ipv4_address(text) && (shortened ? groups < 8 : groups == 8);
    }
    if (n == 0 || n > 4) return false;
    text.remove_prefix(n);
    ++groups;
    if (!text.empty() && text.front() != ':') return false;
    if (text == ":") return false;
  }
  return shortened ? groups < 8 : groups == 8;
}

std::optional<Network> parse_network(std::string_view text, int node_id) {
  text = base::trim(text);
  const std::size_t slash = text.find('/');
  Network network;
  for (std::size_t i = 0; i < std::min(slash, text.size()); ++i) {
    if (text[i] != 'x' && text[i] != 'X') {
      network.address += text[i];
    } else if (i == 0 || (text[i - 1] != 'x' && text[i - 1] != 'X')) {
      network.address += std::to_string(node_id);
    }
  }
  network.is_ipv6 = is_ipv6_address(network.address);
  if (!network.is_ipv6 && !is_ipv4_address(network.address)) return std::nullopt;
  const int longest = network.is_ipv6 ? 128 : 32;
  network.prefix = longest;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) return std::nullopt;
    const auto prefix = base::parse_int(digits);
    if (!prefix || *prefix > longest) return std::nullopt;
    network.prefix = static_cast<int>(*prefix);
  }
  return network;
}

std::string format_network(const Network& network) {
  return network.address + "/" + std::to_string(network.prefix);
}

std::optional<std::vector<int>> parse_node_list(std::string_view text) {
  std::vector<int> nodes;
  for (const std::string& item : base::split_list(text)) {
    const auto id = base::parse_int(item);
    if (!id || *id < 0 || *id > 1'000'000) return std::nullopt;
    nodes.push_back(static_cast<int>(*id));
  }
  return nodes;
}

std::string format_node_list(const std::vector<int>& nodes) {
  std::string text;
  for (const int id : nodes) {
    if (!text.empty()) text += ',';
    text += std::to_string(id);
  }
  return text;
}

std::string format_list(const std::vector<std::string>& items) {
  if (items.empty()) return ",";
  return items.size() == 1 ? items.front() + "," : base::join(items, ", ");
}

std::optional<PairList> parse_pair_list(std::string_view text) {
  PairList pairs;
  for (const std::string& item : base::split_list(text)) {
    const std::size_t colon = item.find(':');
    if (colon == std::string::npos) return std::nullopt;
    pairs.emplace_back(base::trim(std::string_view(item).substr(0, colon)),
                       base::trim(std::string_view(item).substr(colon + 1)));
  }
  return pairs;
}

std::string format_pair_list(const PairList& pairs) {
  std::string text;
  for (const auto& [first, second] : pairs) {
    if (!text.empty()) text += ", ";
    text.append(first).append(":").append(second);
  }
  return text;
}

bool is_unset(std::string_view text) {
  text = base::trim(text);
  return text.empty() || base::equals_ignoring_case(text, "none");
}

}  // namespace confd::exaconf
