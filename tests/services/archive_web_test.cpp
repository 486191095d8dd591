// ArchiveWeb with a store in memory and an exchange without a network.
#include "services/archive_web.h"

#include <catch2/catch.hpp>
#include <map>

#include "services/archive_listing.h"

namespace confd::services {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using storage::ArchiveFile;
using storage::ArchiveLimits;

class MemoryStore : public storage::ArchiveStore {
 public:
  std::map<std::string, std::string> files;
  std::optional<Error> broken;         // what every call says
  std::size_t piece = 3;               // bytes at once
  std::optional<std::size_t> cut_get;  // bytes after which a get fails

  Result<std::uint64_t> put(const std::string& path, const Source& source, std::optional<std::uint64_t> size,
                            const ArchiveLimits&) override {
    if (broken) return *broken;
    std::string content;
    for (;;) {
      auto more = source(piece);
      if (!more) return more.error();
      if (more->empty()) break;
      content += *more;
    }
    if (size && *size != content.size()) return Error{Code::bad_parameter, "another size"};
    files[path] = content;
    return content.size();
  }
  Result<std::uint64_t> get(const std::string& path, std::uint64_t offset, const Sink& sink,
                            const ArchiveLimits& limits) override {
    if (!limits.checksum.empty() && limits.checksum != sum(files.at(path)))
      return Error{Code::conflict, "another one"};
    const std::string content = files.at(path).substr(offset);
    for (std::size_t at = 0; at < content.size(); at += piece) {
      if (cut_get && at >= *cut_get) return Error{Code::io_error, "the disk is gone"};
      if (Status done = sink(std::string_view(content).substr(at, piece)); !done) return done.error();
    }
    if (cut_get) return Error{Code::io_error, "wrong checksum"};
    return content.size();
  }
  Result<std::vector<ArchiveFile>> list(const std::string& folder, const ArchiveLimits&) override {
    if (broken) return *broken;
    std::vector<ArchiveFile> found;
    for (const auto& [path, content] : files)
      if (folder.empty() || path.compare(0, folder.size() + 1, folder + "/") == 0)
        found.push_back({path, content.size()});
    return found;
  }
  Result<std::optional<ArchiveFile>> find(const std::string& path, const ArchiveLimits&) override {
    if (broken) return *broken;
    const auto found = files.find(path);
    if (found == files.end()) return std::optional<ArchiveFile>();
    return std::optional(ArchiveFile{path, found->second.size(), sum(found->second)});
  }
  Status remove(const std::string& path, const ArchiveLimits&) override {
    if (broken) return *broken;
    files.erase(path);
    return {};
  }
  static std::string sum(const std::string& content) { return "sum-of-" + content.substr(0, 8); }
};

class Exchange : public rpc::StreamExchange {
 public:
  rpc::HttpRequest head;
  std::string body;
  bool chunked = false;
  std::optional<std::size_t> cut_after;  // bytes of the body that come before the client is gone

  unsigned status = 0;
  rpc::Headers headers;
  std::string answer;
  std::uint64_t due = 0;

  const rpc::HttpRequest& request() const override { return head; }
  std::optional<std::uint64_t> content_length() const override {
    if (chunked) return std::nullopt;
    return body.size();
  }
  Result<std::string> read(std::size_t most) override {
    if (cut_after && at_ >= *cut_after) return Error{Code::io_error, "the client left"};
    std::string piece = body.substr(at_, most);
    at_ += piece.size();
    return piece;
  }
  Status send(rpc::HttpResponse response) override {
    REQUIRE(status == 0);
    status = response.status;
    headers = response.headers;
    answer = response.body;
    return {};
  }
  Status begin(const rpc::HttpResponse& response, std::uint64_t size) override {
    REQUIRE(status == 0);
    status = response.status;
    headers = response.headers;
    due = size;
    return {};
  }
  Status write(std::string_view bytes) override {
    answer += bytes;
    return {};
  }
  std::stop_token stop() const override { return {}; }

  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (key == name) return value;
    return {};
  }

 private:
  std::size_t at_ = 0;
};

Exchange ask(MemoryStore& store, const std::string& method, const std::string& target,
             const rpc::Headers& headers = {}, const std::string& body = {}) {
  Exchange exchange;
  exchange.head.method = method;
  exchange.head.target = target;
  exchange.head.headers = headers;
  exchange.head.headers.emplace_back("Host", "here");
  exchange.body = body;
  answer_archive_request(exchange, store, "backups");
  return exchange;
}

