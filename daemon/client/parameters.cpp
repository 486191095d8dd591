#include "daemon/client/parameters.h"

#include <algorithm>
#include <optional>

#include "base/json.h"
#include "base/yaml.h"
#include "daemon/client/file_substitution.h"

namespace confd::client {
namespace {

using base::Array;
using base::Result;
using base::Struct;
using base::Value;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\n\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n\r") - first + 1);
}

// Walks over YAML flow text and keeps track of quotes and brackets.
class FlowWalk {
 public:
  void feed(char c) {
    if (quote_ != 0) {
      if (escaped_)
        escaped_ = false;
      else if (quote_ == '"' && c == '\\')
        escaped_ = true;
      else if (c == quote_)
        quote_ = 0;
    } else if ((c == '"' || c == '\'') && at_start_) {
      quote_ = c;
    } else if (c == '[' || c == '{') {
      ++depth_;
    } else if (c == ']' || c == '}') {
      --depth_;
    }
    // Quotes inside a word are part of it.
    at_start_ = quote_ == 0 && (c == ' ' || c == ',' || c == '[' || c == '{' || c == ':');
  }
  void feed(std::string_view text) {
    for (const char c : text) feed(c);
  }
  bool open() const { return quote_ != 0 || depth_ > 0; }
  bool quoted() const { return quote_ != 0; }

 private:
  char quote_ = 0;
  int depth_ = 0;
  bool escaped_ = false;
  bool at_start_ = true;
};

bool is_open(std::string_view text) {
  FlowWalk walk;
  walk.feed(text);
  return walk.open();
}

// day: * is in official articles; for YAML it is an alias without name.
std::string with_quoted_stars(std::string_view text) {
  std::string out;
  FlowWalk walk;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool alone =
        text[i] == '*' && !walk.quoted() &&
        (i == 0 || std::string_view(" ,:[{").find(text[i - 1]) != std::string_view::npos) &&
        (i + 1 == text.size() || std::string_view(" ,]}").find(text[i + 1]) != std::string_view::npos);
    out += alone ? "'*'" : std::string(1, text[i]);
    walk.feed(text[i]);
  }
  return out;
}

Result<Value> parse_flow(std::string_view text) {
  Result<Value> parsed = base::parse_yaml(text);
  if (parsed || text.find('*') == std::string_view::npos) return parsed;
  Result<Value> again = base::parse_yaml(with_quoted_stars(text));
  return again ? std::move(again) : std::move(parsed);
}

// `{a:"x"}` is for YAML one key `a:"x"` without value. Nobody means that.
Struct with_split_keys(Struct members) {
  Struct out;
  for (auto& [name, value] : members) {
    const std::size_t colon = name.find(':');
    const bool glued = value.is_null() && colon != std::string::npos && colon + 2 < name.size() &&
                       (name[colon + 1] == '"' || name[colon + 1] == '\'') && name.back() == name[colon + 1];
    if (glued)
      if (Result<Value> text = base::parse_yaml(std::string_view(name).substr(colon + 1))) {
        out.set(name.substr(0, colon), std::move(*text));
        continue;
      }
    out.set(name, std::move(value));
  }
  return out;
}

// The value of one pair.
Value value_of(const std::string& name, std::string_view raw) {
  const std::string_view text = trimmed(raw);
  if (text.empty()) return {};
  if (file_reference(text)) return text;
  const char first = text[0];
  // What YAML would take for anchors, aliases and tags is a text here.
  if (first == '&' || first == '*' || first == '!') return text;
  Result<Value> parsed = parse_flow("[" + std::string(text) + "]");
  const bool structured = first == '[' || first == '{' || first == '\'' || first == '"';
  if (parsed && parsed->as_array().size() == 1) {
    Value& only = parsed->as_array()[0];
    if (structured || !only.is_struct()) return std::move(only);
  }
  if (structured) {
    const Result<Value> alone = base::parse_yaml(text);
    throw UsageError{"parameter " + name + ": " +
                     (alone ? "'" + std::string(text) + "' is more than one value; put it into [] or quotes"
                            : alone.error().text)};
  }
  return text;
}

// "db_name: DB1" in one word: the part before ": ".
std::optional<std::pair<std::string, std::string>> split_pair(std::string_view word) {
  const std::size_t at = word.find(": ");
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  return std::pair(std::string(trimmed(word.substr(0, at))), std::string(word.substr(at + 2)));
}

std::string unquoted(std::string name) {
  if (name.size() >= 2 && (name[0] == '"' || name[0] == '\'') && name.back() == name[0])
    name = name.substr(1, name.size() - 2);
  return name;
}

Struct struct_of(Result<Value> parsed, std::string_view text, std::string_view source) {
  if (!parsed) throw UsageError{std::string(source) + ": " + parsed.error().text};
  if (!parsed->is_struct())
    throw UsageError{std::string(source) + ": parameters are pairs 'name: value'; '" + std::string(text) +
                     "' is none"};
  return with_split_keys(std::move(parsed->as_struct()));
}

