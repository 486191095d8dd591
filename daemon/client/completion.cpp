#include "daemon/client/completion.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "daemon/client/commands.h"
#include "daemon/client/completion_scripts.h"
#include "daemon/client/connection.h"

namespace confd::client {
namespace {

using base::Array;
using base::Struct;
using base::Value;

constexpr std::chrono::seconds kPatience{2};  // somebody waits with a finger on the tab key

// What the words so far say.
struct Line {
  std::optional<std::string> command;
  std::vector<std::string> words;           // behind the command
  const OptionDescription* open = nullptr;  // the option whose value is being typed
  std::string current;
};

Line read_line(const std::vector<std::string>& typed) {
  Line line;
  if (typed.empty()) return line;
  line.current = typed.back();
  for (std::size_t i = 0; i + 1 < typed.size(); ++i) {
    const std::string& word = typed[i];
    line.open = nullptr;
    if (word.size() > 1 && word[0] == '-') {
      for (const OptionDescription& option : option_descriptions()) {
        const bool same =
            option.name == word || (option.letter && word.size() == 2 && word[1] == option.letter);
        if (!same || option.value.empty()) continue;
        const bool command = option.name == "--command";
        line.open = &option;
        if (i + 2 < typed.size()) {
          ++i;
          line.open = nullptr;
          if (command) line.command = typed[i];
        }
        break;
      }
    } else if (!line.command) {
      line.command = word;
    } else {
      line.words.push_back(word);
    }
  }
  return line;
}

class Candidates {
 public:
  explicit Candidates(const Options& options) : options_(options) {}

  std::vector<std::string> of(const Line& line) {
    if (line.open) {
      option_value(*line.open, line);
    } else if (line.current.starts_with('-')) {
      for (const OptionDescription& option : option_descriptions()) add(std::string(option.name));
    } else if (!line.command) {
      commands();
    } else if (*line.command == "help" || *line.command == "desc" || *line.command == "args") {
      if (line.words.empty()) kind("job");
    } else if (*line.command == "result" || *line.command == "stop") {
      if (line.words.empty()) job_ids();
    } else if (!is_built_in(*line.command)) {
      parameters(line);
    }
    return std::move(found_);
  }

 private:
  void add(std::string word) {
    // A candidate is one word of the shell.
    if (!word.empty() && word.find_first_of(" \t\n'\"\\$`;&|<>(){}*?") == std::string::npos)
      found_.push_back(std::move(word));
  }

  static bool is_built_in(std::string_view name) {
    return std::any_of(built_in_commands().begin(), built_in_commands().end(),
                       [&](const BuiltIn& command) { return command.name == name; });
  }

  // nullptr when confd is away: then there is less to offer.
  Confd* confd() {
    if (!confd_ && !tried_) {
      tried_ = true;
      try {
        confd_.emplace(Confd::connect(root_of(options_), std::nullopt));
      } catch (const Failure&) {
        return nullptr;
      }
    }
    return confd_ ? &*confd_ : nullptr;
  }

  Value ask(const std::string& method, Struct params) {
    try {
      return confd() ? confd()->call(method, std::move(params), kPatience) : Value();
    } catch (const Failure&) {
      return {};
    }
  }

  void commands() {
    kind("job");
    for (const BuiltIn& command : built_in_commands()) add(std::string(command.name));
  }

  void option_value(const OptionDescription& option, const Line& line) {
    const std::string_view name = option.name;
    if (name == "--command")
      commands();
    else if (name == "--user")
      kind("user");
    else if (name == "--job")
      kind("job");
    else if (name == "--completion")
      for (const char* shell : {"bash", "zsh"}) add(shell);
    else if (name == "--state")
      for (const char* state :
           {"submitted", "scheduled", "executed", "finished", "committed", "running", "failed"})
        add(state);
    else if (name == "--params" && line.command &&
             (*line.command == "help" || *line.command == "desc" || *line.command == "args"))
      kind("job");
    else if (name == "--params" && line.command && (*line.command == "result" || *line.command == "stop"))
      job_ids();
  }

