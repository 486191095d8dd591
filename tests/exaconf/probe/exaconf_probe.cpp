// Reads EXAConf texts on standard input and answers what the library makes of each, for oracle_test.py.
//
// In: "<bytes>\n" and that many bytes, again and again. Out, for each: "ok <checksum> <bytes>\n" and the
// canonical text, or "reject <class> <line> 0\n".
#include <cstdio>
#include <iostream>
#include <string>

#include "exaconf/document.h"

using confd::exaconf::Document;
using confd::exaconf::Problem;

namespace {

const char* class_of(Problem::Kind kind) {
  switch (kind) {
    case Problem::Kind::duplicate:
      return "DuplicateError";
    case Problem::Kind::nesting:
      return "NestingError";
    default:
      return "ParseError";
  }
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::string header;
  while (std::getline(std::cin, header)) {
    std::string text(std::stoul(header), '\0');
    if (!std::cin.read(text.data(), static_cast<std::streamsize>(text.size()))) return 1;
    const Document::Parsed parsed = Document::parse_collecting(text);
    if (!parsed.problems.empty()) {
      std::cout << "reject " << class_of(parsed.problems.front().kind) << ' ' << parsed.problems.front().line
                << " 0\n";
    } else {
      const std::string canonical = parsed.document.text();
      std::cout << "ok " << parsed.document.checksum() << ' ' << canonical.size() << '\n' << canonical;
    }
    std::cout.flush();
  }
  return 0;
}
