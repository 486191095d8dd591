#include "services/hook_platform.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/json.h"
#include "base/program.h"
#include "base/text.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr int kUnsupported = 3;
constexpr int kNotNow = 4;
constexpr std::size_t kLongestReason = 500;

bool only_looks(PlatformAction action) {
  return action == PlatformAction::nodes || action == PlatformAction::metadata;
}

// What the hook says of itself: the member `error` of its answer, else its last line of standard error.
std::string reason_in(const base::ProgramEnd& end) {
  std::string reason;
  if (const auto answer = base::parse_json(end.output); answer && answer->is_struct())
    if (const base::Value* error = answer->find("error"); error != nullptr && error->is_string())
      reason = base::trim(error->as_string());
  if (reason.empty())
    for (const std::string& line : base::split(end.errors, '\n'))
      if (!base::trim(line).empty()) reason = base::trim(line);
  if (reason.size() > kLongestReason) reason = reason.substr(0, kLongestReason) + "...";
  return reason.empty() ? "it did not say why" : reason;
}

Result<base::Struct> answer_of(const std::string& hook, const base::ProgramEnd& end) {
  if (base::trim(end.output).empty()) return base::Struct();
  const auto answer = base::parse_json(end.output);
  if (!answer) return Error{Code::job_error, hook + " answered no JSON: " + answer.error().text};
  if (!answer->is_struct())
    return Error{Code::job_error,
                 hook + " must answer a JSON object, not " + std::string(base::type_name(answer->type()))};
  return answer->as_struct();
}

Result<base::Struct> verdict(const std::string& hook, const base::ProgramEnd& end,
                             std::chrono::milliseconds timeout) {
  using Why = base::ProgramEnd::Why;
  const std::string unknown = "; what it had done until then is not known, see infra_overview_get";
  switch (end.why) {
    case Why::timed_out:
      return Error{Code::timeout, hook + " did not end within " + std::to_string(timeout.count() / 1000) +
                                      " s and was ended" + unknown};
    case Why::stopped:
      return Error{Code::stopped, "the job was stopped by job_stop: " + hook + " was ended" + unknown};
    case Why::too_much_output:
      return Error{Code::job_error, hook + " answered more than 1 MiB and was ended" + unknown};
    case Why::signalled:
      return Error{Code::job_error, hook + " was ended by signal " + std::to_string(end.status) + unknown};
    case Why::exited:
      break;
  }
  if (end.status == 0) return answer_of(hook, end);
  if (end.status == kUnsupported) return Error{Code::unsupported, hook + " can't do this: " + reason_in(end)};
  if (end.status == kNotNow) return Error{Code::wrong_state, hook + " refused: " + reason_in(end)};
  return Error{Code::job_error,
               hook + " failed with exit code " + std::to_string(end.status) + ": " + reason_in(end)};
}

}  // namespace

Status HookPlatform::check(PlatformAction action) const {
  if (!options_.only.empty() && !options_.only.contains(action))
    return Error{Code::unsupported,
                 "`" + options_.setting + "` is not asked for " + std::string(action_name(action))};
  const std::string what = "the program of `" + options_.setting + "` in etc/confd.yaml, " + options_.path;
  struct stat file {};
  if (::stat(options_.path.c_str(), &file) != 0)
    return Error{Code::not_found, what + ", can't be used: " + std::strerror(errno)};
  if (!S_ISREG(file.st_mode) || ::access(options_.path.c_str(), X_OK) != 0)
    return Error{Code::wrong_state, what + ", can't be used: it is not an executable file"};
  // Who can write it can do all that confd can.
  if ((file.st_mode & (S_IWOTH | S_IWGRP)) != 0 || (file.st_uid != 0 && file.st_uid != ::geteuid()))
    return Error{Code::wrong_state, what +
                                        ", is not run: it must belong to root or to the user confd runs "
                                        "as, and nobody else may write it"};
  return {};
}

PlatformAnswer HookPlatform::run(PlatformAction action, const base::Struct& request,
                                 const PlatformLimits& limits) {
  if (Status usable = check(action); !usable) return {usable.error(), {}};
  base::Struct message{{"action", action_name(action)}, {"protocol", 1}, {"cluster", options_.cluster}};
  for (const auto& [name, value] : request) message.set(name, value);

  base::ProgramLimits bounds;
  bounds.timeout = only_looks(action) ? std::min(limits.timeout, options_.longest_look) : limits.timeout;
  bounds.grace = options_.grace;
  const base::Program program{
      {options_.path, std::string(action_name(action))}, base::plain_environment(), options_.directory};
  if (!only_looks(action))
    if (Status mine = turn_.take(limits); !mine) return {mine.error(), {}};
  const auto end = base::run_program(program, base::render_json(message) + "\n", bounds, limits.stop);
  if (!only_looks(action)) turn_.give_up();
  if (!end) return {end.error(), {}};
  return {verdict("the hook " + options_.path + " (" + std::string(action_name(action)) + ")", *end,
                  bounds.timeout),
          end->errors};
}

}  // namespace confd::services
