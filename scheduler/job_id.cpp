#include "scheduler/job_id.h"

#include <charconv>

namespace confd::scheduler {

std::string JobId::text() const {
  char buffer[40];
  char* at = std::to_chars(buffer, buffer + 12, node).ptr;
  *at++ = '.';
  at = std::to_chars(at, buffer + sizeof buffer, number).ptr;
  return std::string(buffer, at);
}

std::optional<JobId> JobId::parse(std::string_view text) {
  JobId id;
  const char* const end = text.data() + text.size();
  const auto node = std::from_chars(text.data(), end, id.node);
  if (node.ec != std::errc() || node.ptr == end || *node.ptr != '.' || id.node < 0) return std::nullopt;
  const auto number = std::from_chars(node.ptr + 1, end, id.number);
  if (number.ec != std::errc() || number.ptr != end) return std::nullopt;
  if (id.text() != text) return std::nullopt;  // "011.5", "11.05": not an id we gave out
  return id;
}

}  // namespace confd::scheduler
