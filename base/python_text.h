// What Python's str type knows about characters: isprintable, isspace, splitlines. Used by
// python_literal.cpp. The table of printable characters is Unicode 14, that of Python 3.11. Thread-safety:
// pure functions.
#pragma once

#include <string_view>
#include <vector>

namespace confd::base {

// str.isprintable() for one character: what repr() shows as it is.
bool python_printable(char32_t code);
// str.isspace() for one character, also what `\s` matches in the re module.
bool python_space(char32_t code);
// text.splitlines(True)
std::vector<std::string_view> python_lines(std::string_view text);
// Words with the white space behind them: re.findall(r'\S*\s*', text) without its last, empty match.
std::vector<std::string_view> python_words(std::string_view text);

}  // namespace confd::base
