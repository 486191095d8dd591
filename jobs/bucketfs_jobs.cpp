// Jobs of the family `bucketfs` (spec/jobs/bucketfs.yaml).
#include "exaconf/views.h"
#include "jobs/context.h"
#include "jobs/families.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kBucketFsAdmins[] = {"root", "exabfsadm", "exaadm"};
constexpr std::string_view kNoParams[] = {"{}"};

std::optional<base::Value> bucketfs_list(JobContext& context) {
  const std::vector<std::string> names = context.config().ids("BucketFS");
  return base::Array(names.begin(), names.end());
}

constexpr Param kServiceName[] = {
    {.name = "bucketfs_name", .help = "name of the service", .completion = Completion::bucketfs},
};
constexpr std::string_view kInfoExamples[] = {R"({"bucketfs_name": "bfsdefault"})"};

// The view with the titles of its EXAConf sections, which clients of the original see.
base::Struct with_title(const std::string& title, const base::Struct& view) {
  base::Struct result{{"_sec_name", title}};
  for (const auto& [name, value] : view) result.append(name, value);
  return result;
}

std::optional<base::Value> bucketfs_info(JobContext& context) {
  const std::string& name = context.text("bucketfs_name");
  const base::Value services = exaconf::bucketfs_view(context.config());
  const base::Value* view = services.find(name);
  if (view == nullptr)
    throw JobError{base::Code::not_found,
                   "BucketFS service '" + name + "' does not exist; see bucketfs_list"};
  base::Struct info = with_title("BucketFS : " + name, view->as_struct());
  base::Struct buckets;
  if (const base::Value* given = info.find("buckets"); given != nullptr)
    for (const auto& [bucket, settings] : given->as_struct())
      buckets.append(bucket, with_title("Bucket : " + bucket, settings.as_struct()));
  info.set("buckets", std::move(buckets));
  return info;
}

constexpr JobDescriptor kBucketFsJobs[] = {
    {.name = "bucketfs_info",
     .help = "Configuration of one BucketFS service with its buckets",
     .long_help = "The result holds the passwords of the buckets as EXAConf has them (base64).",
     .kind = JobKind::read,
     .mandatory = kServiceName,
     .users = kRootUser,
     .groups = kBucketFsAdmins,
     .examples = kInfoExamples,
     .returns = "struct with _sec_name, name, owner, http_port, https_port, mode, bucketvolume, sync_key, "
                "sync_period (text, milliseconds) and buckets, a struct by bucket name",
     .execute = &bucketfs_info,
     .secret_result = true},
    {.name = "bucketfs_list",
     .help = "Names of all BucketFS services",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kBucketFsAdmins,
     .examples = kNoParams,
     .returns = "list of strings",
     .execute = &bucketfs_list},
};

}  // namespace

std::span<const JobDescriptor> bucketfs_jobs() {
  return kBucketFsJobs;
}

}  // namespace confd::jobs
