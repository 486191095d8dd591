// Output formats of confd_client: YAML as PyYAML writes it, JSON, Python literal, flat (spec/confd_client.md
// §3, docs/confd_client.md). Thread-safety: pure functions.
#pragma once

#include <string>

#include "base/value.h"
#include "daemon/client/options.h"

namespace confd::client {

// The text for stdout, final newline included.
std::string render(const base::Value& value, Format format);

// One line `path.to.key: value` for each leaf; a scalar alone is just its value.
std::string render_flat(const base::Value& value);

// What a job without output prints: OK, under -j "OK" in quotes.
std::string render_ok(Format format);

// A plain line in YAML and flat, quoted as the format wants it otherwise: job ids, help texts, addresses.
std::string render_text(const std::string& text, Format format);

}  // namespace confd::client
