// EXAConf: what is read is written in a form that is read back as itself, with the same checksum; edits of
// arbitrary text keep that; nothing crashes or stalls.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "exaconf/config.h"
#include "exaconf/diff.h"
#include "exaconf/document.h"
#include "exaconf/transaction.h"
#include "exaconf/views.h"

namespace {

using confd::exaconf::Config;
using confd::exaconf::ConfigPtr;
using confd::exaconf::Document;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_round_trip(const Document& document) {
  const std::string text = document.text();
  const auto again = Document::parse(text);
  require(again.ok());
  require(again->text() == text);
  require(again->checksum() == document.checksum());
  require(confd::exaconf::difference(document, *again).empty());
}

// The input as names and values of an edit: what is accepted survives the file.
void check_edit(std::string_view text) {
  static const ConfigPtr base =
      *Config::load("[Global]\n    Revision = 1\n    Checksum = NONE\n    Networks = private\n");
  confd::exaconf::Transaction transaction(base);
  const std::size_t third = text.size() / 3;
  const std::string_view key = text.substr(0, third);
  const std::string_view value = text.substr(third, third);
  const bool added = transaction.add_section(text.substr(2 * third)).ok();
  (void)transaction.set("Global", "Value", text).ok();
  (void)transaction.set("Global", key, value).ok();
  if (added) (void)transaction.set(text.substr(2 * third), key, value).ok();
  check_round_trip(transaction.document());
  if (const auto sealed = confd::exaconf::seal(transaction.document(), 2)) {
    const auto loaded = Config::load((*sealed)->text());
    require(loaded.ok());
    require((*loaded)->text() == (*sealed)->text());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = Document::parse_collecting(text);
  if (parsed.problems.empty()) check_round_trip(parsed.document);
  if (const auto config = Config::load(text)) {
    (void)confd::exaconf::nodes_view(**config);
    (void)confd::exaconf::volumes_view(**config);
    (void)confd::exaconf::databases_view(**config);
    (void)confd::exaconf::bucketfs_view(**config);
    (void)confd::exaconf::users_view(**config);
  }
  check_edit(text);
  return 0;
}
