// All 87 samples give the verdict, the canonical form, the checksum, the content and the state after a load
// that ORACLE.tsv and expected/ record of the reference. Where we differ on purpose, the case says so.
#include <catch2/catch.hpp>

#include "base/json.h"
#include "base/text.h"
#include "exaconf/store.h"
#include "exaconf/validator.h"
#include "exaconf/views.h"
#include "tests/exaconf/samples.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

using namespace confd;
using namespace confd::exaconf;
using test::Sample;

namespace {

std::string class_of(const Problem& problem) {
  switch (problem.kind) {
    case Problem::Kind::duplicate:
      return "DuplicateError";
    case Problem::Kind::nesting:
      return "NestingError";
    default:
      return "ParseError";
  }
}

base::Value as_value(const Section& section) {
  base::Struct content;
  for (const Entry& entry : section.entries) content.append(entry.key, entry.value);
  for (const Section& inner : section.sections) content.append(inner.name, as_value(inner));
  return content;
}

Document parsed(const Sample& sample) {
  auto document = Document::parse(sample.text());
  REQUIRE(document.ok());
  return *document;
}

bool generates_token(const Sample& sample) {
  return sample.checksum_after_load.starts_with("varies");
}

}  // namespace

TEST_CASE("a sample is read or rejected as the reference does, at the same line") {
  for (const Sample& sample : test::all_samples()) {
    INFO(sample.file);
    const auto read = Document::parse_collecting(sample.text());
    std::string verdict = "ok";
    if (!read.problems.empty())
      verdict =
          "REJECT:" + class_of(read.problems.front()) + "@line" + std::to_string(read.problems.front().line);
    CHECK(verdict == sample.parse);
  }
}

TEST_CASE("a sample is canonical exactly when the reference finds it so") {
  for (const Sample& sample : test::all_samples()) {
    if (sample.parse != "ok") continue;
    INFO(sample.file);
    CHECK((parsed(sample).text() == sample.text() ? "yes" : "no") == sample.is_canonical);
  }
}

TEST_CASE("a sample's revision and checksum are the reference's") {
  int compared = 0;
  for (const Sample& sample : test::all_samples()) {
    if (sample.parse != "ok") continue;
    INFO(sample.file);
    const Document document = parsed(sample);
    const Section* global = document.root.section("Global");
    REQUIRE(global);
    CHECK(global->value_or("Revision", "-") == sample.stored_revision);
    CHECK(global->value_or("Checksum", "-") == sample.stored_checksum);
    // The reference computes none for a file without the key: it crashes there.
    if (sample.computed_checksum == "-") continue;
    // It computes one over trailing empty lines that it loses at the next write; the second load then fails.
    if (sample.second_load == "EXAConfIntegrityError") {
      CHECK(document.checksum() != sample.computed_checksum);
      continue;
    }
    CHECK(document.checksum() == sample.computed_checksum);
    ++compared;
  }
  CHECK(compared == 73);
}

TEST_CASE("the vectors of the specification") {
  CHECK(Document::parse(test::sample_file("real-6.1.6.conf"))->checksum() ==
        "d183185a9d172da419a59a55a83982af");
  CHECK(Document::parse(test::sample_file("real-2025.1.3.conf"))->checksum() ==
        "b859548089afd15a9f0db789233a66c6");
}

TEST_CASE("the content of a sample is what the reference parsed") {
  int compared = 0;
  for (const Sample& sample : test::all_samples()) {
    const std::string expected = test::sample_file("expected/" + sample.name() + ".parsed.json");
    if (expected.empty()) continue;
    INFO(sample.file);
    const auto value = base::parse_json(expected);
    REQUIRE(value.ok());
    CHECK(base::render_json_indented(as_value(parsed(sample).root)) == base::render_json_indented(*value));
    ++compared;
  }
  CHECK(compared == 26);
}

TEST_CASE("canonical text is read back as itself with the same checksum") {
  for (const Sample& sample : test::all_samples()) {
    if (sample.parse != "ok") continue;
    INFO(sample.file);
    const Document document = parsed(sample);
    const auto again = Document::parse(document.text());
    REQUIRE(again.ok());
    CHECK(again->text() == document.text());
    CHECK(again->checksum() == document.checksum());
  }
}

TEST_CASE("a load leaves the revision, the checksum and the text that the reference leaves") {
  int texts = 0;
  for (const Sample& sample : test::all_samples()) {
    if (sample.parse != "ok") continue;
    INFO(sample.file);
    test::FakeFileSystem files;
    test::FakeRandom random;
    REQUIRE(files.make_directories("/exa/etc", 0700).ok());
    files.put("/exa/etc/EXAConf", sample.text());
    const auto store = Store::open(files, "/exa/etc/EXAConf", random);
    CHECK((store.ok() ? "ok" : "refused") == (sample.load == "ok" ? std::string("ok") : "refused"));
    if (!store) {
      CHECK(*files.read("/exa/etc/EXAConf") == sample.text());
      continue;
    }
    if (sample.load != "ok") continue;
    const ConfigPtr config = (*store)->current();
    CHECK(std::to_string(config->revision()) == sample.revision_after_load);
    if (generates_token(sample)) {
      CHECK(config->get("Global", "AuthenticationToken")->size() == 108);
      CHECK(config->checksum() == config->document().checksum());
    } else {
      CHECK(config->checksum() == sample.checksum_after_load);
    }
    const std::string expected = test::sample_file("expected/" + sample.name() + ".after-load.conf");
    if (!expected.empty()) {
      CHECK(*files.read("/exa/etc/EXAConf") == expected);
      ++texts;
    }
    // The second load changes nothing (the reference fails some of its own files here).
    const std::string before = *files.read("/exa/etc/EXAConf");
    REQUIRE(Store::open(files, "/exa/etc/EXAConf", random).ok());
    CHECK(*files.read("/exa/etc/EXAConf") == before);
  }
  CHECK(texts == 26);
}

TEST_CASE("an edit without COMMIT is refused with the documented text") {
  const auto config = Config::load(test::sample_file("bad-12-edited-without-commit.conf"));
  REQUIRE_FALSE(config.ok());
  CHECK(config.error().code == base::Code::invalid_config);
  CHECK(config.error().text ==
        "EXAConf: Integrity check failed! The stored checksum 'ecc4aceb0a2cdd068cf8ce0c70c431ec' does not "
        "match "
        "the actual checksum '6183992c4c42d0b295cbfb9663780324'. Set checksum to 'COMMIT' if you made "
        "intentional changes.");
}