TEST_CASE("files are written, read, replaced and removed") {
  MemoryStore store;
  CHECK(ask(store, "PUT", "/a/b", {}, "content").status == 201);
  CHECK(ask(store, "PUT", "/a/b", {}, "new content").status == 204);
  const Exchange got = ask(store, "GET", "/a/b");
  CHECK(got.status == 200);
  CHECK(got.due == 11);
  CHECK(got.answer == "new content");
  CHECK(got.header("ETag") == "\"sum-of-new cont\"");
  CHECK(ask(store, "HEAD", "/a/b").due == 11);
  CHECK(ask(store, "DELETE", "/a/b").status == 204);
  CHECK(ask(store, "GET", "/a/b").status == 404);
  CHECK(ask(store, "DELETE", "/a/b").status == 404);
  CHECK(ask(store, "PUT", "/empty").status == 201);
  CHECK(ask(store, "GET", "/empty").status == 200);
}

TEST_CASE("a range gives its bytes and no more") {
  MemoryStore store;
  store.files["f"] = "0123456789";
  const Exchange part = ask(store, "GET", "/f", {{"Range", "bytes=2-6"}});
  CHECK(part.status == 206);
  CHECK(part.answer == "23456");
  CHECK(part.header("Content-Range") == "bytes 2-6/10");
  CHECK(ask(store, "GET", "/f", {{"Range", "bytes=7-"}}).answer == "789");
  CHECK(ask(store, "GET", "/f", {{"Range", "bytes=10-"}}).status == 416);
  CHECK(ask(store, "GET", "/f", {{"Range", "bytes=0-1"}, {"If-Range", "\"other\""}}).status == 200);
  CHECK(ask(store, "GET", "/f", {{"If-None-Match", "\"sum-of-01234567\""}}).status == 304);
  CHECK(ask(store, "GET", "/f", {{"If-Match", "\"other\""}}).status == 412);
}

TEST_CASE("a file that turns out to be damaged is never whole for the client") {
  MemoryStore store;
  store.files["f"] = "0123456789";
  for (const std::size_t after : {0u, 3u, 100u}) {
    store.cut_get = after;
    const Exchange got = ask(store, "GET", "/f");
    if (after == 0) {
      CHECK(got.status == 500);
    } else {
      CHECK(got.due == 10);
      CHECK(got.answer.size() < 10);
    }
  }
}

TEST_CASE("a broken upload changes nothing") {
  MemoryStore store;
  store.files["f"] = "old";
  for (const bool chunked : {false, true}) {
    Exchange exchange;
    exchange.head.method = "PUT";
    exchange.head.target = "/f";
    exchange.body = "a new one, but not all of it";
    exchange.chunked = chunked;
    exchange.cut_after = 9;
    answer_archive_request(exchange, store, "backups");
    CHECK(store.files["f"] == "old");
  }
}

TEST_CASE("conditions of a PUT") {
  MemoryStore store;
  store.files["f"] = "old";
  CHECK(ask(store, "PUT", "/f", {{"If-None-Match", "*"}}, "new").status == 412);
  CHECK(ask(store, "PUT", "/f", {{"If-Match", "\"other\""}}, "new").status == 412);
  CHECK(ask(store, "PUT", "/g", {{"If-Match", "*"}}, "new").status == 412);
  CHECK(ask(store, "PUT", "/f", {{"Content-Range", "bytes 0-2/9"}}, "new").status == 400);
  CHECK(store.files["f"] == "old");
  CHECK(ask(store, "PUT", "/f", {{"If-Match", "\"sum-of-old\""}}, "new").status == 204);
  CHECK(ask(store, "PUT", "/f/", {}, "new").status == 405);
  CHECK(ask(store, "PUT", "/f/.confd-folder", {}, "new").status == 403);
}

TEST_CASE("errors of the store are statuses that tell what to do") {
  MemoryStore store;
  const std::pair<Error, unsigned> cases[] = {{{Code::busy, "volume 'b' is full: 12 bytes free"}, 507},
                                              {{Code::busy, "too many files are on their way"}, 503},
                                              {{Code::wrong_state, "no copy is in sync"}, 503},
                                              {{Code::exists, "is a folder"}, 409},
                                              {{Code::timeout, "too long"}, 504},
                                              {{Code::io_error, "broken"}, 500}};
  for (const auto& [error, status] : cases) {
    store.broken = error;
    const Exchange answer = ask(store, "PUT", "/f", {}, "x");
    CHECK(answer.status == status);
    CHECK(answer.answer == error.text + "\n");
    CHECK(answer.header("Retry-After").empty() == (status != 503));
  }
}

