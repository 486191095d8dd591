// RPC methods that describe jobs.
#include "daemon/rpc_families.h"
#include "jobs/catalogue.h"
#include "jobs/description.h"

namespace confd::daemon {

using base::Array;
using base::Struct;
using base::Value;

namespace {

// The job's name, as a text or under any of the names clients use for it.
std::optional<std::string> job_name(const RpcCallPtr& call) {
  for (std::string_view name : {"name", "job"})
    if (const Value* value = argument(*call, 99, name); value && value->is_string())
      return value->as_string();
  return text_argument(call, 0, "job_name");
}

void job_list(const RpcCallPtr& call, RpcServices&) {
  Array names;
  for (const jobs::JobDescriptor* job : jobs::all_jobs()) names.emplace_back(job->name);
  call->reply(std::move(names));
}

void job_help(const RpcCallPtr& call, RpcServices&) {
  const auto name = job_name(call);
  if (!name) return;
  const jobs::JobDescriptor* job = jobs::find_job(*name);
  call->reply(job ? Value(jobs::job_help(*job)) : Value("Job does not exist: '" + *name + "'"));
}

void job_desc(const RpcCallPtr& call, RpcServices&) {
  const auto name = job_name(call);
  if (!name) return;
  const jobs::JobDescriptor* job = jobs::find_job(*name);
  if (job)
    call->reply(Array{true, jobs::job_desc(*job)});
  else
    call->reply(Array{false, "Job does not exist: '" + *name + "'"});
}

void job_args(const RpcCallPtr& call, RpcServices&) {
  const auto name = job_name(call);
  if (!name) return;
  const jobs::JobDescriptor* job = jobs::find_job(*name);
  if (job)
    call->reply(jobs::job_args(*job));
  else
    call->reply(scheduler::refusal(base::Code::unknown_job, "Job does not exist: '" + *name + "'"));
}

constexpr std::string_view kName[] = {"job_name"};

constexpr RpcMethod kMethods[] = {
    {"job_list", {}, 0, "array job_list()", "Names of all jobs there are, sorted.", &job_list},
    {"job_help", kName, 1, "string job_help(string job_name)",
     "What a job does and which parameters it takes, as a text to read.\n@job_name, name of the job",
     &job_help},
    {"job_desc", kName, 1, "array job_desc(string job_name)",
     "Description of a job for programs: [True, [description, mandatory, optional, substitutes, users, "
     "groups, examples, ...]].\n"
     "@job_name, name of the job",
     &job_desc},
    {"job_args", kName, 1, "array job_args(string job_name)",
     "The parameters of a job as a list of structs.\n@job_name, name of the job", &job_args},
};

}  // namespace

std::span<const RpcMethod> job_description_methods() {
  return kMethods;
}

}  // namespace confd::daemon
