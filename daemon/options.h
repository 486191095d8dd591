// Options: the command line of confd. Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace confd::daemon {

struct Options {
  enum class Action {
    run,
    init,
    join,
    new_authority,
    make_token,
    check,
    renew_certificate,
    recover_store,
    forget_store,
    fsck,
    version,
    help,
    settings_sample
  } action = Action::run;
  std::string root = "/exa";
  std::optional<int> node;
  std::vector<std::string> listen;
  std::optional<int> port;
  // --init
  int node_id = 11;
  bool node_id_given = false;
  std::string private_net;  // empty: 127.0.0.<node id>/8
  std::string from;
  std::string admin_password_file;
  std::string device_size = "8 GiB";
  std::string data_volume_size = "4 GiB";
  std::string archive_volume_size = "2 GiB";
  std::string store;  // empty: nothing is written to etc/confd.yaml
  // --join
  std::string join;  // address of the master
  std::string token;
  std::string token_file;  // "-": standard input
  bool renew = false;      // the root is there, only its identity is replaced
  // --fsck
  bool repair = false;
  // --make-token
  int token_node = 0;
  int valid_seconds = 24 * 3600;
  bool with_authority = false;
};

// Error: Code::bad_parameter with what was wrong and the way to --help.
base::Result<Options> parse_options(const std::vector<std::string>& arguments);
std::string help_text();

}  // namespace confd::daemon
