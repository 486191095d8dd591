#include "storage/rclone_remote.h"

#include <algorithm>

#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;

namespace {

using Settings = std::vector<RcloneSetting>;

std::string origin(const RemoteUrl& url, const std::string& host) {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return url.scheme + "://" + (is_ipv6 ? "[" + host + "]" : host) +
         (url.port == 0 ? "" : ":" + std::to_string(url.port));
}

std::string joined(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() ? a + b : a + "/" + b;
}

void add(Settings& settings, const std::string& name, const std::string& value) {
  if (!value.empty()) settings.push_back({name, value});
}

void add_password(Settings& settings, const std::string& name, const std::string& value) {
  if (!value.empty()) settings.push_back({name, value, true});
}

Error wants(const RemoteVolume& volume, const std::string& what) {
  return {Code::bad_parameter,
          "a volume of type " + std::string(remote_type_name(volume.type)) + " needs " + what};
}

Settings s3_keys(const RemoteVolume& volume) {
  Settings settings;
  add(settings, "access_key_id", volume.username);
  add(settings, "secret_access_key", volume.password);
  return settings;
}

// The bucket is there or not: keys that may write into it often may not make it, and must not by mistake.
const RcloneSetting kNoBucketIsMade = {"no_check_bucket", "true"};

Settings s3(const RemoteVolume& volume, const RemoteUrl& url, const RemoteOptions& options) {
  Settings settings = {{"type", "s3"}, {"provider", url.at_home ? "AWS" : "Other"}};
  // Without keys: those of the machine's role, or of the usual files and variables; another server than AWS
  // has no such thing and is asked without a signature.
  if (volume.username.empty() && url.at_home) add(settings, "env_auth", "true");
  for (const RcloneSetting& key : s3_keys(volume)) settings.push_back(key);
  add(settings, "region", url.region);
  const std::string& host = url.hosts.front();
  if (!options.endpoint.empty() && (url.at_home || host.find(url.bucket + ".") == 0))
    add(settings, "endpoint", options.endpoint);
  else if (!url.at_home)
    add(settings, "endpoint", origin(url, host));
  else if (url.scheme == "http")
    add(settings, "endpoint", "http://s3." + (url.region.empty() ? "" : url.region + ".") + "amazonaws.com");
  settings.push_back(kNoBucketIsMade);
  return settings;
}

// Google's own protocol wants a service account, or the role of the machine; a pair of HMAC keys is for the
// S3 protocol that Google speaks as well.
Settings gs(const RemoteVolume& volume, const RemoteUrl& url) {
  const std::string home = "https://storage.googleapis.com";
  const bool has_account = volume.password.find("\"private_key\"") != std::string::npos;
  if (!has_account && !volume.username.empty()) {
    Settings settings = {{"type", "s3"}, {"provider", "Other"}};
    for (const RcloneSetting& key : s3_keys(volume)) settings.push_back(key);
    add(settings, "endpoint", url.at_home ? home : origin(url, url.hosts.front()));
    settings.push_back(kNoBucketIsMade);
    return settings;
  }
  Settings settings = {{"type", "google cloud storage"}, {"bucket_policy_only", "true"}};
  if (has_account) {
    // Line breaks of JSON mean nothing outside its strings, and can't be inside.
    std::string account = volume.password;
    std::replace_if(
        account.begin(), account.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    add(settings, "service_account_credentials", account);
  } else if (!url.at_home) {
    add(settings, "anonymous", "true");
  }
  if (!url.at_home) add(settings, "endpoint", origin(url, url.hosts.front()) + "/storage/v1/");
  settings.push_back(kNoBucketIsMade);
  return settings;
}

Result<Settings> azure(const RemoteVolume& volume, const RemoteUrl& url) {
  if (url.scheme != "https") return wants(volume, "https");
  Settings settings = {{"type", "azureblob"}};
  add(settings, "account", volume.username.empty() ? url.account : volume.username);
  add(settings, "key", volume.password);
  if (volume.password.empty()) add(settings, "use_msi", "true");
  const std::string host = url.hosts.front();
  if (!url.at_home)
    add(settings, "endpoint",
        host.substr(host.find('.') + 1) + (url.port == 0 ? "" : ":" + std::to_string(url.port)));
  return settings;
}

Settings ftp(const RemoteVolume& volume, const RemoteUrl& url, const RemoteOptions& options,
             const std::string& host) {
  const bool implicit_tls = url.scheme == "ftps" && !options.force_tls;
  const bool anonymous = volume.username.empty();
  Settings settings = {{"type", "ftp"}, {"host", host}};
  const int own_port = implicit_tls ? 990 : 21;
  add(settings, "port", std::to_string(url.port == 0 ? own_port : url.port));
  add(settings, "user", anonymous ? "anonymous" : volume.username);
  add_password(settings, "pass", anonymous ? "anonymous" : volume.password);
  if (implicit_tls) add(settings, "tls", "true");
  if (options.force_tls) add(settings, "explicit_tls", "true");
  if (options.no_verify_peer) add(settings, "no_check_certificate", "true");
  // Asked by MLSD for a folder that is not there, some servers answer what rclone takes for a failure.
  add(settings, "disable_mlsd", "true");
  // Servers that sum up a file after its last byte may take a while; a silent one is given up all the same.
  add(settings, "close_timeout", std::to_string(options.timeout.count()) + "s");
  return settings;
}

Result<Settings> sftp(const RemoteVolume& volume, const RemoteUrl& url, const RemoteOptions& options,
                      const std::string& known_hosts) {
  if (volume.username.empty()) return wants(volume, "a username");
  Settings settings = {{"type", "sftp"}, {"host", url.hosts.front()}};
  add(settings, "port", std::to_string(url.port == 0 ? 22 : url.port));
  add(settings, "user", volume.username);
  if (volume.password.find("PRIVATE KEY-----") != std::string::npos) {
    std::string key;
    for (const std::string& line : base::split(volume.password, '\n'))
      if (!base::trim(line).empty()) key += std::string(base::trim(line)) + "\\n";
    add(settings, "key_pem", key);
  } else {
    add_password(settings, "pass", volume.password);
  }
  if (!options.no_verify_peer) add(settings, "known_hosts_file", known_hosts);
  // Files only: an archive's server need not have a shell, and no time stamps are set.
  for (const auto& [name, value] : {std::pair("shell_type", "none"), std::pair("disable_hashcheck", "true"),
                                    std::pair("set_modtime", "false")})
    add(settings, name, value);
  return settings;
}

Settings smb(const RemoteVolume& volume, const RemoteUrl& url) {
  Settings settings = {{"type", "smb"}, {"host", url.hosts.front()}};
  add(settings, "port", std::to_string(url.port == 0 ? 445 : url.port));
  const std::size_t slash = volume.username.find('\\');
  if (slash != std::string::npos) add(settings, "domain", volume.username.substr(0, slash));
  const std::string user = slash == std::string::npos ? volume.username : volume.username.substr(slash + 1);
  add(settings, "user", user.empty() ? "guest" : user);
  add_password(settings, "pass", volume.password);
  return settings;
}

Settings webdav(const RemoteVolume& volume, const RemoteUrl& url, const RemoteOptions& options) {
  Settings settings = {{"type", "webdav"}, {"url", origin(url, url.hosts.front())}, {"vendor", "other"}};
  add(settings, "user", volume.username);
  add_password(settings, "pass", volume.password);
  add(settings, "bearer_token", options.delegation_token);
  return settings;
}

Settings hdfs(const RemoteVolume& volume, const RemoteUrl& url, const RemoteOptions& options) {
  Settings settings = {{"type", "hdfs"}};
  add(settings, "namenode", url.hosts.front() + ":" + std::to_string(url.port == 0 ? 8020 : url.port));
  add(settings, "username", options.user.empty() ? volume.username : options.user);
  return settings;
}

bool speaks_http(RemoteType type) {
  return type == RemoteType::s3 || type == RemoteType::gs || type == RemoteType::azure ||
         type == RemoteType::webdav;
}

base::Status check(const RemoteVolume& volume, const RemoteOptions& options) {
  if (!options.proxy.empty() && !speaks_http(volume.type))
    return Error{Code::unsupported, "a volume of type " + std::string(remote_type_name(volume.type)) +
                                        " can't be reached by a proxy: rclone takes one for HTTP only"};
  if (volume.username.empty() && !volume.password.empty() && volume.type != RemoteType::azure &&
      volume.type != RemoteType::gs)
    return wants(volume, "a username where there is a password");
  if ((volume.type == RemoteType::s3) && !volume.username.empty() && volume.password.empty())
    return wants(volume, "the secret key to the access key");
  return {};
}

}  // namespace

Result<RcloneRemote> rclone_remote(const RemoteVolume& volume, const std::string& known_hosts) {
  const auto options = parse_remote_options(volume.options);
  if (!options) return options.error();
  auto parsed = parse_remote_url(volume.type, volume.url, options->endpoint);
  if (!parsed) return parsed.error();
  RemoteUrl url = std::move(*parsed);
  if (base::Status fine = check(volume, *options); !fine) return fine.error();
  if (!options->scheme.empty() && speaks_http(volume.type)) url.scheme = options->scheme;

  RcloneRemote remote;
  remote.timeout = options->timeout;
  remote.transfer_timeout = options->transfer_timeout;
  remote.resumes = !options->no_resume;
  remote.root = joined(url.bucket, url.folder);
  Result<Settings> one = Settings();
  switch (volume.type) {
    case RemoteType::s3:
      one = s3(volume, url, *options);
      break;
    case RemoteType::gs:
      one = gs(volume, url);
      break;
    case RemoteType::azure:
      one = azure(volume, url);
      break;
    case RemoteType::ftp:
      for (const std::string& host : url.hosts) remote.sections.push_back(ftp(volume, url, *options, host));
      break;
    case RemoteType::sftp:
      one = sftp(volume, url, *options, known_hosts);
      remote.root = "/" + remote.root;
      break;
    case RemoteType::smb:
      one = smb(volume, url);
      break;
    case RemoteType::webdav:
      one = webdav(volume, url, *options);
      break;
    case RemoteType::webhdfs:
      one = hdfs(volume, url, *options);
      remote.root = "/" + remote.root;
      break;
    case RemoteType::file:
      one = Settings{{"type", "local"}};
      remote.root = "/" + remote.root;
      remote.wants_root = true;
      break;
  }
  if (!one) return one.error();
  if (remote.sections.empty()) remote.sections.push_back(std::move(*one));
  remote.whole_objects =
      volume.type == RemoteType::s3 || volume.type == RemoteType::gs || volume.type == RemoteType::azure;
  if (options->no_verify_peer) remote.flags.emplace_back("--no-check-certificate");
  if (options->verbose) remote.flags.emplace_back("--log-level=INFO");
  // Credentials of the proxy, if any, are no argument that others can read.
  if (!options->proxy.empty())
    for (const char* name : {"HTTP_PROXY=", "HTTPS_PROXY="})
      remote.environment.push_back(name + options->proxy);
  if (options->early_tls) remote.environment.emplace_back("GODEBUG=tls10default=1");
  return remote;
}

Result<std::string> rclone_section(std::string_view name, const Settings& settings) {
  std::string text = "[" + std::string(name) + "]\n";
  for (const RcloneSetting& setting : settings) {
    const std::string& value = setting.value;
    const auto refuse = [&](const std::string& why) {
      return Error{Code::bad_parameter, "rclone's setting '" + setting.name + "' can't hold " + why};
    };
    if (!base::is_valid_utf8(value)) return refuse("what is no UTF-8");
    if (std::any_of(value.begin(), value.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
      return refuse("control characters or line breaks");
    // It would be replaced by another setting's value, for which there is no way around.
    if (value.find("%(") != std::string::npos) return refuse("'%('");
    const bool quoted = value.starts_with('`') || value.starts_with("\"\"\"") || base::trim(value) != value;
    text += setting.name + " = " + (quoted ? "`" + value + "`" : value) + "\n";
  }
  return text;
}

}  // namespace confd::storage
