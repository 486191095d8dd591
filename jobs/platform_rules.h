// What the jobs about machines share: asking the platform provider, describing nodes to it. For infra_*_jobs
// and update_jobs. Facts: spec/jobs/infra.yaml; what is ours: docs/jobs-decisions.md, docs/platform.md.
//
// Thread-safety: the job's thread; they throw JobError.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "exaconf/config.h"
#include "jobs/context.h"
#include "services/platform.h"

namespace confd::jobs {

// Throws Code::unsupported naming the setting when no provider is configured, and what the provider says
// against the action. Changes nothing.
services::Platform& platform_for(JobContext& context, services::PlatformAction action);

// Recorded as the command "platform.<action>". Throws what the provider failed with.
base::Struct ask_platform(JobContext& context, services::Platform& platform, services::PlatformAction action,
                          const base::Struct& request, std::chrono::milliseconds timeout);

// [{nid, name, private_ip, public_ip, disks}, ...] as the provider gets them. REQUIRES: they are in `config`.
base::Array described_nodes(const exaconf::Config& config, const std::vector<int>& nodes);

// Those of the parameters that are given, as they are.
base::Struct given(JobContext& context, std::initializer_list<std::string_view> parameters);

// Throws Code::wrong_state when this node, which carries out the job, is among them: it could not end it.
void check_not_this_node(JobContext& context, const std::vector<int>& nodes, std::string_view verb);

}  // namespace confd::jobs
