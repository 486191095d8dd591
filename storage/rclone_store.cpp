#include "storage/rclone_store.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

// The names of files that are being written: ".NAME.part-0123456789abcdef".
constexpr std::string_view kPart = ".part-";
constexpr std::size_t kPartDigits = 16;

bool is_part(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const std::size_t at = name.rfind(kPart);
  return name.starts_with(".") && at != std::string_view::npos &&
         name.size() == at + kPart.size() + kPartDigits;
}

std::string part_of(const std::string& path, base::Random& random) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
  // Not longer than a name may be, whatever the file's own.
  const std::string name = path.substr(folder.size()).substr(0, 200);
  return folder + "." + name + std::string(kPart) + base::random_hex(random, kPartDigits / 2);
}

// Time that several calls share.
class Budget {
 public:
  explicit Budget(const ArchiveLimits& limits) : stop_(limits.stop), until_(Clock::now() + limits.timeout) {}
  Rclone::Limits left() const {
    const auto left = std::chrono::ceil<milliseconds>(until_ - Clock::now());
    return {std::max(left, milliseconds(1)), stop_};
  }
  ArchiveLimits rest() const { return {left().timeout, stop_}; }

 private:
  std::stop_token stop_;
  Clock::time_point until_;
};

constexpr std::size_t kLongestListing = 256u << 20;  // bytes; a line is some 150

// S3 and its kin take 10,000 parts of one object, Azure 50,000: the parts of a big one must be bigger than
// rclone's own 5 MiB. Two are in memory at once.
std::vector<std::string> part_sizes(std::optional<std::uint64_t> size) {
  constexpr std::uint64_t kMebibyte = 1u << 20;
  const std::uint64_t wanted = size ? (*size / 9000 + kMebibyte) / kMebibyte : 64;
  const std::string mebibytes = std::to_string(std::max<std::uint64_t>(16, wanted)) + "Mi";
  return {"--s3-chunk-size=" + mebibytes, "--s3-upload-concurrency=2", "--azureblob-chunk-size=" + mebibytes,
          "--azureblob-upload-concurrency=2"};
}

Result<ArchiveFile> file_in(const base::Value& item, const std::string& folder) {
  const base::Value* path = item.find("Path");
  const base::Value* size = item.find("Size");
  if (path == nullptr || !path->is_string() || size == nullptr || !size->is_int())
    return Error{Code::internal, "rclone lists a file without path or size"};
  const std::string name = folder.empty() ? path->as_string() : folder + "/" + path->as_string();
  return ArchiveFile{name, static_cast<std::uint64_t>(std::max<std::int64_t>(0, size->as_int()))};
}

}  // namespace

Result<std::unique_ptr<RcloneStore>> RcloneStore::open(base::FileSystem& files, base::Random& random,
                                                       const RcloneSettings& settings,
                                                       const RemoteVolume& volume,
                                                       const ArchiveLimits& limits) {
  auto rclone = Rclone::open(files, random, settings, volume, {limits.timeout, limits.stop});
  if (!rclone) return rclone.error();
  const bool wants_root = (*rclone)->remote().wants_root;
  std::unique_ptr<RcloneStore> store(new RcloneStore(std::move(*rclone), random));
  // What is written into a mount point with nothing mounted would fill the node's own disk.
  if (wants_root)
    if (Status there = store->check_reachable(limits); !there) return there.error();
  return store;
}

Status RcloneStore::check_reachable(const ArchiveLimits& limits) {
  Rclone::Limits bounds{limits.timeout, limits.stop};
  bounds.output = 16u << 10;  // it answers: what it has does not matter
  const auto end = rclone_->run({{"lsf", "--max-depth=1", rclone_->place("")}}, bounds);
  return end ? Status() : Status(end.error());
}

Status RcloneStore::write(const std::string& name, const std::string& path, const Source& source,
                          std::optional<std::uint64_t> size, std::uint64_t& written,
                          const ArchiveLimits& limits) {
  Rclone::Call call;
  call.arguments = {"rcat"};
  if (size) call.arguments.push_back("--size=" + std::to_string(*size));
  if (rclone_->remote().whole_objects)
    for (std::string& flag : part_sizes(size)) call.arguments.push_back(std::move(flag));
  call.arguments.push_back(rclone_->place(name));
  const auto wrong_size = [&](const std::string& came) {
    return Error{Code::io_error, "'" + path + "' was to have " + std::to_string(size.value_or(0)) +
                                     " bytes, but its source gave " + came};
  };
  call.streams.input = [&](std::size_t most) -> Result<std::string> {
    auto piece = source(most);
    if (!piece) return piece;
    written += piece->size();
    if (size && written > *size) return wrong_size("more");
    if (size && piece->empty() && written < *size) return wrong_size(std::to_string(written));
    return piece;
  };
  const auto end = rclone_->run(call, {limits.timeout, limits.stop});
  return end ? Status() : Status(end.error());
}

