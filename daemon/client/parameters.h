// Parameters of a job, from the words of the command line, -a and -A (spec/confd_client.md §2).
// Thread-safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/value.h"
#include "daemon/client/options.h"

namespace confd::client {

// `name: value` words of the shell -> struct. A word that ends in ':' begins a pair, the words up to the next
// such one are its value; a word may hold a whole pair or more; with a leading '{' all words are one YAML
// text. Throws UsageError.
base::Struct join_words(const std::vector<std::string>& words);

// -a: YAML with or without the outer braces.
base::Struct parse_yaml_parameters(const std::string& text);
// -A
base::Struct parse_json_parameters(const std::string& text);

// All three put together; a later one wins: -a, -A, words. Files are not read yet.
base::Struct job_parameters(const Options& options);

// The bare name that built-in commands take: `-a NAME`, a word, or `job_id: NAME`. Empty when there is none.
std::string bare_argument(const Options& options);

}  // namespace confd::client
