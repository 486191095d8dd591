// Rules that users and groups share: names, numeric ids, what is built in, what is in use. For user_jobs and
// group_jobs. Facts: spec/services-behaviour.md §1, spec/exaconf.md §8 [Groups], [Users].
//
// Thread-safety: pure functions; they throw JobError.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "exaconf/config.h"
#include "jobs/context.h"
#include "jobs/lock.h"

namespace confd::jobs {

// A letter, then letters, digits, '.', '_' and '-', 32 at most. A letter first, so that no name can be taken
// for an id (`group: 499`) nor for a reserved word (_owner, _self). `parameter` is named in the error.
void check_account_name(std::string_view parameter, std::string_view name);
// 0 .. 2^31-1, without those reserved for exameta and exahugepages.
void check_account_id(std::string_view parameter, std::int64_t id);

bool is_built_in_user(std::string_view name);
bool is_built_in_group(std::string_view name);

// Throws Code::not_found.
const exaconf::User& known_user(const exaconf::Config& config, std::string_view name);
const exaconf::Group& known_group(const exaconf::Config& config, std::string_view name);
// A group given by name, by id, or by id as text.
const exaconf::Group& group_given_as(const exaconf::Config& config, const base::Value& value);

// Headings of the sections ("DB : exa", "BucketFS : bfsdefault") whose Owner is this uid, or whose Owner's
// group is this gid.
std::vector<std::string> sections_of_owner(const exaconf::Config& config, std::int64_t uid);
std::vector<std::string> sections_of_owner_group(const exaconf::Config& config, std::int64_t gid);

// Locks: names and ids apart, since two users of one id must not be made at once. Who refers to groups holds
// `group_membership_lock(shared)`, who removes one holds it alone: it goes over all groups, since a group may
// be given by its id, whose name the locks can't know.
Lock user_lock(std::string_view name);
Lock user_id_lock(std::int64_t id);
Lock group_lock(std::string_view name);
Lock group_id_lock(std::int64_t id);
Lock group_membership_lock(bool shared);

}  // namespace confd::jobs