TEST_CASE("folders are what paths imply, or made on purpose") {
  MemoryStore store;
  store.files = {{"d/a", "1"}, {"d/b-c", "22"}, {"d/b/1", "3"}, {"d/b/2", "4"}, {"e", "5"}};
  CHECK(ask(store, "GET", "/d").answer == "1\ta\n-\tb/\n2\tb-c\n");
  CHECK(ask(store, "GET", "/", {{"Accept", "text/html,*/*"}}).answer.find("<a href=\"/d/\">d/</a>") !=
        std::string::npos);
  CHECK(ask(store, "MKCOL", "/d").status == 405);
  CHECK(ask(store, "MKCOL", "/e").status == 405);
  CHECK(ask(store, "MKCOL", "/new").status == 201);
  CHECK(ask(store, "GET", "/new").answer.empty());
  CHECK(ask(store, "PROPFIND", "/new", {{"Depth", "1"}}).status == 207);
  CHECK(ask(store, "DELETE", "/new").status == 204);
  CHECK(ask(store, "GET", "/new").status == 404);
  CHECK(ask(store, "PUT", "/d", {}, "x").status == 409);
  CHECK(ask(store, "DELETE", "/d/").status == 204);
  CHECK(store.files.size() == 1);
  CHECK(ask(store, "DELETE", "/").status == 403);
}

TEST_CASE("PROPFIND tells names, kinds and sizes") {
  MemoryStore store;
  store.files = {{"d/a&b", "123"}, {"d/x/y", ""}};
  const std::string one = ask(store, "PROPFIND", "/d", {{"Depth", "1"}}).answer;
  CHECK(one ==
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n"
        "<D:response><D:href>/d/</D:href><D:propstat><D:prop><D:displayname>d</D:displayname>"
        "<D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status>"
        "</D:propstat></D:response>\n"
        "<D:response><D:href>/d/a%26b</D:href><D:propstat><D:prop><D:displayname>a&amp;b</D:displayname>"
        "<D:resourcetype/><D:getcontentlength>3</D:getcontentlength>"
        "<D:getcontenttype>application/octet-stream</D:getcontenttype></D:prop>"
        "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n"
        "<D:response><D:href>/d/x/</D:href><D:propstat><D:prop><D:displayname>x</D:displayname>"
        "<D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status>"
        "</D:propstat></D:response>\n</D:multistatus>\n");
  CHECK(ask(store, "PROPFIND", "/d", {{"Depth", "infinity"}}).status == 403);
  CHECK(ask(store, "PROPFIND", "/none", {{"Depth", "0"}}).status == 404);
  CHECK(
      ask(store, "PROPFIND", "/d/a%26b", {{"Depth", "0"}}).answer.find("<D:getetag>&quot;sum-of-123&quot;") !=
      std::string::npos);
}

TEST_CASE("copies and moves") {
  MemoryStore store;
  store.files = {{"a", "content of a"}, {"d/1", "1"}, {"d/x/2", "2"}, {"e/f", "3"}};
  CHECK(ask(store, "COPY", "/a", {{"Destination", "/b"}}).status == 201);
  CHECK(store.files["b"] == "content of a");
  CHECK(ask(store, "MOVE", "/a", {{"Destination", "http://here/b"}, {"Overwrite", "F"}}).status == 412);
  CHECK(ask(store, "MOVE", "/a", {{"Destination", "http://here/b"}}).status == 204);
  CHECK(!store.files.contains("a"));
  CHECK(ask(store, "MOVE", "/d", {{"Destination", "/e"}}).status == 409);
  CHECK(ask(store, "MOVE", "/d", {{"Destination", "/d/x/y"}}).status == 403);
  CHECK(ask(store, "MOVE", "/d/", {{"Destination", "/g/"}}).status == 201);
  CHECK(store.files["g/x/2"] == "2");
  CHECK(!store.files.contains("d/1"));
  CHECK(ask(store, "MOVE", "/none", {{"Destination", "/x"}}).status == 404);
  CHECK(ask(store, "MOVE", "/b").status == 400);
  CHECK(ask(store, "MOVE", "/b", {{"Destination", "http://there/x"}}).status == 400);
}

TEST_CASE("each method has its right") {
  for (const char* method : {"OPTIONS", "GET", "HEAD", "PROPFIND"})
    CHECK(right_for(method) == ArchiveRight::read);
  for (const char* method : {"PUT", "DELETE", "MKCOL", "COPY", "MOVE"})
    CHECK(right_for(method) == ArchiveRight::write);
  for (const char* method : {"POST", "PATCH", "LOCK", "get", ""}) CHECK(!right_for(method));
}

}  // namespace
}  // namespace confd::services
