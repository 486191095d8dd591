#include "storage/remote_url.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::pair<RemoteType, std::string_view> kTypes[] = {
    {RemoteType::smb, "smb"},         {RemoteType::ftp, "ftp"},       {RemoteType::sftp, "sftp"},
    {RemoteType::webhdfs, "webhdfs"}, {RemoteType::webdav, "webdav"}, {RemoteType::file, "file"},
    {RemoteType::s3, "s3"},           {RemoteType::gs, "gs"},         {RemoteType::azure, "azure"}};

constexpr std::size_t kMostHosts = 64;

Error bad(const std::string& why) {
  return {Code::bad_parameter, "the URL of the volume " + why};
}

std::vector<std::string_view> schemes_of(RemoteType type) {
  switch (type) {
    case RemoteType::smb:
      return {"smb"};
    case RemoteType::ftp:
      return {"ftp", "ftps"};
    case RemoteType::sftp:
      return {"sftp"};
    case RemoteType::webhdfs:
      return {"hdfs"};
    case RemoteType::file:
      return {"file"};
    default:
      return {"https", "http"};
  }
}

Result<std::string> percent_decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    const auto digit = [&](std::size_t at) -> int {
      if (at >= text.size()) return -1;
      const char c = static_cast<char>(std::tolower(static_cast<unsigned char>(text[at])));
      return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    const int high = digit(i + 1), low = digit(i + 2);
    if (high < 0 || low < 0) return bad("has a '%' that begins no two hex digits; write %25 for '%'");
    plain += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (!base::is_valid_utf8(plain)) return bad("must be UTF-8");
  if (std::any_of(plain.begin(), plain.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    return bad("must not hold control characters");
  return plain;
}

// "/a//b/" -> "a/b"
Result<std::string> clean_folder(std::string_view path) {
  auto plain = percent_decoded(path);
  if (!plain) return plain.error();
  std::vector<std::string> parts;
  for (std::string& part : base::split(*plain, '/')) {
    if (part.empty()) continue;
    if (part == "." || part == "..") return bad("must not hold '.' or '..' as a part of its path");
    parts.push_back(std::move(part));
  }
  return base::join(parts, "/");
}

bool is_host_name(std::string_view host) {
  return !host.empty() && host.size() <= 253 && host.front() != '-' &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_';
         });
}

// "10.0.0.1..5" -> its five addresses; nothing: it is no range.
std::optional<std::vector<std::string>> range(std::string_view host) {
  const std::size_t dots = host.find("..");
  if (dots == std::string_view::npos) return std::nullopt;
  const std::string_view first = host.substr(0, dots);
  const std::size_t last_dot = first.rfind('.');
  if (last_dot == std::string_view::npos) return std::vector<std::string>();
  const auto from = base::parse_int(first.substr(last_dot + 1));
  const auto to = base::parse_int(host.substr(dots + 2));
  if (!from || !to || *from < 0 || *to > 255 || *from > *to) return std::vector<std::string>();
  std::vector<std::string> hosts;
  for (std::int64_t each = *from; each <= *to; ++each)
    hosts.push_back(std::string(first.substr(0, last_dot + 1)) + std::to_string(each));
  return hosts;
}

base::Status take_hosts(RemoteUrl& url, std::string_view list) {
  for (const std::string& item : base::split(list, ',')) {
    const std::string_view host = base::trim(item);
    if (const auto several = range(host)) {
      if (several->empty()) return bad("has a range of hosts that is none; 10.0.0.1..5 is one");
      url.hosts.insert(url.hosts.end(), several->begin(), several->end());
    } else if (!is_host_name(host)) {
      return bad("must name a host, as in scheme://host/folder/");
    } else {
      url.hosts.emplace_back(host);
    }
  }
  if (url.hosts.size() > kMostHosts) return bad("must not name more than 64 hosts");
  return {};
}

