// RepeatedProblem: what the log should hear of a trouble that comes again with every try.
//
// The first one at once; while it lasts once a minute, with how often it came meanwhile; one line when it is
// over. Without this a full disk fills the log as fast as files are tried again. Thread-safety: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace confd::base {

class RepeatedProblem {
 public:
  static constexpr SteadyTime::duration kAgain = std::chrono::minutes(1);
  // Tries come about once a second: none failed for so long means that it is over.
  static constexpr SteadyTime::duration kOver = std::chrono::seconds(10);

  // `count` problems came, `text` is one of them. Returns the line to log, or nothing.
  std::optional<std::string> came(const std::string& text, std::uint64_t count, SteadyTime now) {
    last_ = now;
    if (told_ && now < *told_ + kAgain) {
      untold_ += count;
      return std::nullopt;
    }
    const std::uint64_t more = untold_ + count - 1;
    told_ = now;
    untold_ = 0;
    return more == 0 ? text : text + " (and " + std::to_string(more) + " more of the kind)";
  }

  // No problem came since the last question. Returns how many were not told when it is over now, once.
  std::optional<std::uint64_t> over(SteadyTime now) {
    if (!told_ || now < last_ + kOver) return std::nullopt;
    const std::uint64_t untold = untold_;
    *this = {};
    return untold;
  }

 private:
  std::optional<SteadyTime> told_;
  SteadyTime last_{};
  std::uint64_t untold_ = 0;
};

}  // namespace confd::base
