// A walk over all jobs: the interface is that of the specification, and every job answers anonymous callers,
// wrong groups, right groups, missing parameters and wrong types as it must.
#include "jobs/catalogue.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "base/text.h"
#include "jobs/description.h"
#include "tests/support/job_fixture.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobTest;

// One line a job, made from spec/jobs/*.yaml: name kind mandatory optional users groups.
// Types: s string, i integer, b boolean, l list, d struct. '-' = none.
const char* const kInterface[] = {
    "affinity_reset modify - - - exaadm,root",
    "bucketfs_info read bucketfs_name:s - root exaadm,exabfsadm,root",
    "bucketfs_list read - - root exaadm,exabfsadm,root",
    "cert_update modify cert:s,key:s ca:s,verify_cert:b root exaadm,exadbadm,root",
    "conn_get_remote_nid read - - root exaadm,exastoradm,root",
    "db_list read - - root exaadm,exadbadm,exausers,root",
    "general_settings modify changes:d - root exaadm,root",
    "group_create modify groupid:i,groupname:s - root exaadm,root",
    "group_delete modify groupname:s - root exaadm,root",
    "group_info read groupname:s - root exaadm,root",
    "group_list read - - root exaadm,root",
    "log_collect read services:l "
    "dbs:l,default_interval:s,error_level:s,nodes:l,start_time:s,stop_time:s,tag:s root exaadm,exadbadm,root",
    "master_change modify nids:l - - exaadm,root",
    "node_add modify priv_net:s "
    "bg_rec_limit:i,name:s,nid:i,no_partition_extend:b,offline:b,pub_net:s,space_warn_threshold:i - "
    "exaadm,root",
    "node_add_batch modify nodes:l - - exaadm,root",
    "node_clone_batch modify nid:i,num_nodes:i disks:l - exaadm,root",
    "node_info read nid:i - - exaadm,root",
    "node_ip_batch modify nodes:l - - exaadm,root",
    "node_list read - - - exaadm,root",
    "node_remove modify nid:il force:b - exaadm,root",
    "node_resume modify nid:il enable:b root exaadm,root",
    "node_state read - - - exaadm,root",
    "node_suspend modify nid:il disable:b root exaadm,root",
    "node_wait_offline read nids:l timeout:i - exaadm,root",
    "node_wait_ready read nids:l timeout:i - exaadm,root",
    "object_volume_add modify name:s,vol_type:s "
    "bucket:s,credentials:s,end_point:s,labels:l,options:s,owner:sl,permissions:s,prefix:s,priority:si,"
    "region:s,shared:b root exaadm,exastoradm,root",
    "object_volume_info read name:s vol_id:i root exaadm,exastoradm,root",
    "object_volume_list read - - root exaadm,exastoradm,exausers,root",
    "object_volume_remove modify name:s vol_id:i root exaadm,exastoradm,root",
    "remote_volume_add modify url:s,vol_type:s "
    "check_access:b,labels:l,options:sl,owner:sl,password:s,remote_volume_id:si,remote_volume_name:s,"
    "username:s root exaadm,exastoradm,root",
    "remote_volume_info read remote_volume_name:s remote_volume_id:si _owner exaadm,exastoradm,root",
    "remote_volume_list read - - root exaadm,exastoradm,root",
    "remote_volume_list_details read - - root exaadm,exastoradm,root",
    "remote_volume_remove modify remote_volume_name:s remote_volume_id:si _owner exaadm,exastoradm,root",
    "remote_volume_state read remote_volume_name:s remote_volume_id:si _owner exaadm,exastoradm,root",
    "settings_list read - sections:d root exaadm,root",
    "st_device_add modify devname:s,disk:s,node:i "
    "direct_io:b,ephemeral:b,read_only:b,seccount:i,sector_size:s,sync_crc:b,use_crc:b - "
    "exaadm,exastoradm,root",
    "st_device_clear_errors modify devname:s,node:i - - exaadm,exadbadm,root",
    "st_device_disable modify devname:s,node:i - - exaadm,exadbadm,root",
    "st_device_enable modify devname:s,node:i - - exaadm,exadbadm,root",
    "st_device_enlarge modify devname:s,node:i,num_sectors:i - - exaadm,exadbadm,root",
    "st_device_info read devname:s,node_id:i - root exaadm,exastoradm,root",
    "st_device_modify modify devname:s,node:i disk:s,num_sectors:i,read_only:b,sector_size:s - "
    "exaadm,exadbadm,root",
    "st_device_remove modify devname:s,node:i - - exaadm,exadbadm,root",
    "st_get_partition_id read - - root exaadm,exastoradm,root",
    "st_node_force_bg_recovery_limit_calibration modify nid:i - root exaadm,exastoradm,root",
    "st_node_get_link_speed read nid:i - root exaadm,exastoradm,root",
    "st_node_list read - - root exaadm,exastoradm,root",
    "st_node_restore modify nid:i,vid:i vname:s - exaadm,exadbadm,root",
    "st_node_resume modify nid:i - - exaadm,exadbadm,root",
    "st_node_set_bg_recovery modify enabled:b,node:i - root exaadm,exastoradm,root",
    "st_node_set_bg_recovery_limit modify limit:i,nid:si - root exaadm,exastoradm,root",
    "st_node_set_space_warn_threshold modify node:i,threshold:i - root exaadm,exastoradm,root",
    "st_node_stop_restore modify nid:i,vid:i vname:s - exaadm,exadbadm,root",
    "st_node_suspend modify nid:i - - exaadm,exadbadm,root",
    "st_volume_add_label modify label:s,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_append_node modify node_ids:l,node_num:i,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_change_owner modify vid:i,vol_grp:i,vol_user:i vname:s root exaadm,exastoradm,root",
    "st_volume_change_permissions modify mode:s,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_clear_data modify node_ids:l,num_bytes:i,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_create modify disk:s,name:s,nodes:l,redundancy:i,size:s,type:s "
    "block_size:si,ftp_port:i,ftps_port:i,http_port:i,https_port:i,num_master_nodes:i,owner:l,partition_size:"
    "si,permissions:s,priority:s,sftp_port:i,shared:b,stripe_size:si - exaadm,exadbadm,root",
    "st_volume_decrease_redundancy modify delta:i,vid:i nid:i,vname:s root exaadm,exastoradm,root",
    "st_volume_delete modify vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_enlarge modify blocks_per_node:i,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_increase_redundancy modify delta:i,vid:i nodes:l,vname:s root exaadm,exastoradm,root",
    "st_volume_info read vid:si vname:s root exaadm,exastoradm,root",
    "st_volume_list read - - root exaadm,exastoradm,root",
    "st_volume_lock modify vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_move_node modify dst_nodes:l,src_nodes:l,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_remove_label modify label:s,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_set_forced_red_level modify force_red_level:i,vid:i vname:s - root",
    "st_volume_set_io_status modify app_io:b,int_io:b,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_set_ports modify vid:i ftp_port:i,ftps_port:i,http_port:i,https_port:i,sftp_port:i,vname:s - "
    "exaadm,exadbadm,root",
    "st_volume_set_priority modify prio:i,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_set_shared modify shared:b,vid:i vname:s root exaadm,exastoradm,root",
    "st_volume_unlock modify vid:i vname:s root exaadm,exastoradm,root",
    "user_create modify group:si,login_enabled:b,password:s,userid:i,username:s "
    "additional_groups:l,authorized_keys:l,encode_passwd:b root exaadm,root",
    "user_delete modify username:s - root exaadm,root",
    "user_info read username:s userid:i root exaadm,root",
    "user_list read - - root exaadm,root",
    "user_modify modify username:s additional_groups:l,authorized_keys:l,group:si,login_enabled:b root "
    "exaadm,root",
    "user_passwd modify password:s,username:s encode_passwd:b root,xmlrpc user exaadm,root",
};