  void job_ids() {
    const Value rows = ask("job_history", Struct{{"limit", 20}});
    if (!rows.is_array()) return;
    for (const Value& row : rows.as_array())
      if (const Value* id = row.find("job_id"); id && id->is_string()) add(id->as_string());
  }

  // Names of all things of a kind, from the job that lists them.
  void kind(std::string_view kind) {
    if (kind == "job") return names_in(ask("job_list", {}));
    constexpr std::pair<std::string_view, const char*> kLists[] = {
        {"user", "user_list"},        {"group", "group_list"}, {"database", "db_list"},
        {"volume", "st_volume_list"}, {"node", "node_list"},   {"bucketfs", "bucketfs_list"}};
    for (const auto& [name, job] : kLists) {
      if (name != kind || !confd()) continue;
      try {
        const Value envelope = confd()->call_job(
            "job_exec", job, Struct{{"params", Struct{}}, {"dry_run", false}, {"volatile", true}}, kPatience);
        if (const Value* output = envelope.find("result_output")) names_in(*output);
      } catch (const Failure&) {
        return;
      }
    }
  }

  // Lists of names, of structs with a name, of rows that begin with it; structs by name.
  void names_in(const Value& value) {
    if (value.is_struct()) {
      for (const auto& [name, member] : value.as_struct()) add(name);
    } else if (value.is_array()) {
      for (const Value& item : value.as_array()) name_of(item);
    }
  }

  void name_of(const Value& item) {
    if (item.is_string()) return add(item.as_string());
    if (item.is_int()) return add(std::to_string(item.as_int()));
    if (item.is_array() && !item.as_array().empty()) return name_of(item.as_array()[0]);
    for (const char* member :
         {"name", "username", "user_name", "groupname", "vname", "volume_name", "id", "nid"})
      if (const Value* name = item.find(member); name && !name->is_array() && !name->is_struct())
        return name_of(*name);
    if (item.is_struct() && item.as_struct().size() == 1) add(item.as_struct().begin()->first);
  }

  void parameters(const Line& line) {
    const Value answer = ask("job_desc", Struct{{"name", *line.command}});
    if (!answer.is_array() || answer.as_array().size() != 2 || !answer.as_array()[1].is_array()) return;
    const Array& payload = answer.as_array()[1].as_array();
    const auto member = [&](std::size_t index) { return index < payload.size() ? payload[index] : Value(); };
    if (!line.words.empty() && line.words.back().ends_with(':')) {
      std::string name = line.words.back();
      name.pop_back();
      return parameter_value(name, member);
    }
    std::set<std::string> used(line.words.begin(), line.words.end());
    for (const std::size_t index : {1, 2}) {
      const Value list = member(index);
      if (!list.is_struct()) continue;
      for (const auto& [name, description] : list.as_struct())
        if (!used.contains(name + ":")) add(name + ":");
    }
  }

  template <class Member>
  void parameter_value(const std::string& name, const Member& member) {
    const Value choices = member(10);
    if (const Value* list = choices.find(name)) return names_in(*list);
    const Value kinds = member(9);
    if (const Value* named = kinds.find(name); named && named->is_string()) return kind(named->as_string());
    for (const std::size_t index : {1, 2}) {
      const Value list = member(index);
      const Value* description = list.find(name);
      const Value* type = description ? description->find("type") : nullptr;
      if (type && type->is_string() && type->as_string().find("bool") != std::string::npos)
        for (const char* word : {"true", "false"}) add(word);
    }
  }

  const Options& options_;
  std::optional<Confd> confd_;
  bool tried_ = false;
  std::vector<std::string> found_;
};

}  // namespace

std::string completion_script(const std::string& shell) {
  std::string name = shell;
  if (name.empty()) {
    const char* path = std::getenv("SHELL");
    name = path ? path : "";
    name.erase(0, name.rfind('/') + 1);
    if (name != "zsh") name = "bash";
  }
  return std::string(name == "zsh" ? kZshCompletion : kBashCompletion);
}

std::string complete(const Options& options) {
  const Line line = read_line(*options.complete);
  std::string out;
  for (const std::string& candidate : Candidates(options).of(line))
    if (candidate.starts_with(line.current)) out += candidate + "\n";
  return out;
}

}  // namespace confd::client
