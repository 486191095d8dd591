#include "exaconf/transaction.h"

#include <algorithm>

#include "base/text.h"
#include "exaconf/diff.h"
#include "exaconf/line_grammar.h"
#include "exaconf/validator.h"

namespace confd::exaconf {
namespace {

constexpr std::size_t kIndexedFrom = 32;  // subsections; below, a walk is cheaper

base::Error error(base::Code code, std::string_view section, std::string_view key, std::string_view reason) {
  std::string text = "EXAConf: [" + std::string(section) + "]";
  if (!key.empty()) text.append(" ").append(key);
  return {code, text.append(": ").append(reason)};
}

// Equal for all spellings of one heading.
std::string index_key(std::string_view name) {
  if (name.find(':') == std::string_view::npos) return std::string(name);
  const Heading heading = parse_heading(name);
  return heading.kind + ":" + heading.id;
}

bool has_control_character(std::string_view text, std::string_view allowed) {
  return std::any_of(text.begin(), text.end(), [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 32 || byte == 127) && allowed.find(c) == std::string_view::npos;
  });
}

bool equal_entries(const std::vector<Entry>& a, const std::vector<Entry>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Entry& x, const Entry& y) {
    return x.value == y.value && x.key == y.key && x.comments == y.comments;
  });
}

bool equal_sections(const Section& a, const Section& b) {
  return a.name == b.name && a.comments == b.comments && equal_entries(a.entries, b.entries) &&
         std::equal(a.sections.begin(), a.sections.end(), b.sections.begin(), b.sections.end(),
                    equal_sections);
}

}  // namespace

Transaction::Transaction(ConfigPtr base) : base_(std::move(base)), document_(base_->document()) {}

base::Status Transaction::set(std::string_view section, std::string_view key, std::string_view value) {
  return apply({Operation::Kind::set, std::string(section), std::string(key), std::string(value), {}});
}

base::Status Transaction::unset(std::string_view section, std::string_view key) {
  return apply({Operation::Kind::unset, std::string(section), std::string(key), {}, {}});
}

base::Status Transaction::add_section(std::string_view section, std::vector<std::string> comments) {
  return apply({Operation::Kind::add_section, std::string(section), {}, {}, std::move(comments)});
}

base::Status Transaction::remove_section(std::string_view section) {
  return apply({Operation::Kind::remove_section, std::string(section), {}, {}, {}});
}

Section* Transaction::find_in(Section& parent, std::size_t depth, std::string_view name) {
  if (depth >= std::size(indexes_) || parent.sections.size() < kIndexedFrom) {
    if (Section* exact = parent.section(name)) return exact;
    const auto at = std::find_if(parent.sections.begin(), parent.sections.end(),
                                 [&](const Section& s) { return same_heading(s.name, name); });
    return at == parent.sections.end() ? nullptr : &*at;
  }
  Index& index = indexes_[depth];
  // Appended sections keep the positions of the others; a removal throws the index away.
  if (index.parent != &parent) index.reset(&parent);
  for (std::size_t i = index.positions.size(); i < parent.sections.size(); ++i)
    index.positions.emplace(index_key(parent.sections[i].name), i);
  const auto at = index.positions.find(index_key(name));
  return at == index.positions.end() ? nullptr : &parent.sections[at->second];
}

Transaction::Place Transaction::find(std::string_view path) {
  Place place{nullptr, &document_.root, {}};
  if (path.empty()) return place;
  std::size_t depth = 0;
  // A name may hold a slash itself: the longest name that is there wins.
  for (std::string_view rest = path;;) {
    place.parent = place.section;
    place.name = rest;
    if (Section* whole = find_in(*place.parent, depth, rest)) {
      place.section = whole;
      return place;
    }
    place.section = nullptr;
    for (std::size_t slash = rest.rfind('/'); slash != std::string_view::npos && slash > 0;
         slash = rest.rfind('/', slash - 1)) {
      Section* found = find_in(*place.parent, depth, rest.substr(0, slash));
      if (!found) continue;
      place.section = found;
      rest.remove_prefix(slash + 1);
      break;
    }
    if (!place.section) {
      // Without its parent a path is not a place; a bare name is one that can be added here.
      if (place.name.find('/') != std::string_view::npos) place.parent = nullptr;
      return place;
    }
    ++depth;
  }
}