std::string type_letters(unsigned types) {
  std::string letters;
  for (const auto& [type, letter] : {std::pair(kString, 's'), std::pair(kInt, 'i'), std::pair(kBool, 'b'),
                                     std::pair(kList, 'l'), std::pair(kDict, 'd')})
    if ((types & type) != 0) letters += letter;
  return letters;
}

std::string or_dash(std::vector<std::string> items) {
  std::sort(items.begin(), items.end());
  return items.empty() ? "-" : base::join(items, ",");
}

std::string interface_of(const JobDescriptor& job) {
  const auto params = [](std::span<const Param> list) {
    std::vector<std::string> items;
    for (const Param& param : list)
      items.push_back(std::string(param.name) + ":" + type_letters(param.types));
    return or_dash(items);
  };
  const auto names = [](const base::Value& list) {
    std::vector<std::string> items;
    for (const base::Value& name : list.as_array()) items.push_back(name.as_string());
    return or_dash(items);
  };
  const base::Value desc = job_desc(job);
  return std::string(job.name) + " " + (job.kind == JobKind::modify ? "modify" : "read") + " " +
         params(job.mandatory) + " " + params(job.optional) + " " + names(desc.as_array()[4]) + " " +
         names(desc.as_array()[5]);
}

// A value that fits none of the types.
base::Value wrong_for(unsigned types) {
  if ((types & kReal) == 0) {
    if ((types & (kString | kBool)) == 0) return true;
    if ((types & (kBool | kDict)) == 0) return base::Struct{};
    if ((types & kList) == 0) return base::Array{};
  }
  return base::Value();
}

base::Struct example_of(const JobDescriptor& job) {
  return job.examples.empty() ? base::Struct() : base::parse_json(job.examples.front())->as_struct();
}

}  // namespace

