// A text as it lies in the store: deflated, because etcd keeps thousands of values in memory
// (docs/cluster.md, sizes). The first line says so and tells the size, the rest is a zlib stream:
//
//     confd-deflated <bytes>\n<stream>
//
// A value without that line is the text itself: stores of before. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace confd::cluster {

std::string deflated(std::string_view text);
// Error: Code::invalid_config, what can't be inflated, or is larger than 64 MiB.
base::Result<std::string> inflated(std::string_view value);

}  // namespace confd::cluster
