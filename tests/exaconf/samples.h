// The sample files of EXAConf and what the reference does with each (ORACLE.tsv, expected/).
#pragma once

#include <string>
#include <vector>

namespace confd::test {

struct Sample {
  std::string file;             // "edge-01-no-indent.conf"
  std::string parse;            // "ok" or "REJECT:DuplicateError@line8"
  std::string is_canonical;     // "yes", "no", "-"
  std::string stored_revision;  // "-" when there is none
  std::string stored_checksum;
  std::string computed_checksum;
  std::string load;  // "ok" or the reference's exception
  std::string revision_after_load;
  std::string checksum_after_load;  // a word, or "varies(token generated)"
  std::string second_load;

  std::string name() const { return file.substr(0, file.rfind('.')); }
  std::string text() const;
};

std::vector<Sample> all_samples();
// Text of a file below tests/exaconf/samples; "" when it is not there.
std::string sample_file(const std::string& name);

}  // namespace confd::test
