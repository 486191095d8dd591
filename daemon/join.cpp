#include "daemon/join.h"

#include <algorithm>
#include <istream>
#include <optional>
#include <ostream>
#include <utility>

#include "auth/cluster_authority.h"
#include "auth/join_proof.h"
#include "base/json.h"
#include "base/text.h"
#include "daemon/cluster_identity.h"
#include "daemon/join_routes.h"
#include "daemon/new_root.h"
#include "daemon/root.h"
#include "exaconf/config.h"
#include "rpc/http_client.h"
#include "rpc/https_client.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::seconds kLocalPatience{10};
constexpr int kMostHops = 3;  // from a node that is not master to the one that is
constexpr int kDefaultPort = 20003;
constexpr std::size_t kLongestAnswer = 16u << 20;

struct Address {
  std::string host;
  std::uint16_t port = kDefaultPort;
  std::string text() const {
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  }
};

// "10.0.0.11", "10.0.0.11:20003", "[::1]:20003", and with https:// before it and a path behind it.
Result<Address> parse_address(const std::string& text) {
  std::string rest = text.starts_with("https://") ? text.substr(8) : text;
  rest = rest.substr(0, rest.find('/'));
  Address address;
  std::string port;
  if (rest.starts_with("[") && rest.find(']') != std::string::npos) {
    const std::size_t end = rest.find(']');
    address.host = rest.substr(1, end - 1);
    if (end + 1 < rest.size()) port = rest.substr(end + 1);
  } else if (std::count(rest.begin(), rest.end(), ':') > 1) {
    address.host = rest;
  } else {
    address.host = rest.substr(0, rest.find(':'));
    if (rest.find(':') != std::string::npos) port = rest.substr(rest.find(':'));
  }
  if (!port.empty()) {
    const auto number = port.front() == ':' ? base::parse_int(port.substr(1)) : std::nullopt;
    if (!number || *number < 1 || *number > 65535) address.host.clear();
    if (number) address.port = static_cast<std::uint16_t>(*number);
  }
  if (address.host.empty())
    return Error{
        Code::bad_parameter,
        "--join wants the address of the master, such as 10.0.0.11 or 10.0.0.11:20003, not '" + text + "'"};
  return address;
}

Result<std::string> given_token(const Options& options, base::FileSystem& files, std::istream& in) {
  if (options.token.empty() == options.token_file.empty())
    return Error{Code::bad_parameter,
                 "--join wants a join token, by --token-file FILE (- reads standard input) or by --token; "
                 "`confd --root DIR --make-token ID` on the master makes one"};
  std::string text = options.token;
  if (options.token_file == "-") {
    std::getline(in, text);
  } else if (!options.token_file.empty()) {
    const auto content = files.read(options.token_file);
    if (!content) return content.error();
    text = content->substr(0, content->find('\n'));
  }
  return std::string(base::trim(text));
}

// What somebody unproven said, fit for a terminal.
std::string said(const rpc::HttpResponse& response) {
  std::string text(base::trim(response.body.substr(0, 1000)));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return text.empty() ? "status " + std::to_string(response.status) : text;
}

std::optional<std::string> location(const rpc::HttpResponse& response) {
  for (const auto& [name, value] : response.headers)
    if (base::equals_ignoring_case(name, "Location")) return value;
  return std::nullopt;
}

std::optional<int> node_of_root(base::FileSystem& files, const Root& root) {
  const auto certificate = files.read(root.node_certificate());
  return certificate ? auth::node_of_certificate(*certificate) : std::nullopt;
}

// Before the token is used up.
Status check_place(const Options& options, base::FileSystem& files, const Root& root) {
  if (options.renew) {
    if (files.status(root.exaconf())) return {};
    return Error{Code::not_found, "There is no " + root.exaconf() + "; without --renew a new node is made"};
  }
  if (Status done = check_root_is_free(files, root); !done) return done;
  if (files.status(root.cluster_authority_key()) || files.status(root.node_certificate()))
    return Error{Code::exists, root.cluster_directory() +
                                   " holds certificates of a cluster already; choose another --root, or "
                                   "delete the folder"};
  if (Status done = check_device_size(options.device_size); !done) return done;
  return check_cluster_settings_are_free(files, root);
}

struct Asking {
  int node = 0;
  std::string secret;
  std::string certificate_request;
};

