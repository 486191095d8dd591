#include "jobs/context.h"

#include <thread>

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
                            Recorded shown) {
  return recorded(std::string(operation), node, params, [&]() -> CommandOutcome {
    base::Result<base::Value> result = services_.nodes.run(node, operation, params, stop_);
    if (!result) return {result.error(), result.error().text};
    base::Value summary = shown == Recorded::whole ? *result : sizes(*result);
    return {std::move(result), std::move(summary)};
  });
}

base::Value JobContext::command(std::string name, const base::Struct& arguments,
                                const std::function<CommandOutcome()>& work) {
  return recorded(std::move(name), services_.nodes.own_node(), arguments, work);
}

base::Value JobContext::recorded(std::string name, int node, const base::Struct& arguments,
                                 const std::function<CommandOutcome()>& work) {
  check_stop();
  CommandRecord command;
  command.name = std::move(name);
  command.node = node;
  command.arguments = mask_secrets(nullptr, arguments);
  command.started = services_.clock.now();
  CommandOutcome outcome = work();
  command.ended = services_.clock.now();
  record(std::move(command), outcome);
  return or_throw(std::move(outcome.result));
}

void JobContext::record(CommandRecord command, const CommandOutcome& outcome) {
  command.exit = outcome.result ? 0 : static_cast<int>(outcome.result.error().code);
  command.output = masked(outcome.shown);
  commands_.push_back(std::move(command));
}

std::vector<base::Result<base::Value>> JobContext::run_on(const std::vector<int>& nodes,
                                                          std::string_view operation,
                                                          const base::Struct& params) {
  check_stop();
  CommandRecord begun;
  begun.name = operation;
  begun.arguments = mask_secrets(nullptr, params);
  begun.started = services_.clock.now();
  std::vector<std::optional<base::Result<base::Value>>> answers(nodes.size());
  std::vector<base::WallTime> ends(nodes.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < nodes.size(); ++i)
      threads.emplace_back([&, i] {
        answers[i] = services_.nodes.run(nodes[i], operation, params, stop_);
        ends[i] = services_.clock.now();
      });
  }
  std::vector<base::Result<base::Value>> results;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    CommandRecord command = begun;
    command.node = nodes[i];
    command.ended = ends[i];
    record(std::move(command), {*answers[i], *answers[i] ? **answers[i] : answers[i]->error().text});
    results.push_back(std::move(*answers[i]));
  }
  check_stop();
  return results;
}

void JobContext::publish_now() {
  if (!transaction_ || !transaction_->changed()) return;
  exaconf::Transaction edits = std::move(*transaction_);
  transaction_.reset();
  const base::Struct changes{{"changes", edits.diff()}};
  command("exaconf.publish", changes, [&]() -> CommandOutcome {
    auto next = services_.publish(std::move(edits));
    if (!next) return {next.error(), next.error().text};
    config_ = std::move(*next);
    return {base::Value(), base::Struct{{"revision", config_->revision()}}};
  });
}

void JobContext::progress(std::string text, std::optional<int> percent) {
  if (on_progress) on_progress(text, percent);
}

}  // namespace confd::jobs
