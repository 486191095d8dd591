// utc_text: the text of a moment without memory of its own, for what writes many of them: job records. Others
// take base::format_utc. Thread-safety: each thread has its own text.
#pragma once

#include <string_view>

#include "base/clock.h"

namespace confd::base {

// As format_utc gives it; good until this thread asks for the next one.
std::string_view utc_text(WallTime time);

}  // namespace confd::base
