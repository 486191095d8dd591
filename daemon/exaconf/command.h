// Commands of the exaconf program: each is data (name, help, options) and a function; the families are listed
// in main.cpp. A function reads its arguments and edits one Transaction, or prints.
//
// Thread-safety: the program has one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "exaconf/config.h"
#include "exaconf/transaction.h"
#include "exaconf/value_types.h"

namespace confd::exaconf_program {

// What goes wrong: exit 1 with the text, or exit 2 with the text and a hint at --help.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Option {
  enum class Kind { value, flag };
  char short_name;
  std::string_view name;
  std::string_view help;
  bool required = false;
  Kind kind = Kind::value;
};

class Arguments {
 public:
  void set(const Option& option, std::string value);
  bool has(std::string_view name) const { return values_.contains(name); }
  const std::string* find(std::string_view name) const;
  // REQUIRES: the option is required or has() was asked.
  const std::string& get(std::string_view name) const;
  std::string get_or(std::string_view name, std::string_view otherwise) const;
  // Typed readers; throw UsageError naming the option.
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most) const;
  std::optional<std::uint64_t> size(std::string_view name) const;

  std::vector<std::string> files;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// The edits of one command on one file; errors of the transaction become Failures.
class Edit {
 public:
  explicit Edit(exaconf::ConfigPtr config) : config_(config), transaction_(std::move(config)) {}

  const exaconf::Config& config() const { return *config_; }
  exaconf::Transaction& transaction() { return transaction_; }

  void set(const std::string& section, std::string_view key, std::string_view value);
  void unset(const std::string& section, std::string_view key);
  void add(const std::string& section, std::string_view title = {});
  void remove(const std::string& section);
  // The section as edited so far; throws a Failure "there is no <what> '<id>'".
  const exaconf::Section& require(std::string_view kind, std::string_view id, std::string_view what);
  const exaconf::Section* find(std::string_view kind, std::string_view id) const;
  // Printed after the commit.
  void say(std::string text) { said_.push_back(std::move(text)); }
  const std::vector<std::string>& said() const { return said_; }

 private:
  exaconf::ConfigPtr config_;
  exaconf::Transaction transaction_;
  std::vector<std::string> said_;
};

struct Command {
  std::string_view name;
  std::string_view help;  // one line, or more for --help
  std::span<const Option> options;
  void (*edit)(Edit&, const Arguments&) = nullptr;  // changes the file, or
  int (*run)(const Arguments&) = nullptr;           // does something else and gives the exit code
  std::string_view operands = "[FILE]";
  std::size_t least_files = 0;
  std::size_t most_files = 1;
};

std::span<const Command> node_commands();
std::span<const Command> volume_commands();
std::span<const Command> account_commands();
std::span<const Command> bucketfs_commands();
std::span<const Command> database_commands();
std::span<const Command> inspection_commands();

// $CONFD_ROOT/etc/EXAConf, or /exa/etc/EXAConf.
std::string default_file();
std::string file_of(const Arguments& arguments);
std::string read_file(const std::string& path);

// Checks shared by the families; throw Failures.
std::string checked_name(std::string_view what, const std::string& name);
// The users and groups of "uid : gid" exist; gives the written form.
std::string checked_owner(const exaconf::Config& config, const std::string& text);
// Every node exists; gives "11,12".
std::string checked_nodes(const exaconf::Config& config, const std::string& text);

// A password asked on the terminal without echo (twice when `confirm`), or a line of standard input when that
// is no terminal. Throws a Failure when there is none.
std::string ask_password(const std::string& prompt, bool confirm);

}  // namespace confd::exaconf_program
