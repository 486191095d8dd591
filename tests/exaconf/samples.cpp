#include "tests/exaconf/samples.h"

#include <catch2/catch.hpp>

#include "base/file_system.h"
#include "base/text.h"

namespace confd::test {

std::string sample_file(const std::string& name) {
  const auto text =
      base::system_file_system().read(std::string(CONFD_SOURCE_DIR) + "/tests/exaconf/samples/" + name);
  return text ? *text : std::string();
}

std::string Sample::text() const {
  return sample_file(file);
}

std::vector<Sample> all_samples() {
  std::vector<Sample> samples;
  for (const std::string& line : base::split(sample_file("ORACLE.tsv"), '\n')) {
    const auto columns = base::split(line, '\t');
    if (columns.size() < 10 || columns[0] == "file") continue;
    samples.push_back({columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6],
                       columns[7], columns[8], columns[9]});
  }
  REQUIRE(samples.size() == 87);
  return samples;
}

}  // namespace confd::test