base::Status take_authority(RemoteUrl& url, std::string_view authority, bool several) {
  if (authority.find('@') != std::string_view::npos)
    return bad("must not hold credentials; give them as username and password");
  std::string_view port;
  if (!authority.empty() && authority.front() == '[') {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad("has a '[' without ']'");
    const std::string address(authority.substr(1, close - 1));
    if (address.empty() || address.find_first_not_of("0123456789abcdefABCDEF:.") != std::string::npos)
      return bad("has no IPv6 address between '[' and ']'");
    url.hosts.push_back(address);
    const std::string_view rest = authority.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return bad("has something else than a port after ']'");
    port = rest.empty() ? rest : rest.substr(1);
    if (!rest.empty() && port.empty()) return bad("ends with ':' instead of a port");
  } else {
    const std::size_t colon = authority.rfind(':');
    if (colon != std::string_view::npos) {
      port = authority.substr(colon + 1);
      if (port.empty()) return bad("has a ':' without a port");
    }
    if (base::Status taken = take_hosts(url, authority.substr(0, colon)); !taken) return taken;
  }
  if (!several && url.hosts.size() != 1) return bad("must name one host; only ftp takes several");
  if (port.empty()) return {};
  const auto number = base::parse_int(port);
  if (!number || *number < 1 || *number > 65535) return bad("has a port that is not between 1 and 65535");
  url.port = static_cast<int>(*number);
  return {};
}

// The first part of the folder becomes the bucket.
void split_bucket(RemoteUrl& url) {
  const std::size_t slash = url.folder.find('/');
  url.bucket = url.folder.substr(0, slash);
  url.folder = slash == std::string::npos ? std::string() : url.folder.substr(slash + 1);
}

base::Status wants_bucket(const RemoteUrl& url, const std::string& what) {
  if (url.bucket.empty()) return bad("names no " + what);
  return {};
}

// "bucket.s3-eu-west-1.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com", "s3.amazonaws.com", ...
// False: not one of AWS.
bool take_aws(RemoteUrl& url) {
  const std::string host = base::to_lower(url.hosts.front());
  std::string_view suffix;
  for (const std::string_view each : {".amazonaws.com", ".amazonaws.com.cn"})
    if (host.ends_with(each)) suffix = each;
  if (suffix.empty()) return false;
  const std::string name = host.substr(0, host.size() - suffix.size());
  // The last "s3" that begins a label and is followed by its end, '-' or '.'.
  std::size_t at = std::string::npos;
  for (std::size_t i = 0; i + 2 <= name.size(); ++i)
    if (name.compare(i, 2, "s3") == 0 && (i == 0 || name[i - 1] == '.') &&
        (i + 2 == name.size() || name[i + 2] == '-' || name[i + 2] == '.'))
      at = i;
  if (at == std::string::npos) return false;
  url.region = name.size() > at + 3 ? name.substr(at + 3) : std::string();
  constexpr std::string_view kBothVersions = "dualstack.";  // of IP
  if (url.region.starts_with(kBothVersions)) url.region.erase(0, kBothVersions.size());
  url.at_home = true;
  if (at == 0) {
    split_bucket(url);
  } else {
    // In its own case: what is no bucket name of today may be one of yore.
    url.bucket = url.hosts.front().substr(0, at - 1);
  }
  return true;
}

// The bucket is what stands before the endpoint's host. False: it does not end like that.
bool take_before(RemoteUrl& url, std::string_view endpoint_host) {
  const std::string host = url.hosts.front();
  const std::string tail = "." + base::to_lower(endpoint_host);
  if (tail.size() == 1 || !base::to_lower(host).ends_with(tail)) return false;
  url.bucket = host.substr(0, host.size() - tail.size());
  return true;
}

// "https://host:9000/x" -> "host"
std::string_view host_of(std::string_view endpoint) {
  if (const std::size_t scheme = endpoint.find("://"); scheme != std::string_view::npos)
    endpoint.remove_prefix(scheme + 3);
  return endpoint.substr(0, endpoint.find_first_of(":/"));
}

