#include "scheduler/recovery.h"

#include <algorithm>

#include "jobs/catalogue.h"

namespace confd::scheduler {
namespace {

bool publishes_early(const JobRecord& record) {
  const jobs::JobDescriptor* job = jobs::find_job(record.job);
  return job != nullptr && job->publishes_early;
}

}  // namespace

bool is_on_disk(std::span<const RevisionOnDisk> on_disk, const PublishedAs& published) {
  return std::any_of(on_disk.begin(), on_disk.end(), [&](const RevisionOnDisk& r) {
    return r.revision == published.written_revision && r.checksum == published.written_checksum;
  });
}

Recovery recover(const JobRecord& record, std::span<const RevisionOnDisk> on_disk,
                 const WasPublished& was_published) {
  if (record.stage == Stage::submitted) {
    if (record.params_masked)
      return {Verdict::interrupted,
              "confd ended before this job was started, and its secret parameters are not kept on disk; "
              "nothing was changed, submit it again"};
    return {Verdict::start_again, {}};
  }
  // Also for stage `executed`, which a checkpoint may have caught: without the pair nothing says whether a
  // revision was to follow, and "done" would be a guess.
  if (!record.published)
    return {Verdict::interrupted,
            record.kind == jobs::JobKind::read || record.dry_run
                ? "confd ended while this job ran; submit it again"
            : publishes_early(record)
                ? "confd ended while this job ran; its changes of EXAConf and its commands may have been "
                  "carried out in part: look at node_list and infra_overview_get before you submit it again"
                : "confd ended while this job ran; EXAConf was not changed by it, but its commands may have "
                  "been carried out in part: look at them in job_info"};
  if (is_on_disk(on_disk, *record.published)) return {Verdict::committed, {}};
  if (was_published) {
    // This node may have ended between the agreement and its own disk.
    const auto agreed = was_published(record.published->written_revision, record.published->written_checksum);
    if (!agreed)
      return {Verdict::unknown, "confd ended while revision " + std::to_string(record.published->revision) +
                                    " was being published, and the cluster's store does not tell whether it "
                                    "was: " +
                                    agreed.error().text};
    if (*agreed) return {Verdict::committed, {}};
  }
  return {Verdict::interrupted,
          "confd ended before revision " + std::to_string(record.published->revision) +
              " of EXAConf was written; " +
              (publishes_early(record) ? "only what this job had put in force earlier is there"
                                       : "EXAConf was not changed by this job")};
}

}  // namespace confd::scheduler