// One word that holds whole pairs: 'db_name: DB1', 'a: 1, b: 2', 'day: *'.
void add_whole_pairs(Struct& members, const std::string& word) {
  if (Result<Value> parsed = parse_flow("{" + word + "}"); parsed && parsed->is_struct()) {
    for (auto& [name, value] : with_split_keys(std::move(parsed->as_struct())))
      members.set(name, std::move(value));
    return;
  }
  auto pair = split_pair(word);
  if (!pair) throw UsageError{"'" + word + "' cannot be read as 'name: value'"};
  const std::string name = unquoted(std::move(pair->first));
  members.set(name, value_of(name, pair->second));
}

}  // namespace

Struct join_words(const std::vector<std::string>& words) {
  if (words.empty()) return {};
  if (trimmed(words[0]).starts_with('{')) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    return struct_of(parse_flow(text), text, "parameters");
  }
  Struct members;
  for (std::size_t at = 0; at < words.size();) {
    const std::string& word = words[at++];
    if (word.size() > 1 && word.back() == ':' && word.find(": ") == std::string::npos) {
      const std::string name = unquoted(word.substr(0, word.size() - 1));
      std::string value;
      bool first = true;
      // The first word behind a name is its value whatever it looks like.
      while (at < words.size() && (first || is_open(value) || words[at].back() != ':')) {
        const bool next_pair = !first && !is_open(value) && split_pair(words[at]) && value.back() == ',';
        if (next_pair) break;
        value += (first ? "" : " ") + words[at++];
        first = false;
        if (at < words.size() && words[at].empty()) ++at;
      }
      // db_name: DB1, timeout: 30
      if (at < words.size() && value.ends_with(',')) value.pop_back();
      members.set(name, value_of(name, value));
    } else if (split_pair(word)) {
      std::string whole = word;
      while (at < words.size() && is_open(whole)) whole += " " + words[at++];
      if (at < words.size() && whole.ends_with(',')) whole.pop_back();
      add_whole_pairs(members, whole);
    } else {
      const std::size_t colon = word.find(':');
      throw UsageError{colon == std::string::npos || colon == 0
                           ? "'" + word + "' has no name before it; parameters are pairs 'name: value'"
                           : "'" + word +
                                 "' has no blank behind the colon; parameters are pairs 'name: value'"};
    }
  }
  return members;
}

Struct parse_yaml_parameters(const std::string& text) {
  const std::string_view plain = trimmed(text);
  if (plain.empty()) return {};
  if (plain.starts_with('{') && !file_reference(plain)) return struct_of(parse_flow(plain), plain, "-a");
  if (Result<Value> flow = parse_flow("{" + std::string(plain) + "}"); flow && flow->is_struct()) {
    const auto named = [](const Struct::Member& member) {
      return member.first.find(": ") == std::string::npos;
    };
    if (plain.find(':') != std::string_view::npos &&
        std::all_of(flow->as_struct().begin(), flow->as_struct().end(), named))
      return struct_of(std::move(flow), plain, "-a");
  }
  return struct_of(base::parse_yaml(text), plain, "-a");
}

Struct parse_json_parameters(const std::string& text) {
  if (trimmed(text).empty()) return {};
  Result<Value> parsed = base::parse_json(text);
  if (!parsed) throw UsageError{"-A: " + parsed.error().text};
  if (!parsed->is_struct())
    throw UsageError{"-A: parameters are a JSON object such as {\"db_name\": \"Exasol\"}"};
  return std::move(parsed->as_struct());
}

Struct job_parameters(const Options& options) {
  Struct all;
  const auto add = [&](Struct more) {
    for (auto& [name, value] : more) all.set(name, std::move(value));
  };
  if (options.params) add(parse_yaml_parameters(*options.params));
  if (options.params_json) add(parse_json_parameters(*options.params_json));
  add(join_words(options.words));
  return all;
}

std::string bare_argument(const Options& options) {
  std::string text;
  if (options.params)
    text = *options.params;
  else if (options.params_json)
    text = *options.params_json;
  else
    for (const std::string& word : options.words) text += (text.empty() ? "" : " ") + word;
  // Not through YAML: the job id 11.10 is no number.
  std::string_view bare = trimmed(text);
  if (bare.starts_with('{') && bare.ends_with('}')) bare = trimmed(bare.substr(1, bare.size() - 2));
  if (const std::size_t colon = bare.find(':'); colon != std::string_view::npos)
    bare = trimmed(bare.substr(colon + 1));
  if (bare.size() >= 2 && (bare[0] == '"' || bare[0] == '\'') && bare.back() == bare[0])
    bare = bare.substr(1, bare.size() - 2);
  return std::string(bare);
}

}  // namespace confd::client
