// exaconf: offline work on EXAConf (spec/exaconf.md §11). Each command loads the file (so checks it), changes
// it and commits it; nothing of a running cluster is touched.
#include <algorithm>
#include <iostream>

#include "base/file_system.h"
#include "base/random.h"
#include "daemon/exaconf/command.h"
#include "exaconf/store.h"

namespace confd::exaconf_program {
namespace {

struct Family {
  std::string_view title;
  std::span<const Command> (*commands)();
};
constexpr Family kFamilies[] = {
    {"Look at a file", &inspection_commands},
    {"Nodes and disks", &node_commands},
    {"Volumes", &volume_commands},
    {"Users and groups", &account_commands},
    {"BucketFS", &bucketfs_commands},
    {"Databases and backups", &database_commands},
};

const Command* find_command(std::string_view name) {
  for (const Family& family : kFamilies)
    for (const Command& command : family.commands())
      if (command.name == name) return &command;
  return nullptr;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find('\n'));
}

void print_help() {
  std::cout
      << "usage: exaconf COMMAND [OPTION...] [FILE]\n\n"
         "Reads, checks and changes an EXAConf file offline. A change is committed as the next revision\n"
         "with its checksum; the revision before is kept as FILE.0. FILE is $CONFD_ROOT/etc/EXAConf, or\n"
         "/exa/etc/EXAConf when CONFD_ROOT is not set.\n";
  for (const Family& family : kFamilies) {
    std::cout << '\n' << family.title << ":\n";
    for (const Command& command : family.commands())
      std::cout << "  " << padded(std::string(command.name), 24) << first_line(command.help) << '\n';
  }
  std::cout
      << "\nexaconf COMMAND --help explains a command. A running confd notices a change within 2 seconds.\n"
         "Exit codes: 0 done, 1 failed, 2 wrong usage.\n";
}

void print_help(const Command& command) {
  std::cout << "usage: exaconf " << command.name;
  for (const Option& option : command.options) {
    std::string text = "--" + std::string(option.name);
    if (option.kind == Option::Kind::value) text += " VALUE";
    std::cout << ' ' << (option.required ? text : "[" + text + "]");
  }
  if (!command.operands.empty()) std::cout << ' ' << command.operands;
  std::cout << "\n\n" << command.help << "\n";
  if (!command.options.empty()) std::cout << '\n';
  for (const Option& option : command.options) {
    const std::string names = (option.short_name ? std::string("-") + option.short_name + ", " : "    ") +
                              "--" + std::string(option.name);
    std::cout << "  " << padded(names, 28) << option.help << (option.required ? " (required)" : "") << '\n';
  }
  std::cout << "  -h, --help                  this text\n";
}

const Option* find_option(const Command& command, std::string_view word) {
  for (const Option& option : command.options) {
    if (word.size() == 2 && word[0] == '-' && option.short_name != 0 && word[1] == option.short_name)
      return &option;
    if (word.starts_with("--") && word.substr(2) == option.name) return &option;
  }
  return nullptr;
}

// Nothing when help was asked for.
std::optional<Arguments> parse_arguments(const Command& command, std::span<char* const> words) {
  Arguments arguments;
  bool options_end = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string word = words[i];
    if (options_end || word.size() < 2 || word[0] != '-') {
      arguments.files.push_back(std::move(word));
      continue;
    }
    if (word == "--") {
      options_end = true;
      continue;
    }
    if (word == "--help" || word == "-h") return std::nullopt;
    std::optional<std::string> value;
    if (const std::size_t equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
      value = word.substr(equals + 1);
      word.resize(equals);
    }
    const Option* option = find_option(command, word);
    if (!option) throw UsageError("unknown option " + word);
    if (option->kind == Option::Kind::flag) {
      if (value) throw UsageError(word + " takes no value");
      value = "True";
    } else if (!value) {
      if (i + 1 == words.size()) throw UsageError(word + " needs a value");
      value = words[++i];
    }
    arguments.set(*option, std::move(*value));
  }
  for (const Option& option : command.options)
    if (option.required && !arguments.has(option.name))
      throw UsageError("--" + std::string(option.name) + " is required");
  if (arguments.files.size() < command.least_files || arguments.files.size() > command.most_files)
    throw UsageError(command.most_files == 0 ? "no FILE is expected"
                                             : "expected " + std::string(command.operands));
  return arguments;
}

int change_file(const Command& command, const Arguments& arguments) {
  const std::string path = file_of(arguments);
  auto store = exaconf::Store::open(base::system_file_system(), path, base::system_random(),
                                    exaconf::Store::Role::guest);
  if (!store) throw Failure(store.error().text);
  const exaconf::ConfigPtr before = (*store)->current();
  Edit edit(before);
  command.edit(edit, arguments);
  if (!edit.transaction().changed()) {
    std::cout << "nothing to change; revision " << before->revision() << " stays\n";
    return 0;
  }
  const auto sealed = exaconf::seal(edit.transaction().document(), before->revision() + 1);
  if (!sealed) throw Failure(sealed.error().text);
  if (const base::Status done = (*store)->commit(*sealed); !done) throw Failure(done.error().text);
  for (const std::string& line : edit.said()) std::cout << line << '\n';
  std::cout << "committed as revision " << (*sealed)->revision() << '\n';
  return 0;
}

int run(std::span<char* const> words) {
  if (words.empty()) throw UsageError("a command is missing");
  const std::string_view first = words[0];
  if (first == "--help" || first == "-h" || first == "help") {
    const Command* command = words.size() > 1 ? find_command(words[1]) : nullptr;
    command ? print_help(*command) : print_help();
    return 0;
  }
  const Command* command = find_command(first == "--version" ? "version" : first);
  if (!command) throw UsageError("unknown command '" + std::string(first) + "'");
  try {
    const auto arguments = parse_arguments(*command, words.subspan(1));
    if (!arguments) {
      print_help(*command);
      return 0;
    }
    return command->edit ? change_file(*command, *arguments) : command->run(*arguments);
  } catch (const UsageError& error) {
    throw UsageError(std::string(first) + ": " + error.what() + "; see exaconf " + std::string(first) +
                     " --help");
  } catch (const Failure& error) {
    throw Failure(std::string(first) + ": " + error.what());
  }
}

}  // namespace
}  // namespace confd::exaconf_program

int main(int argc, char** argv) {
  using namespace confd::exaconf_program;
  try {
    const int code = run({argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)});
    std::cout.flush();
    return std::cout ? code : 1;
  } catch (const UsageError& error) {
    std::cerr << "exaconf: " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "exaconf: " << error.what() << '\n';
    return 1;
  }
}