// Asks until the master answers; what comes back is proven.
Result<auth::JoinAnswer> ask(Address address, const Asking& asking, base::Clock& clock, base::Random& random,
                             std::ostream& out) {
  rpc::ClientTlsSettings tls_settings;
  tls_settings.any_server = true;  // who it is shows in the proof
  const auto tls = rpc::ClientTls::create(tls_settings);
  if (!tls) return tls.error();
  for (int hop = 0;; ++hop) {
    rpc::HttpsClient client(*tls, {address.host, address.port, "", ""});
    rpc::HttpsClient::Limits limits;
    limits.deadline = std::chrono::steady_clock::now() + kPatience;
    limits.answer_bytes = kLongestAnswer;
    limits.resend = false;
    if (Status done = client.connect(limits); !done)
      return Error{done.error().code,
                   done.error().text +
                       "; does confd run there, is the port right (XMLRPCPort of EXAConf), "
                       "does a firewall lie between?"};
    auth::Proven<auth::JoinRequest> request{
        {asking.node, base::random_hex(random, 32),
         std::chrono::duration_cast<std::chrono::seconds>(clock.now().time_since_epoch()).count(),
         asking.certificate_request},
        {}};
    const auto proof = auth::prove(asking.secret, client.channel_binding(), request.message);
    if (!proof) return proof.error();
    request.proof = *proof;
    rpc::HttpRequest http;
    http.method = "POST";
    http.target = std::string(kJoinPath);
    http.headers = {{"Content-Type", "application/json"}};
    http.body = auth::render(request);
    const auto response = client.call(http, limits);
    if (!response) return response.error();
    if (response->status == 302 && hop < kMostHops) {
      const auto where = location(*response);
      auto next = where ? parse_address(*where) : Result<Address>(Error{});
      if (!next) return Error{Code::job_error, address.text() + " names no master: " + said(*response)};
      out << address.text() << " is not the master; asking " << next->text() << "\n";
      address = std::move(*next);
      continue;
    }
    if (response->status != 200)
      return Error{Code::forbidden, address.text() + " refuses: " + said(*response)};
    const auto answer = auth::parse_join_answer(response->body);
    const auto expected = answer ? auth::prove(asking.secret, request.proof, answer->message)
                                 : Result<std::string>(answer.error());
    if (!expected || !base::constant_time_equal(*expected, answer->proof))
      return Error{Code::forbidden,
                   "whoever answers at " + address.text() +
                       " does not hold the join token: it is not the master of this cluster, or somebody is "
                       "between; nothing was written"};
    return answer->message;
  }
}

Status write_identity(base::FileSystem& files, const Root& root, const auth::JoinAnswer& answer,
                      const std::string& key) {
  if (Status done = files.make_directories(root.cluster_directory(), 0700); !done) return done;
  // node.crt last, as ensure_cluster_identity() has it: without it the rest is not in use.
  for (const auto& [path, text] :
       {std::pair(root.cluster_authority_key(), &answer.authority_key),
        std::pair(root.cluster_authority(), &answer.authority), std::pair(root.node_key(), &key),
        std::pair(root.node_certificate(), &answer.certificate)})
    if (!text->empty())
      if (Status done = base::replace_file(files, path, *text, 0600); !done) return done;
  const auto identity = read_cluster_identity(files, root);
  return identity ? Status() : Status(identity.error());
}

}  // namespace

Status make_new_authority(const Options& options, base::FileSystem& files, base::Clock& clock,
                          std::ostream& out) {
  const Root root(options.root);
  if (!files.status(root.cluster_authority_key()))
    return Error{Code::not_found, "There is no " + root.cluster_authority_key() +
                                      "; a new authority is made where the key of the old one is"};
  const auto old = files.read(root.cluster_authority());
  if (!old) return old.error();
  const auto text = files.read(root.exaconf());
  if (!text) return text.error();
  const auto config = exaconf::Config::load(*text);
  if (!config) return config.error();
  const std::string* name = (*config)->get("Global", "ClusterName");
  const auto made = auth::make_cluster_authority(name ? *name : std::string(), clock.now());
  if (!made) return made.error();
  // After a crash between the two nothing is signed, with a clear text; done again it is whole.
  for (const auto& [path, content] : {std::pair(root.cluster_authority(), made->certificate_pem + *old),
                                      std::pair(root.cluster_authority_key(), made->key_pem)})
    if (Status done = base::replace_file(files, path, content, 0600); !done) return done;
  out << root.cluster_authority() << " holds a new authority, and the old one behind it. Go on:\n"
      << "  copy it to all nodes and restart confd there, node by node: they trust both\n"
      << "  give each node a new certificate: confd --make-token ID, confd --join ADDRESS --renew\n"
      << "  then take the old one out of ca.crt everywhere, and restart confd node by node\n";
  return {};
}

