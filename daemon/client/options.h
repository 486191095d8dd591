// Options of confd_client: the command line, read leniently (spec/confd_client.md §1): options and parameters
// mix in any order. Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace confd::client {

// A wrong command line, or parameters that cannot be read: exit code 2.
struct UsageError {
  std::string text;
};

enum class Format { yaml, json, python, flat };

struct HistoryFilter {
  std::optional<std::string> state, user, job, since, until, limit;
};

struct Options {
  std::optional<std::string> command;      // job or built-in
  std::vector<std::string> words;          // positional arguments behind it
  std::optional<std::string> params;       // -a
  std::optional<std::string> params_json;  // -A
  Format format = Format::yaml;
  bool format_given = false;
  bool start = false;
  bool verbose = false;
  bool dry_run = false;
  bool is_volatile = false;
  bool help = false;
  bool version = false;
  std::optional<std::string> user;
  std::optional<std::string> root;
  std::optional<std::string> platform_reference;
  HistoryFilter history;
  std::optional<std::string> completion;             // shell; "" = find out
  std::optional<std::vector<std::string>> complete;  // words typed so far; the last one is being typed
};

// `arguments` without the name of the program. Throws UsageError.
Options parse_options(const std::vector<std::string>& arguments);

struct OptionDescription {
  char letter;             // 0 = none
  std::string_view name;   // "--params"
  std::string_view value;  // placeholder of its value; empty = takes none
  std::string_view help;
};
// All that are shown, in the order of the help.
const std::vector<OptionDescription>& option_descriptions();

struct BuiltIn {
  std::string_view name;
  std::string_view argument;
  std::string_view help;
};
const std::vector<BuiltIn>& built_in_commands();

std::string usage_line();
// The whole help text.
std::string help_text();

}  // namespace confd::client
