#include "http_fixture.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/text.h"

namespace confd::rpc::test {

namespace {

std::string bio_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

void set_receive_deadline(int descriptor) {
  timeval patience{kPatience.count(), 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

}  // namespace

Identity make_identity(const std::string& common_name, const Identity* issuer) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  static long serial = 1;
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  if (issuer) {
    BIO* certificate_bio =
        BIO_new_mem_buf(issuer->certificate.data(), static_cast<int>(issuer->certificate.size()));
    BIO* key_bio = BIO_new_mem_buf(issuer->key.data(), static_cast<int>(issuer->key.size()));
    X509* authority = PEM_read_bio_X509(certificate_bio, nullptr, nullptr, nullptr);
    EVP_PKEY* authority_key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
    X509_set_issuer_name(certificate, X509_get_subject_name(authority));
    X509_sign(certificate, authority_key, EVP_sha256());
    X509_free(authority);
    EVP_PKEY_free(authority_key);
    BIO_free(certificate_bio);
    BIO_free(key_bio);
  } else {
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION* authority =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(certificate, authority, -1);
    X509_EXTENSION_free(authority);
    X509_sign(certificate, key, EVP_sha256());
  }
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(out, certificate);
  Identity identity;
  identity.certificate = bio_text(out);
  out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  identity.key = bio_text(out);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return identity;
}

bool eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

std::string Answer::field(const std::string& name) const {
  for (const std::string& line : base::split(head, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && base::equals_ignoring_case(line.substr(0, colon), name)) {
      return std::string(base::trim(line.substr(colon + 1)));
    }
  }
  return {};
}

Client::Client(Client&& other) noexcept {
  *this = std::move(other);
}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(context_, other.context_);
  std::swap(ssl_, other.ssl_);
  std::swap(connected_, other.connected_);
  std::swap(input_, other.input_);
  return *this;
}

Client::~Client() {
  close();
}

void Client::close() {
  if (ssl_) SSL_free(std::exchange(ssl_, nullptr));
  if (context_) SSL_CTX_free(std::exchange(context_, nullptr));
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  connected_ = false;
}

Client Client::unconnected() {
  Client client;
  client.descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  set_receive_deadline(client.descriptor_);
  return client;
}

bool Client::connect(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  return connected_;
}

Client Client::tcp(std::uint16_t port) {
  Client client = unconnected();
  client.connect(port);
  return client;
}

Client Client::tls(std::uint16_t port, const Options& options) {
  Client client = tcp(port);
  client.context_ = SSL_CTX_new(TLS_client_method());
  if (options.tls_version != 0) {
    SSL_CTX_set_security_level(client.context_, 0);
    SSL_CTX_set_min_proto_version(client.context_, options.tls_version);
    SSL_CTX_set_max_proto_version(client.context_, options.tls_version);
  }
  if (options.identity) {
    BIO* bio = BIO_new_mem_buf(options.identity->certificate.data(), -1);
    X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    bio = BIO_new_mem_buf(options.identity->key.data(), -1);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    SSL_CTX_use_certificate(client.context_, certificate);
    SSL_CTX_use_PrivateKey(client.context_, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  client.ssl_ = SSL_new(client.context_);
  SSL_set_fd(client.ssl_, client.descriptor_);
  ERR_clear_error();
  client.connected_ = client.connected_ && SSL_connect(client.ssl_) == 1;
  return client;
}

Client Client::local(const std::string& path) {
  Client client;
  client.descriptor_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  set_receive_deadline(client.descriptor_);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size() + 1, sizeof address.sun_path));
  client.connected_ =
      ::connect(client.descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  return client;
}

bool Client::send(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const int left = static_cast<int>(std::min<std::size_t>(bytes.size() - sent, 1 << 20));
    ERR_clear_error();
    const ssize_t now =
        ssl_ ? SSL_write(ssl_, bytes.data() + sent, left)
             : ::send(descriptor_, bytes.data() + sent, static_cast<std::size_t>(left), MSG_NOSIGNAL);
    if (now <= 0) return false;
    sent += static_cast<std::size_t>(now);
  }
  return true;
}

bool Client::fill() {
  char buffer[16 * 1024];
  ERR_clear_error();
  const ssize_t got =
      ssl_ ? SSL_read(ssl_, buffer, sizeof buffer) : ::recv(descriptor_, buffer, sizeof buffer, 0);
  if (got <= 0) return false;
  input_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::string Client::read_until(const std::string& mark) {
  std::size_t at = 0;
  while ((at = input_.find(mark)) == std::string::npos) {
    if (!fill()) return std::exchange(input_, {});
  }
  std::string text = input_.substr(0, at + mark.size());
  input_.erase(0, at + mark.size());
  return text;
}

std::optional<Answer> Client::receive(bool head_only) {
  Answer answer;
  answer.head = read_until("\r\n\r\n");
  if (answer.head.size() < 12 || answer.head.find("\r\n\r\n") == std::string::npos) return std::nullopt;
  answer.status = static_cast<unsigned>(base::parse_int(answer.head.substr(9, 3)).value_or(0));
  if (head_only || answer.status == 100 || answer.status == 204) return answer;
  const auto length = base::parse_int(answer.field("Content-Length"));
  if (!length) return answer;
  while (input_.size() < static_cast<std::size_t>(*length)) {
    if (!fill()) return std::nullopt;
  }
  answer.body = input_.substr(0, static_cast<std::size_t>(*length));
  input_.erase(0, static_cast<std::size_t>(*length));
  return answer;
}

std::optional<Answer> Client::get(const std::string& target) {
  if (!send("GET " + target + " HTTP/1.1\r\nHost: test\r\n\r\n")) return std::nullopt;
  return receive();
}

bool Client::ended() {
  if (!input_.empty() || fill()) return false;
  // fill() also fails when patience ran out, and at TLS's goodbye, which comes shortly before the end.
  pollfd watched{descriptor_, POLLIN, 0};
  constexpr int kMilliseconds = std::chrono::milliseconds(kPatience).count();
  return ::poll(&watched, 1, kMilliseconds) == 1;
}

std::string Client::peer_common_name() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  char name[256] = {};
  if (certificate)
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  return name;
}

TlsSettings Server::default_settings() {
  static const Identity kIdentity = make_identity("confd test");
  TlsSettings settings;
  settings.certificate_chain_pem = kIdentity.certificate;
  settings.private_key_pem = kIdentity.key;
  return settings;
}

Server::Server(HttpServerOptions options, TlsSettings settings) {
  char folder[] = "/tmp/confd-http-XXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  folder_ = folder;
  local_socket = folder_ + "/confd.sock";
  auto context = TlsContext::create(settings);
  REQUIRE(context.ok());
  tls = *context;
  options.tls_endpoints = {{"127.0.0.1", 0}};
  options.local_socket = local_socket;
  http = std::make_unique<HttpServer>(std::move(options), tls, handler);
  const base::Status started = http->start();
  INFO((started ? std::string() : started.error().text));
  REQUIRE(started.ok());
  port = http->ports().at(0);
}

Server::~Server() {
  http.reset();
  std::filesystem::remove_all(folder_);
}

void Log::add(const std::string& line) {
  base::MutexLock lock(mutex_);
  lines_.push_back(line);
}

bool Log::wait_for(const std::string& part) {
  return eventually([&] {
    base::MutexLock lock(mutex_);
    return std::any_of(lines_.begin(), lines_.end(),
                       [&](const std::string& line) { return line.find(part) != std::string::npos; });
  });
}

}  // namespace confd::rpc::test
