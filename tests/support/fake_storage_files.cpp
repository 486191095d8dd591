#include "tests/support/fake_storage_files.h"

#include <algorithm>

namespace confd::test {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

bool is_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

Error no_such(const std::string& path) {
  return {Code::not_found, "cannot open " + path + ": No such file or directory"};
}

}  // namespace

class FakeStorageFiles::OpenDevice : public storage::DeviceFile {
 public:
  OpenDevice(FakeStorageFiles& files, std::shared_ptr<Content> content, std::string path, bool writable)
      : files_(files),
        content_(std::move(content)),
        path_(std::move(path)),
        generation_(files.generation_),
        writable_(writable) {}

  Result<std::uint64_t> size() override { return content_->size; }

  Result<std::string> read_at(std::uint64_t offset, std::size_t bytes) override {
    if (offset + bytes > content_->size)
      return Error{Code::io_error, "cannot read " + path_ + ": it ends too early"};
    std::string found = FakeStorageFiles::read(*content_, offset, bytes);
    if (files_.corrupt_writes_ && written_ && !found.empty()) found[0] = static_cast<char>(~found[0]);
    return found;
  }

  Status write_at(std::uint64_t offset, std::string_view bytes) override {
    const bool fails = files_.fails();
    if (!writable_ || offset + bytes.size() > content_->size) return failed("cannot write " + path_);
    if (generation_ != files_.generation_) return {};  // the machine went down meanwhile
    if (fails && files_.heads()) return failed("cannot write " + path_);
    FakeStorageFiles::write(*content_, offset, bytes);
    content_->modified = files_.ticks_++;
    written_ = true;
    if (fails) return failed("cannot write " + path_);
    return {};
  }

  Status sync() override {
    const bool fails = files_.fails();
    if (fails) return failed("cannot sync " + path_);
    if (generation_ != files_.generation_) return {};
    content_->durable = content_->now;
    content_->unsynced.clear();
    return {};
  }

 private:
  FakeStorageFiles& files_;
  std::shared_ptr<Content> content_;
  const std::string path_;
  const std::uint64_t generation_;
  const bool writable_;
  bool written_ = false;
};

Error FakeStorageFiles::failed(const std::string& what) {
  return {Code::io_error, what + ": made to fail"};
}

void FakeStorageFiles::write(Content& content, std::uint64_t offset, std::string_view bytes) {
  if (offset % kPage == 0 && bytes.size() % kPage == 0 && is_zero(bytes)) {
    const auto from = content.now.lower_bound(offset / kPage);
    const auto to = content.now.lower_bound((offset + bytes.size()) / kPage);
    for (auto at = from; at != to; ++at) content.unsynced.insert(at->first);
    content.now.erase(from, to);
    return;
  }
  while (!bytes.empty()) {
    const std::uint64_t page = offset / kPage;
    const std::size_t at = offset % kPage;
    const std::size_t here = std::min(bytes.size(), kPage - at);
    std::string text(bytes.substr(0, here));
    if (here < kPage) text = read(content, page * kPage, kPage).replace(at, here, bytes.substr(0, here));
    content.unsynced.insert(page);
    if (is_zero(text))
      content.now.erase(page);
    else
      content.now[page] = std::move(text);
    offset += here;
    bytes.remove_prefix(here);
  }
}

std::string FakeStorageFiles::read(const Content& content, std::uint64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (auto at = content.now.lower_bound(offset / kPage); at != content.now.end(); ++at) {
    const std::uint64_t start = at->first * kPage;
    if (start >= offset + bytes) break;
    const std::uint64_t from = std::max(start, offset), to = std::min(start + kPage, offset + bytes);
    text.replace(from - offset, to - from, at->second, from - start, to - from);
  }
  return text;
}

Result<std::unique_ptr<storage::DeviceFile>> FakeStorageFiles::open_device(const std::string& path,
                                                                           storage::OpenMode mode) {
  const auto at = devices_.find(path);
  if (at == devices_.end()) return no_such(path);
  return std::unique_ptr<storage::DeviceFile>(
      std::make_unique<OpenDevice>(*this, at->second, path, mode.write));
}

Result<storage::FileIdentity> FakeStorageFiles::identity(const std::string& path) {
  const auto at = devices_.find(path);
  if (at == devices_.end()) return no_such(path);
  storage::FileIdentity identity;
  identity.inode = at->second->number;
  identity.size = at->second->size;
  identity.modified_ns = at->second->modified;
  return identity;
}

