// Which settings general_settings may change, and what a value of each must look like. Facts:
// spec/jobs/other.yaml general_settings.allowed_settings, spec/exaconf.md §8. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "exaconf/config.h"

namespace confd::jobs {

struct SettingChange {
  std::string section;
  std::string key;
  std::string value;  // as EXAConf writes it
};

// `changes` is {section: {key: value}}. Lists may come as list or as text with commas, numbers as text.
// Errors: Code::bad_parameter naming section and key; Code::not_found for a volume that is not there.
base::Result<std::vector<SettingChange>> checked_changes(const base::Struct& changes,
                                                         const exaconf::Config& config);

// "Global: SSHPort, XMLRPCPort, ...", for docs and errors.
std::string changeable_settings();

}  // namespace confd::jobs
