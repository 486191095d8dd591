// `{< PATH}` in parameter values: the content of a file, `{< -}` standard input (spec/confd_client.md §2).
// Thread-safety: pure functions; the reader does the reading.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/value.h"

namespace confd::client {

// The PATH when the whole text is `{< PATH}`; the blank behind '<' may be missing.
std::optional<std::string> file_reference(std::string_view text);

using FileReader = std::function<std::string(const std::string& path)>;

// Replaces every such text, also in lists and structs, and what YAML makes of it without quotes: {'< PATH':
// null}. Each file is read once. Throws what `read` throws.
void substitute_files(base::Struct& parameters, const FileReader& read);

// Reads a file, "-" = standard input. Throws UsageError: unreadable, or not UTF-8 text.
std::string read_parameter_file(const std::string& path);

}  // namespace confd::client
