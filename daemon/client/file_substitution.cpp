#include "daemon/client/file_substitution.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>

#include "base/utf8.h"
#include "daemon/client/options.h"

namespace confd::client {
namespace {

using base::Value;

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// "< PATH" -> PATH
std::optional<std::string> path_of(std::string_view inner) {
  inner = without_blanks(inner);
  if (!inner.starts_with('<')) return std::nullopt;
  const std::string_view path = without_blanks(inner.substr(1));
  if (path.empty()) return std::nullopt;
  return std::string(path);
}

class Substitution {
 public:
  explicit Substitution(const FileReader& read) : read_(read) {}

  void in(Value& value) {
    if (value.is_string()) {
      if (const auto path = file_reference(value.as_string())) value = content(*path);
    } else if (value.is_array()) {
      for (Value& item : value.as_array()) in(item);
    } else if (value.is_struct()) {
      base::Struct& members = value.as_struct();
      if (members.size() == 1 && members.begin()->second.is_null())
        if (const auto path = path_of(members.begin()->first)) {
          value = content(*path);
          return;
        }
      for (auto& [name, member] : members) in(member);
    }
  }

 private:
  const std::string& content(const std::string& path) {
    const auto known = contents_.find(path);
    return known != contents_.end() ? known->second : contents_.emplace(path, read_(path)).first->second;
  }

  const FileReader& read_;
  std::map<std::string, std::string> contents_;
};

}  // namespace

std::optional<std::string> file_reference(std::string_view text) {
  text = without_blanks(text);
  if (text.size() < 3 || text.front() != '{' || text.back() != '}') return std::nullopt;
  return path_of(text.substr(1, text.size() - 2));
}

void substitute_files(base::Struct& parameters, const FileReader& read) {
  Substitution substitution(read);
  for (auto& [name, value] : parameters) substitution.in(value);
}

std::string read_parameter_file(const std::string& path) {
  const bool standard_input = path == "-";
  const int file = standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto fail = [&](const std::string& reason) {
    return UsageError{"cannot read " + (standard_input ? "standard input" : "file " + path) +
                      " for a parameter: " + reason};
  };
  if (file < 0) throw fail(std::strerror(errno));
  std::string text;
  char buffer[64 * 1024];
  ssize_t got = 0;
  while ((got = ::read(file, buffer, sizeof buffer)) != 0) {
    if (got > 0)
      text.append(buffer, static_cast<std::size_t>(got));
    else if (errno != EINTR)
      break;
  }
  const int reason = errno;
  if (!standard_input) ::close(file);
  if (got < 0) throw fail(std::strerror(reason));
  for (std::size_t at = 0; at < text.size();) {
    const base::Utf8Character character = base::utf8_at(text, at);
    if (!character.valid)
      throw fail("byte " + std::to_string(at) + " is not UTF-8 text; parameters cannot hold binary files");
    at += character.size;
  }
  return text;
}

}  // namespace confd::client