base::Status take_object_store(RemoteType type, RemoteUrl& url, std::string_view endpoint) {
  if (type == RemoteType::azure) {
    split_bucket(url);
    const std::string host = base::to_lower(url.hosts.front());
    const std::size_t dot = host.find('.');
    if (dot == std::string::npos || dot == 0)
      return bad("must begin with the account: https://ACCOUNT.blob.core.windows.net/CONTAINER");
    url.account = host.substr(0, dot);
    url.at_home = host.substr(dot) == ".blob.core.windows.net";
    return wants_bucket(url, "container: https://ACCOUNT.blob.core.windows.net/CONTAINER");
  }
  constexpr std::string_view kGoogle = "storage.googleapis.com";
  const std::string host = base::to_lower(url.hosts.front());
  if (type == RemoteType::gs && (host == kGoogle || take_before(url, kGoogle))) {
    url.at_home = true;
    if (host == kGoogle) split_bucket(url);
  } else if (!(type == RemoteType::s3 && take_aws(url)) && !take_before(url, host_of(endpoint))) {
    split_bucket(url);
  }
  return wants_bucket(url, "bucket: https://ENDPOINT/BUCKET, or https://BUCKET." +
                               std::string(type == RemoteType::gs ? kGoogle : "s3.REGION.amazonaws.com"));
}

}  // namespace

std::string_view remote_type_name(RemoteType type) {
  for (const auto& [each, name] : kTypes)
    if (each == type) return name;
  return "";
}

Result<RemoteType> parse_remote_type(std::string_view name) {
  std::vector<std::string> names;
  for (const auto& [type, each] : kTypes) {
    if (each == name) return type;
    names.emplace_back(each);
  }
  return Error{Code::bad_parameter, "'" + std::string(name) + "' is no type of a remote volume; there are " +
                                        base::join(names, ", ")};
}

Result<RemoteUrl> parse_remote_url(RemoteType type, std::string_view text, std::string_view endpoint) {
  text = base::trim(text);
  if (text.empty()) return bad("must not be empty");
  if (text.size() > 2048) return bad("must not be longer than 2048 bytes");
  RemoteUrl url;
  if (type == RemoteType::file && text.front() == '/') {
    url.scheme = "file";
  } else {
    const std::size_t end = text.find("://");
    if (end == std::string_view::npos) return bad("must begin with a scheme, as in https://host/folder/");
    url.scheme = base::to_lower(text.substr(0, end));
    text.remove_prefix(end + 3);
  }
  const auto schemes = schemes_of(type);
  if (type == RemoteType::webhdfs && (url.scheme == "https" || url.scheme == "http"))
    return Error{
        Code::unsupported,
        "WebHDFS can't be used: rclone speaks Hadoop's own protocol only; give the name node's address "
        "(hdfs://NAMENODE:8020/DIR), or use the gateway's WebDAV or S3 with vol_type webdav or s3"};
  if (std::find(schemes.begin(), schemes.end(), url.scheme) == schemes.end())
    return bad("must begin with " + base::join({schemes.begin(), schemes.end()}, ":// or ") +
               ":// for a volume of type " + std::string(remote_type_name(type)));
  if (text.find_first_of("?#") != std::string_view::npos)
    return bad("must not hold '?' or '#'; write %3F and %23 where a folder's name has them");
  if (type == RemoteType::smb) text.remove_prefix(std::min(text.find_first_not_of('/'), text.size()));
  const std::size_t slash = std::min(text.find('/'), text.size());
  if (type == RemoteType::file) {
    if (slash != 0) return bad("must not name a host: a volume of type file is a folder, file:///folder/");
  } else if (base::Status taken = take_authority(url, text.substr(0, slash), type == RemoteType::ftp);
             !taken) {
    return taken.error();
  }
  auto folder = clean_folder(text.substr(slash));
  if (!folder) return folder.error();
  url.folder = std::move(*folder);
  base::Status whole;
  switch (type) {
    case RemoteType::s3:
    case RemoteType::gs:
    case RemoteType::azure:
      whole = take_object_store(type, url, endpoint);
      break;
    case RemoteType::smb:
      split_bucket(url);
      whole = wants_bucket(url, "share: smb://HOST/SHARE/FOLDER");
      break;
    case RemoteType::file:
      if (url.folder.empty()) whole = bad("must name a folder below /");
      break;
    default:
      break;
  }
  if (!whole) return whole.error();
  return url;
}

}  // namespace confd::storage
