#include "storage/remote_volume_files.h"

#include <set>

#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

// What rclone takes for the name of a remote.
bool is_remote_name(std::string_view name) {
  if (name.empty() || name.front() == '-' || base::trim(name) != name) return false;
  for (const char c : name) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.' || c == ' ';
    if (!fine) return false;
  }
  return true;
}

std::string owner_text(const exaconf::Config& config, const std::string& name) {
  const exaconf::Section* section = config.section("RemoteVolume", name);
  return section == nullptr ? std::string() : section->value_or("Owner", "");
}

std::int64_t owner_of(const exaconf::Config& config, const std::string& name) {
  return exaconf::parse_owner(owner_text(config, name)).value_or(exaconf::Owner()).uid;
}

// All that the owner's file depends on.
std::string source_of(const exaconf::Config& config, std::int64_t uid) {
  std::string source;
  for (const std::string& name : config.ids("RemoteVolume")) {
    if (owner_of(config, name) != uid) continue;
    source += name + "\n";
    for (const exaconf::Entry& entry : config.section("RemoteVolume", name)->entries)
      source += entry.key + "=" + entry.value + "\n";
  }
  return source;
}

}  // namespace

std::string remote_volume_file(const exaconf::Config& config, std::int64_t uid) {
  const exaconf::User* user = config.user_by_id(uid);
  return (user == nullptr ? std::string() : user->name + ".") + std::to_string(uid) + ".conf";
}

RemoteVolumeFiles::RemoteVolumeFiles(base::FileSystem& files, std::string folder, RcloneSettings settings,
                                     std::function<void(const std::string&)> on_problem)
    : files_(files),
      folder_(std::move(folder)),
      settings_(std::move(settings)),
      on_problem_(std::move(on_problem)),
      thread_([this] { work(stop_.get_token()); }) {}

RemoteVolumeFiles::~RemoteVolumeFiles() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  stop_.request_stop();
  thread_.join();
}

void RemoteVolumeFiles::refresh(exaconf::ConfigPtr config) {
  base::MutexLock lock(mutex_);
  next_ = std::move(config);
  changed_.notify_one();
}

void RemoteVolumeFiles::work(const std::stop_token& stop) {
  for (;;) {
    exaconf::ConfigPtr config;
    {
      base::MutexLock lock(mutex_);
      while (!stopping_ && next_ == nullptr) changed_.wait(mutex_);
      if (stopping_) return;
      config = std::move(next_);
      next_ = nullptr;
    }
    write_all(*config, stop);
  }
}

void RemoteVolumeFiles::write_all(const exaconf::Config& config, const std::stop_token& stop) {
  Plan plan;
  std::map<std::string, std::int64_t> owners;
  for (const std::string& name : config.ids("RemoteVolume")) {
    const std::int64_t uid = owner_of(config, name);
    const std::string file = remote_volume_file(config, uid);
    if (owners.emplace(file, uid).second) plan.emplace(file, source_of(config, uid));
  }
  const auto there = files_.list(folder_);
  if (plan.empty() && !there) return;
  if (Status made = files_.make_directories(folder_, 0700); !made) return on_problem_(made.error().text);
  for (const auto& [file, source] : plan) {
    if (stop.stop_requested()) return;
    const auto known = written_.find(file);
    if (known != written_.end() && known->second == source) continue;
    const std::string path = base::join_path(folder_, file);
    const auto text = text_of(config, owners.at(file), stop);
    const Status written = text ? base::replace_file(files_, path, *text, 0600) : Status(Error(text.error()));
    if (written)
      written_[file] = source;
    else if (written.error().code != Code::stopped)
      on_problem_(path + " is not up to date: " + written.error().text);
  }
  if (!there) return;
  for (const std::string& file : *there)
    if (file.ends_with(".conf") && !plan.contains(file)) {
      written_.erase(file);
      if (Status gone = files_.remove(base::join_path(folder_, file)); !gone) on_problem_(gone.error().text);
    }
}

Result<std::string> RemoteVolumeFiles::text_of(const exaconf::Config& config, std::int64_t uid,
                                               const std::stop_token& stop) {
  std::string text = "# Made by confd from EXAConf; changes are lost.\n";
  for (const std::string& name : config.ids("RemoteVolume")) {
    if (owner_of(config, name) != uid) continue;
    const auto volume = find_remote_volume(config, name);
    auto remote = volume ? rclone_remote(*volume) : Result<RcloneRemote>(volume.error());
    if (!remote) {
      text += "\n# " + name + ": " + remote.error().text + "\n";
      continue;
    }
    const auto settings = with_obscured(settings_.program, std::move(remote->sections.front()),
                                        {std::chrono::seconds(30), stop});
    if (!settings) return settings.error();
    // The volume itself is the folder; what holds it is the server.
    const std::string title = is_remote_name(name) ? name : "id-" + std::to_string(volume->id);
    const auto server = rclone_section(title + "-server", *settings);
    const auto folder =
        rclone_section(title, {{"type", "alias"}, {"remote", title + "-server:" + remote->root}});
    if (!server || !folder) {
      text += "\n# " + name + ": " + (server ? folder.error().text : server.error().text) + "\n";
      continue;
    }
    text += "\n" + *folder + "\n" + *server;
  }
  return text;
}

}  // namespace confd::storage
