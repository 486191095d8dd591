// PUT, DELETE, MKCOL, COPY and MOVE.
#include <algorithm>
#include <thread>

#include "services/archive_web_work.h"
#include "storage/piece_fanout.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using storage::ArchiveFile;

namespace {

// How long one side of a copy waits for the other.
constexpr std::chrono::minutes kCopyPatience{2};

rpc::HttpResponse done_answer(unsigned status) {
  rpc::HttpResponse response;
  response.status = status;
  return response;
}

}  // namespace

void ArchiveWebWork::put() {
  const rpc::HttpRequest& request = exchange_.request();
  if (target_.path.empty() || target_.is_folder)
    return refuse(405, "a file has a name that does not end with '/'; MKCOL makes folders");
  if (request.header("Content-Range")) return refuse(400, "a file is written as a whole: no Content-Range");
  if (const std::string* coding = request.header("Content-Encoding"); coding && *coding != "identity")
    return refuse(415, "a file is kept as it comes: no Content-Encoding");
  const auto before = store_.find(target_.path, question());
  if (!before) return refuse(before.error());
  const std::string tag = *before ? tag_of(**before) : std::string();
  if (const std::string* match = request.header("If-Match"); match && (!*before || !names_tag(*match, tag)))
    return refuse(412, "the file is another one than If-Match names");
  if (const std::string* match = request.header("If-None-Match"); match && *before && names_tag(*match, tag))
    return refuse(412, "there is such a file already");
  if (!*before) {
    const auto below = store_.list(target_.path, question());
    if (!below) return refuse(below.error());
    if (!below->empty()) return refuse(409, "'" + target_.path + "' is a folder");
  }
  const auto written = store_.put(
      target_.path, [this](std::size_t most) { return exchange_.read(most); }, exchange_.content_length(),
      transfer());
  if (!written) return refuse(written.error());
  send(done_answer(*before ? 204 : 201));
}

void ArchiveWebWork::remove() {
  if (target_.path.empty())
    return refuse(403, "the root of a volume stays; st_volume_delete removes volumes");
  if (!target_.is_folder) {
    const auto file = store_.find(target_.path, question());
    if (!file) return refuse(file.error());
    if (*file) {
      if (Status done = store_.remove(target_.path, question()); !done) return refuse(done.error());
      return send(done_answer(204));
    }
  }
  const auto files = store_.list(target_.path, question());
  if (!files) return refuse(files.error());
  if (files->empty())
    return refuse(404, "volume '" + volume_ + "' has no file or folder '" + target_.path + "'");
  std::size_t removed = 0;
  for (const ArchiveFile& file : *files) {
    if (Status done = store_.remove(file.path, question()); !done)
      return refuse(Error{done.error().code, std::to_string(removed) + " of " +
                                                 std::to_string(files->size()) +
                                                 " files of the folder are removed; '" + file.path +
                                                 "' is not: " + done.error().text});
    ++removed;
  }
  send(done_answer(204));
}

void ArchiveWebWork::make_folder() {
  const auto length = exchange_.content_length();
  if (!length || *length > 0) return refuse(415, "MKCOL takes no body");
  if (target_.path.empty()) return refuse(405, "the root is there");
  const auto file = store_.find(target_.path, question());
  if (!file) return refuse(file.error());
  if (*file) return refuse(405, "'" + target_.path + "' is a file");
  const auto files = store_.list(target_.path, question());
  if (!files) return refuse(files.error());
  if (!files->empty()) return refuse(405, "the folder '" + target_.path + "' is there");
  const auto made = store_.put(
      target_.path + "/" + std::string(kFolderMark),
      [](std::size_t) -> Result<std::string> { return std::string(); }, 0, question());
  if (!made) return refuse(made.error());
  send(done_answer(201));
}

Status ArchiveWebWork::copy_file(const ArchiveFile& file, const std::string& to) {
  storage::ArchiveLimits rules = transfer();
  storage::PieceFanout pipe(1, kCopyPatience, std::chrono::steady_clock::now() + rules.timeout, rules.stop);
  rules.checksum = file.checksum;
  std::thread reader([&] {
    const auto got = store_.get(
        file.path, 0,
        [&](std::string_view piece) -> Status {
          if (pipe.give(std::string(piece))) return {};
          return Error{Code::stopped, "the copy ended"};
        },
        rules);
    pipe.end(got ? Status() : Status(got.error()));
  });
  std::string rest;
  const auto written = store_.put(
      to,
      [&](std::size_t most) -> Result<std::string> {
        if (rest.empty()) {
          auto piece = pipe.take(0);
          if (!piece || piece->size() <= most) return piece;
          rest = std::move(*piece);
        }
        std::string piece = rest.substr(0, most);
        rest.erase(0, piece.size());
        return piece;
      },
      file.size, transfer());
  pipe.leave(0);
  reader.join();
  return written ? Status() : Status(written.error());
}

void ArchiveWebWork::copy(bool move) {
  const rpc::HttpRequest& request = exchange_.request();
  const std::string *destination = request.header("Destination"), *host = request.header("Host");
  if (destination == nullptr) return refuse(400, "a Destination is missing");
  const auto to = parse_destination(*destination, host ? *host : std::string());
  if (!to) return refuse(to.error());
  if (is_reserved(to->path)) return refuse(403, "'" + std::string(kFolderMark) + "' is confd's own name");
  if (target_.path.empty() || to->path.empty()) return refuse(403, "the root of a volume stays where it is");
  const auto is_below = [](const std::string& path, const std::string& folder) {
    return path == folder || path.compare(0, folder.size() + 1, folder + "/") == 0;
  };
  if (is_below(to->path, target_.path) || is_below(target_.path, to->path))
    return refuse(403, "the Destination is the same place, or one lies in the other");
  std::vector<ArchiveFile> files;
  const auto file = store_.find(target_.path, question());
  if (!file) return refuse(file.error());
  if (*file) {
    files.push_back(**file);
  } else {
    auto all = store_.list(target_.path, question());
    if (!all) return refuse(all.error());
    files = std::move(*all);
  }
  if (files.empty())
    return refuse(404, "volume '" + volume_ + "' has no file or folder '" + target_.path + "'");
  const auto there = store_.find(to->path, question());
  if (!there) return refuse(there.error());
  const auto below = store_.list(to->path, question());
  if (!below) return refuse(below.error());
  const bool exists = *there || !below->empty();
  const std::string* overwrite = request.header("Overwrite");
  if (exists && overwrite && *overwrite == "F") return refuse(412, "the Destination exists");
  if (!below->empty() || (*there && !*file))
    return refuse(409, "'" + to->path + "' exists: a folder is not written over, remove it first");
  std::size_t done_files = 0;
  for (const ArchiveFile& one : files) {
    Status done = copy_file(one, to->path + one.path.substr(target_.path.size()));
    if (done && move) done = store_.remove(one.path, question());
    if (!done)
      return refuse(Error{done.error().code, std::to_string(done_files) + " of " +
                                                 std::to_string(files.size()) + " files are " +
                                                 (move ? "moved" : "copied") + "; '" + one.path +
                                                 "' is not: " + done.error().text});
    ++done_files;
  }
  send(done_answer(exists ? 204 : 201));
}

}  // namespace confd::services