base::Status Transaction::apply(Operation operation) {
  using Kind = Operation::Kind;
  const std::string& path = operation.section;
  const std::string& key = operation.key;
  if (!base::is_valid_utf8(path) || !base::is_valid_utf8(key))
    return error(base::Code::bad_parameter, "?", "", "names must be UTF-8 text");
  const Place place = find(path);
  switch (operation.kind) {
    case Kind::set: {
      if (!place.section) return error(base::Code::not_found, path, "", "there is no such section");
      if (!is_plain_key(key) || has_control_character(key, ""))
        return error(base::Code::bad_parameter, path, key,
                     "a key can't be empty, hold '=' or a line break, or begin with a quote, '[' or '#'");
      if (!base::is_valid_utf8(operation.value) || has_control_character(operation.value, "\t\n"))
        return error(base::Code::bad_parameter, path, key,
                     "the value must be UTF-8 text without control characters");
      if (!is_plain_value(operation.value) && !written_value(operation.value))
        return error(base::Code::bad_parameter, path, key,
                     "the value holds both ''' and \"\"\", for which the file has no quoting");
      if (Entry* entry = place.section->entry(key)) {
        entry->value = operation.value;
        break;
      }
      if (place.section->section(key))
        return error(base::Code::exists, path, key, "a section of that name is there already");
      Entry& entry = place.section->entries.emplace_back();
      entry.key = key;
      entry.value = operation.value;
      break;
    }
    case Kind::unset: {
      if (!place.section) return error(base::Code::not_found, path, "", "there is no such section");
      std::erase_if(place.section->entries, [&](const Entry& entry) { return entry.key == key; });
      break;
    }
    case Kind::add_section: {
      if (place.section) return error(base::Code::exists, path, "", "the section is there already");
      if (!place.parent) return error(base::Code::not_found, path, "", "there is no section to add it to");
      if (!is_plain_name(place.name) || has_control_character(place.name, ""))
        return error(base::Code::bad_parameter, path, "",
                     "a section's name can't be empty, hold brackets or a line break, or begin with a quote");
      if (place.parent->entry(place.name))
        return error(base::Code::exists, path, "", "a key of that name is there already");
      for (const std::string& comment : operation.comments)
        if (!base::is_valid_utf8(comment) || has_control_character(comment, "\t"))
          return error(base::Code::bad_parameter, path, "", "a comment is one line of UTF-8 text");
      Section& section = place.parent->sections.emplace_back();
      section.name = place.name;
      section.comments = operation.comments;
      break;
    }
    case Kind::remove_section: {
      if (!place.section || !place.parent)
        return error(base::Code::not_found, path, "", "there is no such section");
      place.parent->sections.erase(place.parent->sections.begin() +
                                   (place.section - place.parent->sections.data()));
      for (Index& index : indexes_) index.reset(nullptr);
      break;
    }
  }
  // Appending may have moved the sections, and with them the parents that the indexes know.
  if (operation.kind == Kind::add_section && place.parent == &document_.root) indexes_[1].reset(nullptr);
  operations_.push_back(std::move(operation));
  return {};
}

bool Transaction::document_differs() const {
  return !equal_sections(base_->document().root, document_.root);
}

base::Result<Transaction> Transaction::rebased(ConfigPtr newer) const {
  Transaction again(std::move(newer));
  for (const Operation& operation : operations_) {
    if (const base::Status applied = again.apply(operation); !applied) {
      return base::Error{base::Code::conflict,
                         "changed by another job meanwhile: " + applied.error().text + "; run the job again"};
    }
  }
  return again;
}

base::Value Transaction::diff() const {
  return render_changes(difference(base_->document(), document_));
}

base::Result<ConfigPtr> seal(Document document, std::int64_t revision) {
  Section* global = document.root.section("Global");
  if (!global)
    return base::Error{base::Code::invalid_config,
                       "EXAConf: there is no section [Global]: the file is not initialised"};
  const auto ensure = [&](std::string_view key, std::size_t position) -> Entry& {
    if (Entry* entry = global->entry(key)) return *entry;
    Entry& entry = *global->entries.emplace(global->entries.begin() + static_cast<std::ptrdiff_t>(position));
    entry.key = key;
    return entry;
  };
  ensure("Revision", 0).value = std::to_string(revision);
  const std::size_t after = static_cast<std::size_t>(global->entry("Revision") - global->entries.data()) + 1;
  Entry& checksum = ensure("Checksum", after);
  if (!base::equals_ignoring_case(checksum.value, "disabled")) {
    const std::string computed = document.checksum();
    global->entry("Checksum")->value = computed;
  }
  return Config::from_document(std::move(document));
}

}  // namespace confd::exaconf