TEST_CASE("The jobs are those of the specification, with their parameters and permissions") {
  std::vector<std::string> found, wanted(std::begin(kInterface), std::end(kInterface));
  for (const JobDescriptor* job : all_jobs()) found.push_back(interface_of(*job));
  for (const std::string& line : wanted) {
    CAPTURE(line);
    CHECK(std::find(found.begin(), found.end(), line) != found.end());
  }
}

TEST_CASE("Jobs are sorted, unique and found by name") {
  const auto& jobs = all_jobs();
  CHECK(std::adjacent_find(jobs.begin(), jobs.end(), [](const JobDescriptor* a, const JobDescriptor* b) {
          return a->name >= b->name;
        }) == jobs.end());
  for (const JobDescriptor* job : jobs) CHECK(find_job(job->name) == job);
  CHECK(find_job("") == nullptr);
  CHECK(find_job("user") == nullptr);
  CHECK(find_job("zzz") == nullptr);
}

TEST_CASE("Every descriptor is whole") {
  for (const JobDescriptor* job : all_jobs()) {
    CAPTURE(job->name);
    CHECK_FALSE(job->help.empty());
    CHECK(job->execute != nullptr);
    CHECK_FALSE((job->users.empty() && job->groups.empty()));
    if (job->config_only) CHECK(job->kind == JobKind::modify);
    if (job->kind == JobKind::modify) CHECK(job->locks != nullptr);
    std::set<std::string_view> names;
    for (const auto& params : {job->mandatory, job->optional})
      for (const Param& param : params) {
        CAPTURE(param.name);
        CHECK(names.insert(param.name).second);
        CHECK_FALSE(param.help.empty());
        CHECK(param.types != 0);
      }
    for (const Alias& alias : job->aliases) CHECK(names.contains(alias.name));
    for (const Substitute& substitute : job->substitutes) {
      CHECK(names.contains(substitute.name));
      for (const std::string_view instead : substitute.instead) CHECK(names.contains(instead));
    }
    for (const std::string_view example : job->examples) {
      CAPTURE(example);
      const auto params = base::parse_json(example);
      REQUIRE(params.ok());
      const auto checked = check_params(*job, *params);
      CHECK(checked.ok());
      if (checked) CHECK(checked->warnings.empty());
    }
  }
}

TEST_CASE("Nobody runs a job without a name or a group that allows it") {
  for (const JobDescriptor* job : all_jobs()) {
    CAPTURE(job->name);
    const base::Struct params = example_of(*job);
    CHECK(check_permission(*job, {}, params, *test::small_config()).error().code == Code::forbidden);
    const auth::Identity outsider{"mallory", {"exahugepages"}, "basic"};
    CHECK(check_permission(*job, outsider, params, *test::small_config()).error().code == Code::forbidden);
    for (const std::string_view group : job->groups) {
      const auth::Identity member{"mallory", {std::string(group)}, "basic"};
      CHECK(check_permission(*job, member, params, *test::small_config()).ok());
      CHECK(may_run(*job, member));
    }
    const auth::Identity root = auth::identify(*test::small_config(), "root", "basic");
    CHECK(check_permission(*job, root, params, *test::small_config()).ok());
  }
}

TEST_CASE("Every missing mandatory parameter is named") {
  JobTest test;
  for (const JobDescriptor* job : all_jobs())
    for (const Param& missing : job->mandatory) {
      CAPTURE(job->name, missing.name);
      const test::JobRun run = test.run(std::string(job->name));
      CHECK(run.code == Code::bad_parameter);
      CHECK(run.says("'" + std::string(job->mandatory.front().name) + "': is missing"));
      base::Struct params = example_of(*job);
      if (params.empty()) continue;
      params.erase(missing.name);
      if (job->substitutes.empty() || params.empty())
        CHECK(test.run_with(std::string(job->name), params).says("'" + std::string(missing.name) + "'"));
    }
}

TEST_CASE("Every parameter of a wrong type is named") {
  JobTest test;
  for (const JobDescriptor* job : all_jobs())
    for (const auto& list : {job->mandatory, job->optional})
      for (const Param& param : list) {
        CAPTURE(job->name, param.name);
        base::Struct params = example_of(*job);
        const base::Value wrong = wrong_for(param.types);
        REQUIRE_FALSE(wrong.is_null());
        params.set(param.name, wrong);
        const test::JobRun run = test.run_with(std::string(job->name), params);
        CHECK(run.code == Code::bad_parameter);
        CHECK(run.says("parameter '" + std::string(param.name) + "': must be"));
      }
  CHECK(test.config().revision() == 3);
}

TEST_CASE("Unknown parameters are accepted with a warning") {
  JobTest test;
  for (const JobDescriptor* job : all_jobs()) {
    CAPTURE(job->name);
    base::Struct params = example_of(*job);
    params.set("no_such_parameter", 1);
    const test::JobRun run = test.run_with(std::string(job->name), params, "root", true);
    if (!job->examples.empty()) CHECK(run.warns("'no_such_parameter' is ignored"));
    CHECK(run.text.find("no_such_parameter") == std::string::npos);
  }
}

}  // namespace confd::jobs
