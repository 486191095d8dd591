// Migration: brings an EXAConf of an older version of the format to ours (spec/exaconf.md §6). Done at the
// update of a cluster, never at a load.
//
// Thread-safety: pure function of its arguments.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "exaconf/document.h"

namespace confd::exaconf {

// Version of the format that this library writes.
inline constexpr std::string_view kConfVersion = "8.32.0";

struct MigrationSettings {
  std::string to = std::string(kConfVersion);
  // The license was put to its new place: LicenseFile follows. It stays otherwise, as it would name nothing.
  bool license_moved = false;
};

struct Migrated {
  Document document;               // not sealed: Revision and Checksum are as before, or made if missing
  std::vector<std::string> steps;  // "7.0.0", ... that were applied
};

// Applies every step above the file's ConfVersion. Errors: Code::unsupported for a file newer than `to`,
// Code::invalid_config for one whose ConfVersion can't be read.
base::Result<Migrated> migrate(Document document, base::Random& random,
                               const MigrationSettings& settings = {});

}  // namespace confd::exaconf
