#include "tests/support/fake_file_system.h"

#include <algorithm>

namespace confd::test {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

class FakeFileSystem::OpenFile : public base::File {
 public:
  OpenFile(FakeFileSystem& files, std::shared_ptr<Inode> inode, std::string path, std::uint64_t generation)
      : files_(files), inode_(std::move(inode)), path_(std::move(path)), generation_(generation) {}

  Status append(std::string_view bytes) override {
    MutexLock lock(files_.mutex_);
    if (Status ok = files_.step("cannot write " + path_); !ok) {
      // A failed write may have written a part.
      if (generation_ == files_.generation_) inode_->content += bytes.substr(0, bytes.size() / 2);
      return ok;
    }
    if (generation_ != files_.generation_) return {};
    inode_->content += bytes;
    files_.touch(*inode_);
    return {};
  }

  Status sync() override {
    MutexLock lock(files_.mutex_);
    if (Status ok = files_.step("cannot sync " + path_); !ok) return ok;
    if (generation_ == files_.generation_) inode_->durable = inode_->content;
    return {};
  }

 private:
  FakeFileSystem& files_;
  std::shared_ptr<Inode> inode_;
  std::string path_;
  const std::uint64_t generation_;
};

Status FakeFileSystem::step(const std::string& what) {
  ++calls_;
  if ((fail_from_ > 0 && calls_ >= fail_from_) || calls_ == fail_at_)
    return Error{Code::io_error, what + ": made to fail"};
  return {};
}

std::shared_ptr<FakeFileSystem::Inode> FakeFileSystem::make_inode(std::uint32_t mode) {
  auto inode = std::make_shared<Inode>();
  inode->number = next_inode_++;
  inode->mode = mode;
  touch(*inode);
  return inode;
}

void FakeFileSystem::touch(Inode& inode) {
  inode.modified = ticks_++;
}

Result<std::string> FakeFileSystem::read(const std::string& path) {
  MutexLock lock(mutex_);
  const auto it = names_.find(path);
  if (it == names_.end())
    return Error{Code::not_found, "cannot read " + path + ": No such file or directory"};
  return it->second->content;
}

Result<std::unique_ptr<base::File>> FakeFileSystem::create(const std::string& path, std::uint32_t mode) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot write " + path); !ok) return ok.error();
  if (!folders_.count(base::parent_directory(path)))
    return Error{Code::not_found, "cannot write " + path + ": No such file or directory"};
  auto& inode = names_[path];
  if (!inode) inode = make_inode(mode);
  inode->content.clear();
  touch(*inode);
  return std::unique_ptr<base::File>(std::make_unique<OpenFile>(*this, inode, path, generation_));
}

Result<std::unique_ptr<base::File>> FakeFileSystem::open_append(const std::string& path, std::uint32_t mode) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot write " + path); !ok) return ok.error();
  if (!folders_.count(base::parent_directory(path)))
    return Error{Code::not_found, "cannot write " + path + ": No such file or directory"};
  auto& inode = names_[path];
  if (!inode) inode = make_inode(mode);
  return std::unique_ptr<base::File>(std::make_unique<OpenFile>(*this, inode, path, generation_));
}

Status FakeFileSystem::rename(const std::string& from, const std::string& to) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot rename " + from); !ok) return ok;
  const auto it = names_.find(from);
  if (it == names_.end())
    return Error{Code::not_found, "cannot rename " + from + ": No such file or directory"};
  auto inode = it->second;
  names_.erase(it);
  names_[to] = std::move(inode);
  return {};
}

Status FakeFileSystem::remove(const std::string& path) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot remove " + path); !ok) return ok;
  if (folders_.count(path)) {
    const auto is_below = [&](const auto& entry) { return base::parent_directory(entry.first) == path; };
    if (std::any_of(names_.begin(), names_.end(), is_below) ||
        std::any_of(folders_.begin(), folders_.end(),
                    [&](const auto& entry) { return entry.first != path && is_below(entry); }))
      return Error{Code::io_error, "cannot remove " + path + ": Directory not empty"};
    folders_.erase(path);
    return {};
  }
  if (!names_.erase(path))
    return Error{Code::not_found, "cannot remove " + path + ": No such file or directory"};
  return {};
}

Status FakeFileSystem::link(const std::string& from, const std::string& to) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot link " + to); !ok) return ok;
  const auto it = names_.find(from);
  if (it == names_.end())
    return Error{Code::not_found, "cannot link " + from + ": No such file or directory"};
  if (names_.count(to)) return Error{Code::exists, "cannot link " + to + ": File exists"};
  names_[to] = it->second;
  return {};
}

