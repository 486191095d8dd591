// FakePlatform: a provider as a test wants it to be. It remembers what it was asked for.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "services/platform.h"

namespace confd::test {

struct FakePlatform : services::Platform {
  struct Call {
    services::PlatformAction action;
    base::Struct request;
    std::chrono::milliseconds timeout;
  };
  std::vector<Call> calls;
  std::set<services::PlatformAction> can_not;
  base::Struct answer;
  std::optional<base::Error> failure;
  std::string log;
  std::function<void(const Call&)> on_run;

  // "start_nodes 12 13": what was asked for, and of which nodes.
  std::vector<std::string> asked() const {
    std::vector<std::string> texts;
    for (const Call& call : calls) {
      texts.emplace_back(services::action_name(call.action));
      if (const base::Value* nodes = call.request.find("nodes"))
        for (const base::Value& node : nodes->as_array())
          texts.back() += " " + std::to_string(node.find("nid")->as_int());
      if (const base::Value* node = call.request.find("node"))
        texts.back() += " " + std::to_string(node->find("nid")->as_int());
    }
    return texts;
  }

  std::string_view name() const override { return "fake"; }
  base::Status check(services::PlatformAction action) const override {
    if (can_not.contains(action))
      return base::Error{base::Code::unsupported,
                         "the provider can't do " + std::string(services::action_name(action))};
    return {};
  }
  services::PlatformAnswer run(services::PlatformAction action, const base::Struct& request,
                               const services::PlatformLimits& limits) override {
    calls.push_back({action, request, limits.timeout});
    if (on_run) on_run(calls.back());
    if (failure) return {*failure, log};
    return {answer, log};
  }
};

}  // namespace confd::test
