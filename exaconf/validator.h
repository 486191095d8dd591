// The rules that make a document a valid configuration (spec/exaconf.md §5): what Config refuses to load and
// `exaconf check` prints. The integrity of the checksum is a separate question.
//
// Besides the rules of §5 it refuses what confd itself could not work with: ids that are no numbers, two
// spellings of one heading, a port that is none. Thread-safety: pure functions.
#pragma once

#include <vector>

#include "exaconf/document.h"

namespace confd::exaconf {

// All violations, in order of the rules; empty = valid.
std::vector<Problem> validate(const Document& document);

// How the stored Checksum stands to the text (spec §4).
enum class Integrity {
  matches,   // 32 hex digits, equal to the computed
  differs,   // anything else
  commit,    // COMMIT
  none,      // NONE, or no such key
  disabled,  // DISABLED
};
// `computed` is Document::checksum(); only looked at when the stored word is neither of the three.
Integrity integrity_of(const Document& document);
// The documented text (spec §4).
Problem integrity_problem(const Document& document);

}  // namespace confd::exaconf
