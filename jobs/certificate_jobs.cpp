// cert_update (spec/jobs/other.yaml): checks a certificate and installs it on every node.
#include "auth/certificate.h"
#include "jobs/context.h"
#include "jobs/families.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kAdmins[] = {"root", "exaadm", "exadbadm"};

constexpr Param kCertParams[] = {
    {.name = "key", .help = "private key (PEM), RSA or EC, without a password", .secret = true},
    {.name = "cert", .help = "certificate chain (PEM), server certificate first, root last"},
};
constexpr Param kCertOptions[] = {
    {.name = "ca", .help = "certificate authority (PEM)"},
    {.name = "verify_cert",
     .types = kBool,
     .help = "enforce the rules of WebPKI on the chain",
     .default_text = "false"},
};

std::vector<Lock> lock_certificate(const base::Struct&) {
  return {{LockLevel::service, "certificate"}};
}

auth::CertificateCheck checked(JobContext& context) {
  return or_throw(auth::check_certificate(context.text("key"), context.text("cert"),
                                          context.text_or("ca", ""), context.flag_or("verify_cert", false),
                                          context.services().clock.now()));
}

void check_cert_update(JobContext& context) {
  checked(context);
}

std::optional<base::Value> cert_update(JobContext& context) {
  for (std::string& warning : checked(context).warnings) context.warn(std::move(warning));
  const base::Struct files{
      {"key", context.text("key")}, {"cert", context.text("cert")}, {"ca", context.text_or("ca", "")}};
  for (const auto& [id, node] : context.config().nodes()) context.run(id, "certificate.install", files);
  return std::nullopt;
}

constexpr JobDescriptor kCertificateJobs[] = {
    {.name = "cert_update",
     .help = "Install the TLS certificate of the cluster",
     .long_help = "Replaces the files of [SSL] in EXAConf on every node. confd's listener uses the new "
                  "certificate for new connections; open ones go on. Without `ca` the stored certificate "
                  "authority stays.",
     .kind = JobKind::modify,
     .mandatory = kCertParams,
     .optional = kCertOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .locks = &lock_certificate,
     .check = &check_cert_update,
     .execute = &cert_update},
};

}  // namespace

std::span<const JobDescriptor> certificate_jobs() {
  return kCertificateJobs;
}

}  // namespace confd::jobs
