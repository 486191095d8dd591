// Commands that look at a file, and the encoders.
#include <iostream>

#include "auth/password.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/random.h"
#include "base/text.h"
#include "daemon/exaconf/command.h"
#include "exaconf/diff.h"
#include "exaconf/migration.h"
#include "exaconf/secrets.h"
#include "exaconf/store.h"
#include "exaconf/validator.h"

namespace confd::exaconf_program {
namespace {

using exaconf::Document;
using exaconf::Section;
using Kind = Option::Kind;

Document read_document(const std::string& path) {
  auto document = Document::parse(read_file(path));
  if (!document) throw Failure(path + ": " + document.error().text);
  return std::move(*document);
}

exaconf::ConfigPtr load(const Arguments& arguments) {
  const std::string path = file_of(arguments);
  auto config = exaconf::Config::load(read_file(path));
  if (!config) throw Failure(path + ": " + config.error().text);
  return *config;
}

int version(const Arguments&) {
  std::cout << "exaconf " << CONFD_VERSION << " (EXAConf format " << exaconf::kConfVersion << ")\n";
  return 0;
}

// In order of the file.
int list_section(const Arguments& arguments, const char* name) {
  const exaconf::ConfigPtr config = load(arguments);
  const Section* list = config->section(name);
  if (!list) return 0;
  for (const Section& item : list->sections)
    std::cout << item.name << ": " << item.value_or("ID", "") << '\n';
  return 0;
}
int list_groups(const Arguments& arguments) {
  return list_section(arguments, "Groups");
}
int list_users(const Arguments& arguments) {
  return list_section(arguments, "Users");
}

int check(const Arguments& arguments) {
  const std::string path = file_of(arguments);
  Document::Parsed parsed = Document::parse_collecting(read_file(path));
  auto problems = std::move(parsed.problems);
  if (problems.empty()) {
    problems = exaconf::validate(parsed.document);
    if (exaconf::integrity_of(parsed.document) == exaconf::Integrity::differs)
      problems.insert(problems.begin(), exaconf::integrity_problem(parsed.document));
  }
  for (const exaconf::Problem& problem : problems) {
    std::cerr << path << ':';
    if (problem.line > 0) std::cerr << problem.line << ':';
    std::cerr << ' ' << problem.text << '\n';
  }
  if (!problems.empty()) return 1;
  const Section& global = *parsed.document.root.section("Global");
  std::cout << path << ": revision " << global.value_or("Revision", "") << ", valid";
  if (exaconf::integrity_of(parsed.document) != exaconf::Integrity::matches)
    std::cout << " (Checksum = " << global.value_or("Checksum", "NONE") << ": not compared)";
  std::cout << '\n';
  return 0;
}

int checksum(const Arguments& arguments) {
  const Document document = read_document(file_of(arguments));
  const Section* global = document.root.section("Global");
  std::cout << "stored   " << (global ? global->value_or("Checksum", "NONE") : "NONE") << '\n'
            << "computed " << document.checksum() << '\n';
  return 0;
}

void mask(Section& section) {
  for (exaconf::Entry& entry : section.entries)
    if (exaconf::is_secret_key(entry.key) && !entry.value.empty()) entry.value = "***";
  for (Section& inner : section.sections) mask(inner);
}

base::Value as_value(const Section& section) {
  base::Struct content;
  for (const exaconf::Entry& entry : section.entries) content.append(entry.key, entry.value);
  for (const Section& inner : section.sections) content.append(inner.name, as_value(inner));
  return content;
}

constexpr Option kShow[] = {
    {0, "json", "sections and keys as JSON", false, Kind::flag},
    {0, "secrets", "passwords, keys and tokens too", false, Kind::flag},
};
int show(const Arguments& arguments) {
  Document document = read_document(file_of(arguments));
  if (!arguments.has("secrets")) mask(document.root);
  if (arguments.has("json")) {
    std::cout << base::render_json_indented(as_value(document.root)) << '\n';
  } else {
    std::cout << document.text();
  }
  return 0;
}

int diff(const Arguments& arguments) {
  const auto changes =
      exaconf::difference(read_document(arguments.files[0]), read_document(arguments.files[1]));
  for (const exaconf::Change& change : changes) {
    const std::string place = "[" + change.section + "]" + (change.key.empty() ? "" : " " + change.key);
    if (change.key.empty()) {
      std::cout << (change.after ? "+ " : "- ") << place << '\n';
      continue;
    }
    const bool secret = exaconf::is_secret_key(change.key);
    const auto print = [&](char sign, const std::string& value) {
      std::cout << sign << ' ' << place << " = " << (secret && !value.empty() ? "***" : value) << '\n';
    };
    if (change.before) print('-', *change.before);
    if (change.after) print('+', *change.after);
  }
  return 0;
}

constexpr Option kCommit[] = {{'v', "verbose", "say each step", false, Kind::flag}};
int commit(const Arguments& arguments) {
  const std::string path = file_of(arguments);
  const bool verbose = arguments.has("verbose");
  if (verbose) std::cout << "=== Step 1: checking '" << path << "' ===\n";
  const auto before = exaconf::Config::load(read_file(path));
  if (!before) throw Failure(path + ": " + before.error().text);
  auto store = exaconf::Store::open(base::system_file_system(), path, base::system_random(),
                                    exaconf::Store::Role::guest);
  if (!store) throw Failure(store.error().text);
  if (verbose) std::cout << "--> Successful!\n=== Step 2: committing '" << path << "' ===\n";
  exaconf::ConfigPtr config = (*store)->current();
  const auto integrity = exaconf::integrity_of(config->document());
  if (integrity == exaconf::Integrity::none || integrity == exaconf::Integrity::disabled) {
    auto sealed = exaconf::seal(config->document(), config->revision() + 1);
    if (!sealed) throw Failure(sealed.error().text);
    if (const base::Status done = (*store)->commit(*sealed); !done) throw Failure(done.error().text);
    config = *sealed;
  }
  if (verbose) std::cout << "--> Successful!\n";
  const bool changed = config->revision() != (*before)->revision();
  std::cout << '\'' << path << "' : revision " << config->revision() << (changed ? "" : " (unchanged)")
            << '\n';
  return 0;
}

constexpr Option kPassword[] = {{'p', "passwd", "the password; asked for when absent"}};
std::string password(const Arguments& arguments) {
  return arguments.has("passwd") ? arguments.get("passwd") : ask_password("Password", true);
}
int encode_shadow(const Arguments& arguments) {
  const auto encoded = auth::encode_password(password(arguments), base::system_random());
  if (!encoded) throw Failure(encoded.error().text);
  std::cout << *encoded << '\n';
  return 0;
}
int encode_db(const Arguments& arguments) {
  std::cout << base::base64_encode(password(arguments)) << '\n';
  return 0;
}

constexpr Command kCommands[] = {
    {.name = "check",
     .help = "Check a file: grammar, checksum and rules\nPrints every violation with its line; exit 0 when "
             "there is none.",
     .options = {},
     .run = &check},
    {.name = "checksum",
     .help = "Print the stored and the computed checksum",
     .options = {},
     .run = &checksum},
    {.name = "show",
     .help = "Print a file in canonical form, secrets masked",
     .options = kShow,
     .run = &show},
    {.name = "diff",
     .help = "Compare two files by section and key\nComments, order, Revision and Checksum do not count; "
             "exit 0 whether "
             "they differ or not.",
     .options = {},
     .run = &diff,
     .operands = "A B",
     .least_files = 2,
     .most_files = 2},
    {.name = "commit",
     .help = "Commit a file that was edited by hand (Checksum = COMMIT)\nOn this node only: a running confd "
             "notices the "
             "new revision and brings it to the others.",
     .options = kCommit,
     .run = &commit},
    {.name = "list-groups", .help = "List the groups with their ids", .options = {}, .run = &list_groups},
    {.name = "list-users", .help = "List the users with their ids", .options = {}, .run = &list_users},
    {.name = "encode-shadow",
     .help = "Encode a password as users have it ($6$)",
     .options = kPassword,
     .run = &encode_shadow,
     .operands = "",
     .most_files = 0},
    {.name = "encode-db",
     .help = "Encode a password as buckets and remote volumes have it (base64)",
     .options = kPassword,
     .run = &encode_db,
     .operands = "",
     .most_files = 0},
    {.name = "version",
     .help = "Print the version of this program and of the file format it writes",
     .options = {},
     .run = &version,
     .operands = "",
     .most_files = 0},
};

}  // namespace

std::span<const Command> inspection_commands() {
  return kCommands;
}

}  // namespace confd::exaconf_program
