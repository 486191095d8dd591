#include "jobs/context.h"

#include "jobs/descriptor.h"

namespace confd::jobs {
namespace {

base::Value masked(const base::Value& result) {
  return result.is_struct() ? base::Value(mask_secrets(nullptr, result.as_struct())) : result;
}

// {events: [...]} -> {events: "3 items"}
base::Value sizes(const base::Value& result) {
  if (result.is_array()) return std::to_string(result.as_array().size()) + " items";
  if (!result.is_struct()) return masked(result);
  base::Struct members;
  for (const auto& [name, value] : result.as_struct())
    members.append(name, value.is_array() ? sizes(value) : value);
  return members;
}

}  // namespace

bool JobContext::flag_or(std::string_view name, bool otherwise) const {
  const base::Value* value = param(name);
  return value == nullptr ? otherwise : value->as_bool();
}

std::string JobContext::text_or(std::string_view name, std::string_view otherwise) const {
  const base::Value* value = param(name);
  return value == nullptr ? std::string(otherwise) : value->as_string();
}

std::int64_t JobContext::number_or(std::string_view name, std::int64_t otherwise) const {
  const base::Value* value = param(name);
  return value == nullptr ? otherwise : value->as_int();
}

std::vector<std::string> JobContext::texts(std::string_view name) const {
  const base::Value* value = param(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->as_string()};
  std::vector<std::string> texts;
  if (value->is_array())
    for (const base::Value& item : value->as_array()) {
      if (!item.is_string())
        throw JobError{base::Code::bad_parameter,
                       "parameter '" + std::string(name) + "': member " + std::to_string(texts.size() + 1) +
                           " must be a string, not " + std::string(base::type_name(item.type()))};
      texts.push_back(item.as_string());
    }
  return texts;
}

void JobContext::check_stop() const {
  if (stop_.stop_requested()) throw JobError{base::Code::stopped, "the job was stopped by job_stop"};
}

exaconf::Transaction& JobContext::transaction() {
  if (!transaction_) transaction_.emplace(config_);
  return *transaction_;
}

base::Value JobContext::run(int node, std::string_view operation, const base::Struct& params,
                            Recorded recorded) {
  check_stop();
  CommandRecord record;
  record.name = operation;
  record.node = node;
  record.arguments = mask_secrets(nullptr, params);
  record.started = services_.clock.now();
  base::Result<base::Value> result = services_.nodes.run(node, operation, params, stop_);
  record.ended = services_.clock.now();
  if (!result) {
    record.exit = static_cast<int>(result.error().code);
    record.output = result.error().text;
    commands_.push_back(std::move(record));
    throw JobError{result.error().code, result.error().text};
  }
  record.output = recorded == Recorded::whole ? masked(*result) : sizes(*result);
  commands_.push_back(std::move(record));
  return std::move(*result);
}

void JobContext::progress(std::string text, std::optional<int> percent) {
  if (on_progress) on_progress(text, percent);
}

}  // namespace confd::jobs
