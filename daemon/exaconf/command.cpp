#include "daemon/exaconf/command.h"

#include <cstdlib>

#include "base/file_system.h"
#include "base/text.h"
#include "exaconf/line_grammar.h"

namespace confd::exaconf_program {
namespace {

void check(const base::Status& status) {
  if (!status) throw Failure(status.error().text);
}

[[noreturn]] void bad_option(std::string_view name, const std::string& value, const std::string& wanted) {
  throw UsageError("--" + std::string(name) + " '" + value + "': " + wanted);
}

}  // namespace

void Arguments::set(const Option& option, std::string value) {
  if (!values_.emplace(option.name, std::move(value)).second)
    throw UsageError("--" + std::string(option.name) + " is given twice");
}

const std::string* Arguments::find(std::string_view name) const {
  const auto at = values_.find(name);
  return at == values_.end() ? nullptr : &at->second;
}

const std::string& Arguments::get(std::string_view name) const {
  return values_.find(name)->second;
}

std::string Arguments::get_or(std::string_view name, std::string_view otherwise) const {
  const std::string* value = find(name);
  return value ? *value : std::string(otherwise);
}

std::optional<bool> Arguments::boolean(std::string_view name) const {
  const std::string* value = find(name);
  if (!value) return std::nullopt;
  const auto flag = exaconf::parse_bool(*value);
  if (!flag) bad_option(name, *value, "must be True or False");
  return flag;
}

std::optional<std::int64_t> Arguments::integer(std::string_view name, std::int64_t least,
                                               std::int64_t most) const {
  const std::string* value = find(name);
  if (!value) return std::nullopt;
  const auto number = base::parse_int(*value);
  if (!number || *number < least || *number > most)
    bad_option(name, *value,
               "must be a number from " + std::to_string(least) + " to " + std::to_string(most));
  return number;
}

std::optional<std::uint64_t> Arguments::size(std::string_view name) const {
  const std::string* value = find(name);
  if (!value) return std::nullopt;
  const auto size = exaconf::parse_size(*value);
  if (!size || *size == 0) bad_option(name, *value, "must be a size such as '4 GiB'");
  return size;
}

void Edit::set(const std::string& section, std::string_view key, std::string_view value) {
  check(transaction_.set(section, key, value));
}

void Edit::unset(const std::string& section, std::string_view key) {
  check(transaction_.unset(section, key));
}

void Edit::add(const std::string& section, std::string_view title) {
  std::vector<std::string> comments;
  if (section.find('/') == std::string::npos) comments.emplace_back();
  if (!title.empty()) comments.push_back("# " + std::string(title));
  check(transaction_.add_section(section, std::move(comments)));
}

void Edit::remove(const std::string& section) {
  check(transaction_.remove_section(section));
}

const exaconf::Section* Edit::find(std::string_view kind, std::string_view id) const {
  return transaction_.document().find(exaconf::heading_name(kind, id));
}

const exaconf::Section& Edit::require(std::string_view kind, std::string_view id, std::string_view what) {
  if (const exaconf::Section* section = find(kind, id)) return *section;
  throw Failure("there is no " + std::string(what) + " '" + std::string(id) + "'");
}

std::string default_file() {
  const char* root = std::getenv("CONFD_ROOT");
  return base::join_path(root && *root ? root : "/exa", "etc/EXAConf");
}

std::string file_of(const Arguments& arguments) {
  return arguments.files.empty() ? default_file() : arguments.files.front();
}

std::string read_file(const std::string& path) {
  auto text = base::system_file_system().read(path);
  if (!text) throw Failure(text.error().text);
  return std::move(*text);
}

std::string checked_name(std::string_view what, const std::string& name) {
  if (!exaconf::is_plain_name(name) || name.find_first_of(":/,#=\t\n") != std::string::npos)
    throw Failure(std::string(what) + " '" + name +
                  "' is no name: ':', '/', ',', '#', '=' and brackets are not allowed");
  return name;
}

std::string checked_owner(const exaconf::Config& config, const std::string& text) {
  const auto owner = exaconf::parse_owner(text);
  if (!owner) throw Failure("owner '" + text + "' is not of the form UID:GID");
  if (!config.user_by_id(owner->uid))
    throw Failure("owner: there is no user with ID " + std::to_string(owner->uid));
  if (!config.group_by_id(owner->gid))
    throw Failure("owner: there is no group with ID " + std::to_string(owner->gid));
  return exaconf::format_owner(*owner);
}

std::string checked_nodes(const exaconf::Config& config, const std::string& text) {
  const auto nodes = exaconf::parse_node_list(text);
  if (!nodes || nodes->empty()) throw Failure("nodes '" + text + "' is not a list of node ids such as 11,12");
  for (std::size_t i = 0; i < nodes->size(); ++i) {
    const int id = (*nodes)[i];
    if (!config.nodes().contains(id)) throw Failure("there is no node '" + std::to_string(id) + "'");
    for (std::size_t k = 0; k < i; ++k)
      if ((*nodes)[k] == id) throw Failure("node '" + std::to_string(id) + "' is listed twice");
  }
  return exaconf::format_node_list(*nodes);
}

}  // namespace confd::exaconf_program
