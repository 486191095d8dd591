#include "services/archive_web.h"

#include <algorithm>

#include "services/archive_web_work.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::Status;
using rpc::HttpResponse;
using storage::ArchiveFile;

const char* const kArchiveMethods = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, MKCOL, COPY, MOVE";

std::optional<ArchiveRight> right_for(std::string_view method) {
  for (const std::string_view reads : {"OPTIONS", "GET", "HEAD", "PROPFIND"})
    if (method == reads) return ArchiveRight::read;
  for (const std::string_view writes : {"PUT", "DELETE", "MKCOL", "COPY", "MOVE"})
    if (method == writes) return ArchiveRight::write;
  return std::nullopt;
}

HttpResponse archive_text(unsigned status, const std::string& text) {
  HttpResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"}};
  if (status == 503) response.headers.emplace_back("Retry-After", "5");
  response.body = text + "\n";
  return response;
}

HttpResponse archive_refusal(const Error& error) {
  const auto status = [&] {
    switch (error.code) {
      case Code::bad_parameter:
        return 400u;
      case Code::forbidden:
        return 403u;
      case Code::not_found:
        return 404u;
      case Code::exists:
      case Code::conflict:
        return 409u;
      case Code::busy:  // a volume without room, or a node with too many transfers
        return error.text.find(" full") != std::string::npos ? 507u : 503u;
      case Code::wrong_state:
      case Code::stopped:
      case Code::node_unreachable:
      case Code::no_quorum:
      case Code::unknown_outcome:
        return 503u;
      case Code::timeout:
        return 504u;
      default:
        return 500u;
    }
  }();
  return archive_text(status, error.text);
}

std::string tag_of(const ArchiveFile& file) {
  return file.checksum.empty() ? std::string() : "\"" + file.checksum + "\"";
}

void answer_archive_request(rpc::StreamExchange& exchange, storage::ArchiveStore& store,
                            const std::string& volume, const ArchiveWebLimits& limits) {
  ArchiveWebWork(exchange, store, volume, limits).answer();
}

void ArchiveWebWork::answer() {
  const rpc::HttpRequest& request = exchange_.request();
  if (request.method == "OPTIONS") {
    HttpResponse response;
    response.headers = {{"Allow", kArchiveMethods}, {"DAV", "1"}, {"MS-Author-Via", "DAV"}};
    return send(std::move(response));
  }
  auto target = parse_archive_target(request.target);
  if (!target) return refuse(target.error());
  target_ = std::move(*target);
  if (is_reserved(target_.path))
    return refuse(403, "'" + std::string(kFolderMark) + "' marks folders and is confd's own name");
  if (request.method == "GET" || request.method == "HEAD") return get();
  if (request.method == "PROPFIND") return propfind();
  if (request.method == "PUT") return put();
  if (request.method == "DELETE") return remove();
  if (request.method == "MKCOL") return make_folder();
  copy(request.method == "MOVE");
}

void ArchiveWebWork::get() {
  if (!target_.is_folder && !target_.path.empty()) {
    const auto file = store_.find(target_.path, question());
    if (!file) return refuse(file.error());
    if (*file) return give(**file);
  }
  const auto files = store_.list(target_.path, question());
  if (!files) return refuse(files.error());
  if (files->empty() && !target_.path.empty())
    return refuse(404, "volume '" + volume_ + "' has no file '" + target_.path + "'");
  give_folder(*files);
}