Status FakeFileSystem::change_mode(const std::string& path, std::uint32_t mode) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot change the mode of " + path); !ok) return ok;
  const auto it = names_.find(path);
  if (it == names_.end())
    return Error{Code::not_found, "cannot change the mode of " + path + ": No such file or directory"};
  it->second->mode = mode;
  return {};
}

Status FakeFileSystem::change_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot change the owner of " + path); !ok) return ok;
  const auto it = names_.find(path);
  if (it == names_.end())
    return Error{Code::not_found, "cannot change the owner of " + path + ": No such file or directory"};
  it->second->uid = uid;
  it->second->gid = gid;
  return {};
}

Status FakeFileSystem::make_directories(const std::string& path, std::uint32_t mode) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot make the folder " + path); !ok) return ok;
  for (std::string part = path; !folders_.count(part); part = base::parent_directory(part)) {
    folders_[part] = mode;
    if (part == "/" || part == ".") break;
  }
  return {};
}

Status FakeFileSystem::sync_directory(const std::string& path) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot sync the folder " + path); !ok) return ok;
  std::erase_if(durable_names_,
                [&](const auto& entry) { return base::parent_directory(entry.first) == path; });
  for (const auto& [name, inode] : names_)
    if (base::parent_directory(name) == path) durable_names_[name] = inode;
  return {};
}

Status FakeFileSystem::sync_everything(const std::string& path) {
  MutexLock lock(mutex_);
  if (Status ok = step("cannot sync the file system of " + path); !ok) return ok;
  for (const auto& [name, inode] : names_) inode->durable = inode->content;
  durable_names_ = names_;
  return {};
}

Result<std::vector<std::string>> FakeFileSystem::list(const std::string& path) {
  MutexLock lock(mutex_);
  if (!folders_.count(path))
    return Error{Code::not_found, "cannot list " + path + ": No such file or directory"};
  std::vector<std::string> found;
  for (const auto& [name, inode] : names_)
    if (base::parent_directory(name) == path) found.push_back(name.substr(name.rfind('/') + 1));
  for (const auto& [name, mode] : folders_)
    if (name != path && base::parent_directory(name) == path)
      found.push_back(name.substr(name.rfind('/') + 1));
  std::sort(found.begin(), found.end());
  return found;
}

Result<base::FileStatus> FakeFileSystem::status(const std::string& path) {
  MutexLock lock(mutex_);
  base::FileStatus status;
  if (const auto folder = folders_.find(path); folder != folders_.end()) {
    status.is_directory = true;
    status.mode = folder->second;
    return status;
  }
  const auto it = names_.find(path);
  if (it == names_.end())
    return Error{Code::not_found, "cannot look at " + path + ": No such file or directory"};
  const Inode& inode = *it->second;
  status.size = inode.content.size();
  status.inode = inode.number;
  status.modified_ns = inode.modified;
  status.mode = inode.mode;
  status.uid = inode.uid;
  status.gid = inode.gid;
  return status;
}

int FakeFileSystem::calls() const {
  MutexLock lock(mutex_);
  return calls_;
}

void FakeFileSystem::fail_from(int call) {
  MutexLock lock(mutex_);
  fail_from_ = call;
}

void FakeFileSystem::fail_at(int call) {
  MutexLock lock(mutex_);
  fail_at_ = call;
}

void FakeFileSystem::power_cut() {
  MutexLock lock(mutex_);
  ++generation_;
  fail_from_ = fail_at_ = 0;
  // Each surviving name gets a fresh inode, so that Files still open cannot reach it.
  std::map<Inode*, std::shared_ptr<Inode>> fresh;
  for (auto& [name, inode] : durable_names_) {
    auto& copy = fresh[inode.get()];
    if (!copy) {
      copy = std::make_shared<Inode>(*inode);
      copy->content = copy->durable;
    }
    inode = copy;
  }
  names_ = durable_names_;
}

void FakeFileSystem::kill() {
  MutexLock lock(mutex_);
  fail_from_ = fail_at_ = 0;
}

void FakeFileSystem::put(const std::string& path, std::string text, std::uint32_t mode) {
  MutexLock lock(mutex_);
  for (std::string part = base::parent_directory(path); !folders_.count(part);
       part = base::parent_directory(part)) {
    folders_[part] = 0700;
    if (part == "/" || part == ".") break;
  }
  auto inode = make_inode(mode);
  inode->content = inode->durable = std::move(text);
  names_[path] = durable_names_[path] = inode;
}

std::vector<std::string> FakeFileSystem::all_paths() const {
  MutexLock lock(mutex_);
  std::vector<std::string> paths;
  for (const auto& [name, inode] : names_) paths.push_back(name);
  return paths;
}

}  // namespace confd::test
