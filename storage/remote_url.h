// RemoteUrl: the address of a remote volume, in the forms that its kinds have (spec/storage-behaviour.md §9):
//
//   s3      http[s]://BUCKET.s3[-REGION|.REGION].amazonaws.com/[DIR/]   https://ENDPOINT[:PORT]/BUCKET/[DIR/]
//   azure   https://ACCOUNT.blob.core.windows.net/CONTAINER/[DIR/]
//   gs      https://BUCKET.storage.googleapis.com/[DIR/]   https://storage.googleapis.com/BUCKET/[DIR/]
//   ftp     ftp[s]://HOST[:PORT]/[DIR/], HOST also a list "a,b" or a range "10.0.0.1..5"
//   sftp    sftp://HOST[:PORT]/[DIR/]         smb  smb://HOST[:PORT]/SHARE/[DIR/], any number of slashes
//   webdav  http[s]://HOST[:PORT]/[DIR/]      webhdfs  hdfs://NAMENODE[:PORT]/[DIR/]
//   file    file:///DIR/ or /DIR/
//
// Credentials don't belong there: an address is shown to everybody who may list volumes. Thread-safety: pure
// functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace confd::storage {

enum class RemoteType { smb, ftp, sftp, webhdfs, webdav, file, s3, gs, azure };
// "smb"; Error: Code::bad_parameter, with all there are.
std::string_view remote_type_name(RemoteType type);
base::Result<RemoteType> parse_remote_type(std::string_view name);

struct RemoteUrl {
  std::string scheme;              // lower case
  std::vector<std::string> hosts;  // one, or for ftp several; [] of IPv6 addresses are not kept
  int port = 0;                    // 0: the scheme's own
  std::string bucket;              // s3, gs: bucket; azure: container; smb: share
  std::string folder;              // below it, percent-decoded, without '/' at either end
  std::string region;              // s3 at AWS, when the host tells
  std::string account;             // azure, first part of the host
  bool at_home = false;  // the host is the provider's own, not somebody else's with the same protocol
};

// `endpoint`: the option of the same name, or empty; it says where the bucket ends in the host's name.
// Error: Code::bad_parameter (malformed, or not of the type), Code::unsupported.
base::Result<RemoteUrl> parse_remote_url(RemoteType type, std::string_view url,
                                         std::string_view endpoint = {});

}  // namespace confd::storage