Status FakeStorageFiles::make_folder(const std::string& path) {
  const bool fails = this->fails();
  if (fails && heads()) return failed("cannot make the folder " + path);
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    folders_.insert(path.substr(0, at));
    if (at == std::string::npos) break;
  }
  if (fails) return failed("cannot make the folder " + path);
  return {};
}

Result<bool> FakeStorageFiles::has_folder(const std::string& path) {
  return folders_.contains(path);
}

Result<std::vector<std::string>> FakeStorageFiles::folders_in(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string& folder : folders_)
    if (folder.starts_with(path + "/") && folder.find('/', path.size() + 1) == std::string::npos)
      names.push_back(folder.substr(path.size() + 1));
  return names;
}

void FakeStorageFiles::remove_below(const std::string& path, bool with_top) {
  std::erase_if(file_sizes_, [&](const auto& file) { return file.first.starts_with(path + "/"); });
  std::erase_if(folders_, [&](const std::string& folder) {
    return folder.starts_with(path + "/") || (with_top && folder == path);
  });
}

Status FakeStorageFiles::remove_folder(const std::string& path, std::stop_token) {
  const bool fails = this->fails();
  // A part may be gone: the files, but not the folder.
  if (fails) {
    if (heads()) remove_below(path, heads());
    return failed("cannot remove the folder " + path);
  }
  remove_below(path, true);
  return {};
}

Status FakeStorageFiles::empty_folder(const std::string& path, std::stop_token) {
  if (!folders_.contains(path)) return no_such(path);
  const bool fails = this->fails();
  if (fails && heads()) return failed("cannot empty the folder " + path);
  remove_below(path, false);
  if (fails) return failed("cannot empty the folder " + path);
  return {};
}

Result<std::uint64_t> FakeStorageFiles::usage(const std::string& path, std::stop_token) {
  if (!folders_.contains(path)) return no_such(path);
  std::uint64_t bytes = 0;
  for (const auto& [name, size] : file_sizes_)
    if (name.starts_with(path + "/")) bytes += size;
  return bytes;
}

Result<std::uint64_t> FakeStorageFiles::free_bytes(const std::string&) {
  return free_bytes_;
}

Status FakeStorageFiles::zero_front(const std::string& path, std::uint64_t, std::stop_token) {
  if (!folders_.contains(path)) return no_such(path);
  if (fails()) return failed("cannot clear " + path);
  return {};
}

void FakeStorageFiles::put_device(const std::string& path, std::uint64_t bytes) {
  auto content = std::make_shared<Content>();
  content->size = bytes;
  content->number = next_number_++;
  content->modified = ticks_++;
  devices_[path] = std::move(content);
}

void FakeStorageFiles::enlarge_device(const std::string& path, std::uint64_t bytes) {
  devices_.at(path)->size = bytes;
}

void FakeStorageFiles::write_device(const std::string& path, std::uint64_t offset, const std::string& bytes) {
  Content& content = *devices_.at(path);
  write(content, offset, bytes);
  content.durable = content.now;
  content.unsynced.clear();
  content.modified = ticks_++;
}

std::string FakeStorageFiles::read_device(const std::string& path, std::uint64_t offset,
                                          std::size_t bytes) const {
  return read(*devices_.at(path), offset, bytes);
}

void FakeStorageFiles::take_device_away(const std::string& path) {
  auto node = devices_.extract(path);
  if (node) away_.insert(std::move(node));
}

void FakeStorageFiles::put_device_back(const std::string& path) {
  auto node = away_.extract(path);
  if (node) devices_.insert(std::move(node));
}

void FakeStorageFiles::put_file(const std::string& path, std::uint64_t bytes) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
    folders_.insert(path.substr(0, at));
  file_sizes_[path] = bytes;
}

void FakeStorageFiles::power_cut() {
  ++generation_;
  fail_from_ = 0;
  for (auto* devices : {&devices_, &away_})
    for (auto& [path, content] : *devices) {
      auto survived = std::make_shared<Content>(*content);
      for (const std::uint64_t page : content->unsynced) {
        if (!heads()) continue;
        const auto now = content->now.find(page);
        if (now == content->now.end())
          survived->durable.erase(page);
        else
          survived->durable[page] = now->second;
      }
      survived->now = survived->durable;
      survived->unsynced.clear();
      content = std::move(survived);
    }
}

}  // namespace confd::test
