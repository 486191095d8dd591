// Types of the values in EXAConf and their exact written forms (spec/exaconf.md §7). Used by views, the
// validator, jobs and the exaconf program.
//
// Readers give nothing for text that is not of the type; callers name the key in their error. Thread-safety:
// pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace confd::exaconf {

// true/false, yes/no, on/off, 1/0 in any case; written True, False.
std::optional<bool> parse_bool(std::string_view text);
std::string format_bool(bool value);

// "4 KiB", "58.5938GiB", "90G" (powers of 1000 without i), "512"; bytes, rounded to the nearest.
std::optional<std::uint64_t> parse_size(std::string_view text);
// Largest binary unit with a value >= 1, up to 4 decimals: "4 KiB", "58.5938 GiB", "512 B".
std::string format_size(std::uint64_t bytes);

// "3600", "2w 1d", "1h30m 5"; seconds.
std::optional<std::int64_t> parse_duration(std::string_view text);
// "2w 1d", "0s". REQUIRES: seconds >= 0.
std::string format_duration(std::int64_t seconds);

struct Owner {
  std::int64_t uid = 0;
  std::int64_t gid = 0;
};
// "500 : 500", "500:500"; written with blanks.
std::optional<Owner> parse_owner(std::string_view text);
std::string format_owner(const Owner& owner);

// address/prefix with the host part kept; a bare address gets /32 (IPv6: /128).
struct Network {
  std::string address;
  int prefix = 32;
  bool is_ipv6 = false;
};
// Runs of x or X in an address stand for the node id.
std::optional<Network> parse_network(std::string_view text, int node_id);
std::string format_network(const Network& network);
bool is_ipv4_address(std::string_view text);
bool is_ipv6_address(std::string_view text);

// Node lists are written without blanks. Nothing when an item is no number.
std::optional<std::vector<int>> parse_node_list(std::string_view text);
std::string format_node_list(const std::vector<int>& nodes);
// "a, b"; one element "a,"; none ",".
std::string format_list(const std::vector<std::string>& items);

// "8563:8574, 2580:2591"; split at the first colon of each item. Nothing when an item has none.
using PairList = std::vector<std::pair<std::string, std::string>>;
std::optional<PairList> parse_pair_list(std::string_view text);
std::string format_pair_list(const PairList& pairs);

// "None" in any case and the empty text mean: not set.
bool is_unset(std::string_view text);

}  // namespace confd::exaconf
