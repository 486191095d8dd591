#include "exaconf/version.h"

#include <array>
#include <string>

#include "base/text.h"

namespace confd::exaconf {
namespace {

std::optional<int> take_number(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
  const auto number = base::parse_int(text.substr(0, n));
  if (!number || *number > 1'000'000) return std::nullopt;
  text.remove_prefix(n);
  return static_cast<int>(*number);
}

}  // namespace

std::optional<Version> parse_version(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, int>, 5> kSuffixes = {
      {{"dev", -4}, {"alpha", -3}, {"beta", -2}, {"rc", -1}, {"p", 1}}};
  const std::string lower = base::to_lower(base::trim(text));
  std::string_view rest = lower;
  Version version;
  for (;;) {
    const auto number = take_number(rest);
    if (!number) return std::nullopt;
    version.numbers.push_back(*number);
    const bool more = rest.size() > 1 && rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9';
    if (!more) break;
    rest.remove_prefix(1);
  }
  while (version.numbers.size() > 1 && version.numbers.back() == 0) version.numbers.pop_back();
  for (const auto& [word, rank] : kSuffixes) {
    std::string_view at = rest;
    if (!at.empty() && std::string_view("-_.").find(at.front()) != std::string_view::npos)
      at.remove_prefix(1);
    if (!at.starts_with(word)) continue;
    at.remove_prefix(word.size());
    version.suffix = rank;
    version.suffix_number = take_number(at).value_or(0);
    rest = at;
    break;
  }
  if (rest.starts_with("-d")) {
    rest.remove_prefix(2);
    const auto build = take_number(rest);
    if (!build) return std::nullopt;
    version.build = *build;
  }
  if (!rest.empty()) return std::nullopt;
  return version;
}

}  // namespace confd::exaconf