Status join(const Options& options, base::FileSystem& files, base::Clock& clock, base::Random& random,
            std::istream& in, std::ostream& out) {
  const Root root(options.root);
  if (Status done = check_place(options, files, root); !done) return done;
  const auto address = parse_address(options.join);
  if (!address) return address.error();
  const auto token = given_token(options, files, in);
  if (!token) return token.error();
  const auto id = auth::node_of_join_token(*token);
  if (!id) return id.error();
  if (options.node && *options.node != *id)
    return Error{Code::bad_parameter, "--node " + std::to_string(*options.node) +
                                          ": the join token is for node " + std::to_string(*id)};
  if (const auto own = node_of_root(files, root); own && *own != *id)
    return Error{Code::bad_parameter, root.directory() + " is node " + std::to_string(*own) +
                                          ", the join token is for node " + std::to_string(*id)};
  const auto secret = auth::join_secret(*token);
  if (!secret) return secret.error();
  const auto request = auth::make_certificate_request(*id);
  if (!request) return request.error();
  const auto answer = ask(*address, {*id, *secret, request->request_pem}, clock, random, out);
  if (!answer) return answer.error();

  const auto config = exaconf::Config::load(answer->exaconf);
  if (!config) return config.error();
  const auto node = (*config)->nodes().find(*id);
  if (node == (*config)->nodes().end() || auth::node_of_certificate(answer->certificate) != *id)
    return Error{Code::internal, "the master's answer is not for node " + std::to_string(*id)};
  if (options.renew) {
    if (Status done = write_identity(files, root, *answer, request->key_pem); !done) return done;
    out << "Node " << *id << " has a new certificate and key in " << root.cluster_directory()
        << "; restart confd to use them\n";
    return {};
  }
  if (Status done = make_folders_and_device(files, root, options.device_size); !done) return done;
  if (Status done = write_identity(files, root, *answer, request->key_pem); !done) return done;
  const bool self_signed = certificate_is_ours(**config, root);
  if (self_signed)
    if (Status done = write_certificate(**config, {*id}, root, files, clock); !done) return done;
  if (Status done = add_cluster_settings(files, root, answer->settings); !done) return done;
  if (Status done = base::replace_file(files, root.exaconf(), (*config)->text(), 0600); !done) return done;

  out << "Made node " << *id << " (" << node->second.name << ", " << node->second.private_ip << ") in "
      << root.directory() << "\n"
      << "  EXAConf      " << root.exaconf() << ", revision " << (*config)->revision() << "\n"
      << "  cluster      certificate and key of this node in " << root.cluster_directory()
      << (answer->authority_key.empty() ? "" : ", the authority's key too") << "; store in "
      << root.settings() << "\n";
  if (self_signed)
    out << "  certificate  self-signed, in " << root.tls_directory()
        << "; job cert_update gives all nodes another\n";
  else
    out << "  certificate  put one at " << place_of(**config, root, kCertificate) << " and its key at "
        << place_of(**config, root, kPrivateKey) << " before the start\n";
  out << "Start it:      confd --root " << root.directory() << "\n";
  const std::string* state = (*config)->get("Node : " + std::to_string(*id), "State");
  if (state != nullptr && base::equals_ignoring_case(*state, "suspended"))
    out << "It is suspended; when it runs:  confd_client node_resume nid: " << *id << "\n";
  return {};
}

Status make_token(const Options& options, base::FileSystem& files, std::ostream& out, std::ostream& notes) {
  const Root root(options.root);
  if (!files.status(root.exaconf()))
    return Error{Code::not_found, "There is no " + root.exaconf() +
                                      "; --make-token wants the --root of the master, where confd runs"};
  auto client = rpc::HttpClient::connect_local(root.socket());
  if (!client)
    return Error{client.error().code, client.error().text +
                                          "; the daemon keeps the list of tokens: start it "
                                          "with `confd --root " +
                                          root.directory() + "`"};
  rpc::HttpRequest request;
  request.method = "POST";
  request.target = std::string(kJoinTokenPath);
  request.headers = {{"Content-Type", "application/json"}};
  request.body = base::render_json(base::Struct{{"node", options.token_node},
                                                {"seconds", options.valid_seconds},
                                                {"authority", options.with_authority}});
  const auto response = client->call(request, kLocalPatience);
  if (!response) return response.error();
  if (response->status == 302)
    return Error{Code::wrong_state,
                 said(*response) + "; make the token there, it is known where it was made"};
  if (response->status != 200) return Error{Code::job_error, said(*response)};
  const auto answer = base::parse_json(response->body);
  const base::Value* token = answer && answer->is_struct() ? answer->find("token") : nullptr;
  if (token == nullptr || !token->is_string())
    return Error{Code::internal, "the daemon's answer holds no token"};
  out << token->as_string() << "\n" << std::flush;
  std::string where = "ADDRESS";
  if (const auto config = exaconf::Config::load(files.read(root.exaconf()).ok() ? *files.read(root.exaconf())
                                                                                : std::string()))
    if (const auto own = read_cluster_identity(files, root))
      if (const auto id = auth::node_of_certificate(own->certificate_pem);
          id && (*config)->nodes().contains(*id))
        where = Address{(*config)->nodes().at(*id).private_ip,
                        static_cast<std::uint16_t>((*config)->xmlrpc_port())}
                    .text();
  notes << "Shown once, good once, for " << options.valid_seconds
        << " s. On the new node, the token in a file:\n"
        << "  confd --root DIR --join " << where << " --token-file FILE\n";
  return {};
}

}  // namespace confd::daemon
