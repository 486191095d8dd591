// bench_exaconf_read FILE [ROUNDS]: how long our library takes to read an EXAConf. Prints one line of JSON:
// median milliseconds of reading and parsing the file (what ConfigObj does), of the same with the checksum
// recomputed, and of a whole Config::load (checksum and validation).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/text.h"
#include "exaconf/config.h"
#include "exaconf/document.h"

namespace {

template <class Work>
double median_ms(long rounds, Work work) {
  std::vector<double> times;
  for (long i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (!work()) {
      std::cerr << "bench_exaconf_read: the file can't be read\n";
      std::exit(1);
    }
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  using confd::exaconf::Config;
  using confd::exaconf::Document;
  const auto rounds = argc > 2 ? confd::base::parse_int(argv[2]) : std::optional<std::int64_t>(20);
  if (argc < 2 || !rounds || *rounds < 1) {
    std::cerr << "usage: bench_exaconf_read FILE [ROUNDS]\n";
    return 2;
  }
  auto& files = confd::base::system_file_system();
  const std::string path = argv[1];
  const double parse = median_ms(*rounds, [&] {
    const auto text = files.read(path);
    return text.ok() && Document::parse(*text).ok();
  });
  const double checksum = median_ms(*rounds, [&] {
    const auto text = files.read(path);
    if (!text) return false;
    const auto document = Document::parse(*text);
    return document.ok() && document->checksum().size() == 32;
  });
  const double load = median_ms(*rounds, [&] {
    const auto text = files.read(path);
    if (!text) return false;
    const auto config = Config::load(*text);
    if (!config) std::cerr << config.error().text << "\n";
    return config.ok();
  });
  std::printf("{\"parse_ms\": %.3f, \"checksum_ms\": %.3f, \"load_ms\": %.3f}\n", parse, checksum, load);
  return 0;
}
