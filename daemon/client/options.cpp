#include "daemon/client/options.h"

#include <algorithm>

namespace confd::client {
namespace {

bool is_number(std::string_view text) {
  if (!text.starts_with('-') || text.size() < 2) return false;
  text.remove_prefix(1);
  return text.find_first_not_of("0123456789.") == std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

const OptionDescription* by_letter(char letter) {
  for (const OptionDescription& option : option_descriptions())
    if (option.letter == letter) return &option;
  return nullptr;
}

// An exact name, or the only one that begins so.
const OptionDescription* by_name(std::string_view name) {
  std::vector<const OptionDescription*> candidates;
  for (const OptionDescription& option : option_descriptions()) {
    if (option.name == name) return &option;
    if (option.name.starts_with(name)) candidates.push_back(&option);
  }
  if (candidates.size() > 1) {
    std::string text = "ambiguous option " + std::string(name) + ": could be";
    for (const OptionDescription* candidate : candidates) text += " " + std::string(candidate->name);
    throw UsageError{text};
  }
  return candidates.empty() ? nullptr : candidates[0];
}

[[noreturn]] void unknown(const std::string& token) {
  throw UsageError{"there is no option " + token +
                   "; a parameter value that begins with '-' goes into quotes for YAML: \"'" + token + "'\""};
}

// A token that stands for itself, not for an option.
bool is_positional(const std::string& token) {
  if (token.size() < 2 || token[0] != '-' || is_number(token)) return true;
  const char second = token[1];
  if (second != '-' && !(second >= 'a' && second <= 'z') && !(second >= 'A' && second <= 'Z'))
    return true;  // -}
  if (token.find(' ') == std::string::npos) return false;
  if (token[1] == '-') return token.find('=') > token.find(' ');
  const OptionDescription* option = by_letter(token[1]);
  return !option || option->value.empty();
}

class Parser {
 public:
  explicit Parser(const std::vector<std::string>& arguments) : arguments_(arguments) {}

  Options parse() {
    while (at_ < arguments_.size()) {
      const std::string& token = arguments_[at_++];
      if (token == "--") {
        while (at_ < arguments_.size()) positionals_.push_back(arguments_[at_++]);
      } else if (token == "--complete") {
        options_.complete.emplace(arguments_.begin() + static_cast<std::ptrdiff_t>(at_), arguments_.end());
        return std::move(options_);
      } else if (is_positional(token)) {
        positionals_.push_back(token);
      } else if (token[1] == '-') {
        long_option(token);
      } else {
        short_options(token);
      }
    }
    finish();
    return std::move(options_);
  }

 private:
  void long_option(const std::string& token) {
    const std::size_t equals = token.find('=');
    const OptionDescription* option = by_name(std::string_view(token).substr(0, equals));
    if (!option) unknown(token);
    if (option->value.empty()) {
      if (equals != std::string::npos) throw UsageError{std::string(option->name) + " takes no value"};
      return set(*option, {}, true);
    }
    set(*option, equals == std::string::npos ? value_of(*option) : token.substr(equals + 1), true);
  }

  // -j, -jv, -c db_list, -cdb_list, -c=db_list
  void short_options(const std::string& token) {
    for (std::size_t i = 1; i < token.size(); ++i) {
      const OptionDescription* option = by_letter(token[i]);
      if (!option) unknown(token);
      if (option->value.empty()) {
        set(*option, {}, false);
        continue;
      }
      if (i + 1 == token.size()) return set(*option, value_of(*option), false);
      return set(*option, token.substr(token[i + 1] == '=' ? i + 2 : i + 1), false);
    }
  }

  std::string value_of(const OptionDescription& option) {
    if (option.name == "--completion") {
      const bool named = at_ < arguments_.size() && (arguments_[at_] == "bash" || arguments_[at_] == "zsh");
      return named ? arguments_[at_++] : "";
    }
    if (at_ >= arguments_.size() || !is_positional(arguments_[at_]))
      throw UsageError{"option " + std::string(option.name) + " wants a value: " + std::string(option.value)};
    return arguments_[at_++];
  }

  void set(const OptionDescription& option, std::string value, bool by_long_name) {
    const std::string_view name = option.name;
    if (name == "--help")
      options_.help = true;
    else if (name == "--version")
      options_.version = true;
    else if (name == "--command")
      options_.command = std::move(value);
    else if (name == "--completion")
      set_completion(std::move(value));
    else if (name == "--params")
      options_.params = std::move(value);
    else if (name == "--params-json")
      options_.params_json = std::move(value);
    else if (name == "--platform-reference")
      options_.platform_reference = std::move(value);
    else if (name == "--start")
      options_.start = true;
    else if (name == "--json")
      set_format(Format::json);
    else if (name == "--python")
      set_format(Format::python);
    else if (name == "--flat")
      set_format(Format::flat);
    else if (name == "--user")
      (by_long_name ? long_user_ : options_.user) = std::move(value);
    else if (name == "--verbose")
      options_.verbose = true;
    else if (name == "--dry-run")
      options_.dry_run = true;
    else if (name == "--volatile")
      options_.is_volatile = true;
    else if (name == "--root")
      options_.root = std::move(value);
    else if (std::optional<std::string>* filter = history_filter(name))
      *filter = std::move(value);
  }

  std::optional<std::string>* history_filter(std::string_view name) {
    HistoryFilter& h = options_.history;
    const std::pair<std::string_view, std::optional<std::string>*> filters[] = {{"--state", &h.state},
                                                                                {"--job", &h.job},
                                                                                {"--since", &h.since},
                                                                                {"--until", &h.until},
                                                                                {"--limit", &h.limit}};
    for (const auto& [filter, member] : filters) {
      if (filter != name) continue;
      history_option_ = filter;
      return member;
    }
    return nullptr;  // --region and --platform: only of use with a platform reference
  }

  void set_completion(std::string shell) {
    if (!shell.empty() && shell != "bash" && shell != "zsh")
      throw UsageError{"completion exists for bash and zsh, not for '" + shell + "'"};
    options_.completion = std::move(shell);
  }

  void set_format(Format format) {
    if (options_.format_given && options_.format != format)
      throw UsageError{"only one of -j, -P and --flat can be chosen"};
    options_.format = format;
    options_.format_given = true;
  }

  void finish() {
    std::size_t first = 0;
    if (!options_.command && !positionals_.empty()) options_.command = positionals_[first++];
    options_.words.assign(positionals_.begin() + static_cast<std::ptrdiff_t>(first), positionals_.end());
    const bool history = options_.command == "history";
    // For history --user is a filter, -u says who asks.
    if (long_user_) (history ? options_.history.user : options_.user) = long_user_;
    if (options_.help || options_.version || options_.completion) return;
    if (!history && !history_option_.empty())
      throw UsageError{"option " + std::string(history_option_) + " belongs to the command history"};
    if (!options_.command && !arguments_.empty())
      throw UsageError{"which command? confd_client list shows the jobs"};
    if (options_.command && options_.command->empty()) throw UsageError{"the command is empty"};
  }

  const std::vector<std::string>& arguments_;
  std::size_t at_ = 0;
  std::vector<std::string> positionals_;
  std::optional<std::string> long_user_;
  std::string_view history_option_;
  Options options_;
};

}  // namespace

const std::vector<OptionDescription>& option_descriptions() {
  static const std::vector<OptionDescription> options = {
      {'h', "--help", "", "show this help and exit"},
      {'c', "--command", "COMMAND", "command to execute, the same as cmd"},
      {0, "--completion", "[SHELL]", "print completion code for bash or zsh"},
      {'a', "--params", "PARAMS", "job parameters in YAML, or the argument of a built-in command"},
      {'A', "--params-json", "PARAMS_JSON", "job parameters in JSON"},
      {'s', "--platform-reference", "PLATFORM_REFERENCE", "SaaS platform (not available on this system)"},
      {'R', "--region", "REGION", "SaaS only: region"},
      {'p', "--platform", "PLATFORM", "SaaS only: platform"},
      {'S', "--start", "", "start the job, print its id, do not wait"},
      {'j', "--json", "", "output as JSON"},
      {'P', "--python", "", "output as Python literal"},
      {0, "--flat", "", "output as lines `path.to.key: value`"},
      {'u', "--user", "USER", "act as this user (root only)"},
      {'v', "--verbose", "", "show the whole result and the job's record"},
      {'d', "--dry-run", "", "check parameters and state, change nothing"},
      {'J', "--volatile", "", "keep no job file (read jobs only)"},
      {0, "--root", "DIR", "folder of the node, default: $CONFD_ROOT, else /exa"},
      {0, "--version", "", "show the version and exit"},
      {0, "--state", "STATE", "history: a stage, running or failed"},
      {0, "--job", "JOB", "history: jobs of this name"},
      {0, "--since", "TIME", "history: not before; 2026-11-22 13:00 (UTC), 30m, 2h, 1d, 1w"},
      {0, "--until", "TIME", "history: not after"},
      {0, "--limit", "N", "history: at most so many, newest first (default 100)"},
  };
  return options;
}

const std::vector<BuiltIn>& built_in_commands() {
  static const std::vector<BuiltIn> commands = {
      {"list", "", "list of jobs"},
      {"help", "JOB", "description of a job"},
      {"desc", "JOB", "description of a job as a structure"},
      {"args", "JOB", "arguments a job accepts"},
      {"result", "JOBID", "result of a job"},
      {"stop", "JOBID", "stop a job, if possible"},
      {"master", "", "address of the current master"},
      {"info", "", "information about the infrastructure"},
      {"history", "", "recent jobs; --state --user --job --since --until --limit"},
  };
  return commands;
}

std::string usage_line() {
  return "usage: confd_client [-h] [-c COMMAND] [--completion] [-a PARAMS] [-A PARAMS_JSON] [-s "
         "PLATFORM_REFERENCE]\n"
         "                    [-R REGION] [-p PLATFORM] [-S] [-j | -P | --flat] [-u USER] [-v] [-d] [-J] "
         "[cmd] "
         "[pars ...]\n";
}

std::string help_text() {
  std::string text = usage_line();
  const auto row = [&](std::string left, std::string_view right) {
    left.resize(std::max<std::size_t>(left.size() + 2, 30), ' ');
    text += "  " + left + std::string(right) + "\n";
  };
  text +=
      "\nConfD command line client: runs a job on this node's confd and prints its output.\n\npositional "
      "arguments:\n";
  row("cmd", "command to execute, usually a job name");
  row("pars", "job parameters in YAML: name: value name: value ...");
  text += "\noptions:\n";
  for (const OptionDescription& option : option_descriptions()) {
    std::string left = option.letter ? std::string("-") + option.letter + ", " : std::string();
    left += option.name;
    if (!option.value.empty()) left += " " + std::string(option.value);
    row(std::move(left), option.help);
  }
  text += "\nbuilt-in commands:\n";
  for (const BuiltIn& command : built_in_commands())
    row(std::string(command.name) + (command.argument.empty() ? "" : " ") + std::string(command.argument),
        command.help);
  text +=
      "\nA text value {< PATH} is replaced by the content of that file, {< -} by standard input.\n"
      "Exit codes: 0 done, 1 the job failed, 2 wrong usage, 3 confd cannot be reached, 130 interrupted.\n"
      "\nexamples:\n"
      "  confd_client list\n"
      "  confd_client help db_start\n"
      "  confd_client db_list -j\n"
      "  confd_client db_info db_name: Exasol\n"
      "  confd_client -c db_start -a '{db_name: Exasol}'\n"
      "  confd_client user_create username: ann userid: 1001 group: exausers login_enabled: true\n"
      "  confd_client cert_update cert: '\"{< /root/tls.crt}\"' key: '\"{< /root/tls.key}\"'\n"
      "  confd_client history --state failed --since 1d\n";
  return text;
}

Options parse_options(const std::vector<std::string>& arguments) {
  return Parser(arguments).parse();
}

}  // namespace confd::client