Result<std::uint64_t> RcloneStore::put(const std::string& path, const Source& source,
                                       std::optional<std::uint64_t> size, const ArchiveLimits& limits) {
  if (Status fine = check_archive_path(path); !fine) return fine.error();
  const Budget budget(limits);
  std::uint64_t written = 0;
  const bool whole = rclone_->remote().whole_objects;
  const std::string name = whole ? path : part_of(path, random_);
  Status done = write(name, path, source, size, written, limits);
  if (done && !whole) {
    const auto moved = rclone_->run({{"moveto", rclone_->place(name), rclone_->place(path)}}, budget.left());
    if (!moved) done = moved.error();
  }
  if (done) return written;
  // Whatever it left; also when the job is stopped or its time is over, but not for long. What stays is no
  // file of the archive: list() leaves it out.
  if (!whole) (void)rclone_->run({{"deletefile", rclone_->place(name)}}, {std::chrono::seconds(5), {}}).ok();
  return done.error();
}

Result<std::uint64_t> RcloneStore::get(const std::string& path, std::uint64_t offset, const Sink& sink,
                                       const ArchiveLimits& limits) {
  const Budget budget(limits);
  // `rclone cat` of a folder gives all files in it, and of nothing in an object store nothing.
  const auto file = find(path, limits);
  if (!file) return file.error();
  if (!*file) return Error{Code::not_found, "'" + path + "' is not there"};
  const std::uint64_t size = (*file)->size;
  if (offset > size)
    return Error{Code::bad_parameter, "'" + path + "' has " + std::to_string(size) +
                                          " bytes: it can't be read from " + std::to_string(offset) + " on"};
  if (offset == size) return std::uint64_t(0);
  std::uint64_t taken = 0;
  Rclone::Call call;
  call.arguments = {"cat", "--offset=" + std::to_string(offset), rclone_->place(path)};
  call.streams.output = [&](std::string_view piece) -> Status {
    taken += piece.size();
    return sink(piece);
  };
  const auto end = rclone_->run(call, budget.left());
  if (!end) return end.error();
  if (taken != size - offset)
    return Error{Code::io_error, "'" + path + "' ended after " + std::to_string(taken) + " of " +
                                     std::to_string(size - offset) + " bytes"};
  return taken;
}

Result<std::vector<ArchiveFile>> RcloneStore::list(const std::string& folder, const ArchiveLimits& limits) {
  if (!folder.empty())
    if (Status fine = check_archive_path(folder); !fine) return fine.error();
  Rclone::Limits bounds{limits.timeout, limits.stop};
  bounds.output = kLongestListing;
  const auto end = rclone_->run({{"lsjson", "--recursive", "--files-only", "--no-modtime", "--no-mimetype",
                                  "--fast-list", rclone_->place(folder)}},
                                bounds);
  if (!end && end.error().code == Code::not_found && !folder.empty()) return std::vector<ArchiveFile>();
  if (!end) return end.error();
  if (end->why == base::ProgramEnd::Why::too_much_output)
    return Error{Code::io_error, "'" + folder + "' holds more files than can be listed at once"};
  const auto items = base::parse_json(end->output);
  if (!items || !items->is_array()) return Error{Code::internal, "rclone's listing is no JSON array"};
  std::vector<ArchiveFile> files;
  for (const base::Value& item : items->as_array()) {
    auto file = file_in(item, folder);
    if (!file) return file.error();
    if (!is_part(file->path)) files.push_back(std::move(*file));
  }
  std::sort(files.begin(), files.end(),
            [](const ArchiveFile& a, const ArchiveFile& b) { return a.path < b.path; });
  return files;
}

Result<std::optional<ArchiveFile>> RcloneStore::find(const std::string& path, const ArchiveLimits& limits) {
  if (Status fine = check_archive_path(path); !fine) return fine.error();
  const auto end = rclone_->run({{"lsjson", "--stat", "--no-modtime", "--no-mimetype", rclone_->place(path)}},
                                {limits.timeout, limits.stop});
  if (!end && end.error().code == Code::not_found) return std::optional<ArchiveFile>();
  if (!end) return end.error();
  const auto item = base::parse_json(end->output);
  if (!item) return Error{Code::internal, "rclone's answer is no JSON: " + item.error().text};
  // Object stores call folders what is not there.
  const base::Value* is_folder = item->find("IsDir");
  if (item->is_null() || (is_folder != nullptr && *is_folder == base::Value(true)))
    return std::optional<ArchiveFile>();
  auto file = file_in(*item, "");
  if (!file) return file.error();
  file->path = path;
  return std::optional(std::move(*file));
}

Status RcloneStore::remove(const std::string& path, const ArchiveLimits& limits) {
  if (Status fine = check_archive_path(path); !fine) return fine;
  const Budget budget(limits);
  const auto end = rclone_->run({{"deletefile", rclone_->place(path)}}, {limits.timeout, limits.stop});
  if (end) return {};
  if (end.error().code == Code::stopped || end.error().code == Code::timeout) return end.error();
  const auto file = find(path, budget.rest());
  if (file && !*file) return {};
  return end.error();
}

}  // namespace confd::storage