void ArchiveWebWork::give(const ArchiveFile& file) {
  const rpc::HttpRequest& request = exchange_.request();
  const std::string tag = tag_of(file);
  HttpResponse head;
  head.headers = {{"Content-Type", "application/octet-stream"}, {"Accept-Ranges", "bytes"}};
  if (!tag.empty()) head.headers.emplace_back("ETag", tag);
  if (const std::string* match = request.header("If-Match"); match && !names_tag(*match, tag))
    return refuse(412, "the file is another one than If-Match names");
  if (const std::string* match = request.header("If-None-Match"); match && names_tag(*match, tag)) {
    head.status = 304;
    return send(std::move(head));
  }
  if (request.method == "HEAD") {
    (void)exchange_.begin(head, file.size).ok();
    return;
  }
  RangeAsked asked;
  const std::string* only_if = request.header("If-Range");
  const std::string* range = request.header("Range");
  if (range && (!only_if || *only_if == tag)) asked = parse_range(*range, file.size);
  if (asked.kind == RangeKind::unsatisfiable) {
    HttpResponse refused = archive_text(416, "the file has " + std::to_string(file.size) + " bytes");
    refused.headers.emplace_back("Content-Range", "bytes */" + std::to_string(file.size));
    return send(std::move(refused));
  }
  const bool whole = asked.kind == RangeKind::whole;
  const ByteRange part = whole ? ByteRange{0, file.size} : asked.range;
  if (!whole) {
    head.status = 206;
    head.headers.emplace_back("Content-Range", "bytes " + std::to_string(part.first) + "-" +
                                                   std::to_string(part.first + part.size - 1) + "/" +
                                                   std::to_string(file.size));
  }
  bool begun = false;
  std::uint64_t given = 0;
  std::string last;  // the end of a whole file goes out when its checksum is known to be right
  const auto begin = [&]() -> Status {
    if (begun) return {};
    begun = true;
    return exchange_.begin(head, part.size);
  };
  const auto sink = [&](std::string_view piece) -> Status {
    if (Status done = begin(); !done) return done;
    piece =
        piece.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), part.size - given)));
    given += piece.size();
    if (whole && given == part.size) {
      last.append(piece);
      return {};
    }
    if (Status sent = exchange_.write(piece); !sent) return sent;
    if (given == part.size) return Error{Code::stopped, "all that was asked for is on its way"};
    return {};
  };
  storage::ArchiveLimits rules = transfer();
  rules.checksum = file.checksum;
  const auto got = store_.get(file.path, part.first, sink, rules);
  if (!whole && given == part.size) return;
  if (!got) {
    if (!begun) refuse(got.error());  // else: the connection is cut, and the client sees it
    return;
  }
  if (Status done = begin(); !done) return;
  if (!last.empty()) (void)exchange_.write(last).ok();
}

void ArchiveWebWork::give_folder(const std::vector<ArchiveFile>& files) {
  const auto entries = entries_of(target_.path, files);
  const std::string* accepted = exchange_.request().header("Accept");
  const bool html = accepted && accepted->find("text/html") != std::string::npos;
  HttpResponse page;
  page.headers = {{"Content-Type", html ? "text/html; charset=utf-8" : "text/plain; charset=utf-8"},
                  {"Cache-Control", "no-store"}};
  page.body = html ? html_listing(volume_, target_.path, entries) : text_listing(entries);
  send(std::move(page));
}

void ArchiveWebWork::propfind() {
  const auto depth = parse_depth(exchange_.request().header("Depth"), 1);
  if (!depth) return refuse(403, "Depth must be 0 or 1 here");
  ListingEntry self{target_.path, true};
  std::vector<ListingEntry> entries;
  bool found = target_.path.empty() && *depth == 0;
  if (!found && !target_.is_folder && !target_.path.empty()) {
    const auto file = store_.find(target_.path, question());
    if (!file) return refuse(file.error());
    if ((found = file->has_value())) self = {target_.path, false, (*file)->size, (*file)->checksum};
  }
  if (!found) {
    const auto files = store_.list(target_.path, question());
    if (!files) return refuse(files.error());
    if (files->empty() && !target_.path.empty())
      return refuse(404, "volume '" + volume_ + "' has no file or folder '" + target_.path + "'");
    if (*depth == 1) entries = entries_of(target_.path, *files);
  }
  HttpResponse response;
  response.status = 207;
  response.headers = {{"Content-Type", "application/xml; charset=utf-8"}};
  response.body = multistatus(self, entries);
  send(std::move(response));
}

}  // namespace confd::services
