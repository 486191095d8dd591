#include "daemon/options.h"

#include <functional>

#include "base/text.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;

namespace {

struct Option {
  std::string_view name;
  std::string_view argument;  // empty: takes none
  std::string_view help;
  // Error text, or empty.
  std::string (*apply)(Options& options, const std::string& value);
};

std::string number(const std::string& text, std::int64_t least, std::int64_t most,
                   const std::function<void(int)>& set) {
  const auto value = base::parse_int(text);
  if (!value || *value < least || *value > most)
    return "wants a number from " + std::to_string(least) + " to " + std::to_string(most) + ", not '" + text +
           "'";
  set(static_cast<int>(*value));
  return {};
}

template <Options::Action action>
std::string act(Options& options, const std::string&) {
  options.action = action;
  return {};
}

template <std::string Options::*member>
std::string text(Options& options, const std::string& value) {
  if (value.empty()) return "wants a value";
  options.*member = value;
  return {};
}

constexpr Option kOptions[] = {
    {"--root", "DIR", "folder of the node; everything confd reads or writes is below it (default /exa)",
     &text<&Options::root>},
    {"--node", "ID", "which node of EXAConf this is (default: the one of etc/cluster/node.crt)",
     [](Options& o, const std::string& v) { return number(v, 1, 1'000'000, [&](int n) { o.node = n; }); }},
    {"--listen", "ADDR",
     "address to listen on, may be repeated (default: the node's private and public addresses)",
     [](Options& o, const std::string& v) -> std::string {
       if (v.empty()) return "wants an address";
       o.listen.push_back(v);
       return {};
     }},
    {"--port", "N",
     "port to listen on, of this node alone (default: XMLRPCPort of EXAConf, where other nodes look for it)",
     [](Options& o, const std::string& v) { return number(v, 0, 65535, [&](int n) { o.port = n; }); }},
    {"--init", "", "make a new node in --root, then exit", &act<Options::Action::init>},
    {"--node-id", "ID", "with --init: its node id (default 11)",
     [](Options& o, const std::string& v) {
       o.node_id_given = true;
       return number(v, 11, 1'000'000, [&](int n) { o.node_id = n; });
     }},
    {"--private-net", "A.B.C.D/P",
     "with --init: its address in the private network (default 127.0.0.<node id>/8)",
     &text<&Options::private_net>},
    {"--from", "FILE", "with --init: take this EXAConf instead of a new one", &text<&Options::from>},
    {"--admin-password-file", "FILE",
     "with --init: password of user admin, first line (default: a random one in etc/admin.password)",
     &text<&Options::admin_password_file>},
    {"--store", "KIND",
     "with --init: local = the only node, no other program; managed = the first node of a cluster, with an "
     "etcd of confd's own (default local)",
     [](Options& o, const std::string& v) -> std::string {
       if (v != "local" && v != "managed") return "wants local or managed, not '" + v + "'";
       o.store = v;
       return {};
     }},
    {"--device-size", "SIZE",
     "with --init and --join: size of the storage device dev.1, a sparse file (default 8 GiB)",
     &text<&Options::device_size>},
    {"--data-volume-size", "SIZE", "with --init: size of the data volume (default 4 GiB)",
     &text<&Options::data_volume_size>},
    {"--archive-volume-size", "SIZE", "with --init: size of the archive volume (default 2 GiB)",
     &text<&Options::archive_volume_size>},
    {"--join", "ADDRESS",
     "make a root for a node of a running cluster, with a join token, then exit; ADDRESS is the master's",
     [](Options& o, const std::string& v) -> std::string {
       if (v.empty()) return "wants the address of the master";
       o.action = Options::Action::join;
       o.join = v;
       return {};
     }},
    {"--token-file", "FILE", "with --join: the join token, first line; - reads standard input",
     &text<&Options::token_file>},
    {"--token", "TOKEN",
     "with --join: the join token; whoever lists processes sees it until it is used, so rather --token-file",
     &text<&Options::token>},
    {"--renew", "",
     "with --join: the node is there; replace its certificate and key of the cluster (etc/cluster) only",
     [](Options& o, const std::string&) -> std::string {
       o.renew = true;
       return {};
     }},
    {"--new-authority", "",
     "where the key of the cluster's authority is: put a new authority before the old one, then exit; "
     "docs/operations.md says how to go on",
     &act<Options::Action::new_authority>},
    {"--make-token", "ID", "on the master: print a join token for this node of EXAConf, then exit",
     [](Options& o, const std::string& v) {
       o.action = Options::Action::make_token;
       return number(v, 11, 1'000'000, [&](int n) { o.token_node = n; });
     }},
    {"--valid", "SECONDS", "with --make-token: how long it can be used (default 86400)",
     [](Options& o, const std::string& v) {
       return number(v, 1, 30 * 86400, [&](int n) { o.valid_seconds = n; });
     }},
    {"--with-authority", "",
     "with --make-token: the node gets the key of the cluster's authority, too, and can let others join when "
     "it is master",
     [](Options& o, const std::string&) -> std::string {
       o.with_authority = true;
       return {};
     }},
    {"--check", "", "look whether the node in --root could start: settings, EXAConf, certificate; then exit",
     &act<Options::Action::check>},
    {"--renew-certificate", "", "make a new self-signed certificate for the listener, then exit",
     &act<Options::Action::renew_certificate>},
    {"--recover-store", "",
     "with store: managed, when more than half of its members are lost for good: make this node's member the "
     "only one, then exit; docs/cluster.md says how",
     &act<Options::Action::recover_store>},
    {"--forget-store", "",
     "with store: managed: set this node's data of the store aside, so that its member is added anew, then "
     "exit",
     &act<Options::Action::forget_store>},
    {"--fsck", "",
     "check the storage of the node in --root (devices, segments, EXAConf) while no confd runs on it, then "
     "exit: 0 clean, 1 problems, 2 it can't be checked",
     &act<Options::Action::fsck>},
    {"--repair", "", "with --fsck: write a copy of a superblock that is not valid anew from the other one",
     [](Options& o, const std::string&) -> std::string {
       o.repair = true;
       return {};
     }},
    {"--settings-sample", "", "print a commented etc/confd.yaml with all defaults, then exit",
     &act<Options::Action::settings_sample>},
    {"--version", "", "print the version, then exit", &act<Options::Action::version>},
    {"--help", "", "print this text, then exit", &act<Options::Action::help>},
};

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i] == "-h" ? "--help" : arguments[i];
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); name.starts_with("--") && equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    const Option* found = nullptr;
    for (const Option& option : kOptions)
      if (option.name == name) found = &option;
    if (!found)
      return Error{Code::bad_parameter, "confd knows no option '" + name + "'; confd --help lists them"};
    if (found->argument.empty() && value) return Error{Code::bad_parameter, name + " takes no value"};
    if (!found->argument.empty() && !value) {
      if (i + 1 == arguments.size())
        return Error{Code::bad_parameter, name + " wants a value: " + std::string(found->argument)};
      value = arguments[++i];
    }
    if (const std::string wrong = found->apply(options, value.value_or("")); !wrong.empty())
      return Error{Code::bad_parameter, name + " " + wrong};
  }
  return options;
}

std::string help_text() {
  std::string text =
      "confd - configuration and administration daemon of a database cluster node\n\n"
      "usage: confd --root DIR [--node ID] [--listen ADDR]... [--port N]     serve, in the foreground\n"
      "       confd --root DIR --init [options]                             make a new node\n"
      "       confd --root DIR --join ADDRESS --token-file FILE             make a node of a running "
      "cluster\n"
      "       confd --root DIR --make-token ID                              let one join\n"
      "       confd --root DIR --check                                      could it start?\n\noptions:\n";
  for (const Option& option : kOptions) {
    std::string left =
        "  " + std::string(option.name) + (option.argument.empty() ? "" : " " + std::string(option.argument));
    if (left.size() < 31)
      left.resize(31, ' ');
    else
      left += "\n" + std::string(31, ' ');
    text += left + std::string(option.help) + "\n";
  }
  text +=
      "\nsignals: SIGTERM, SIGINT  stop: running jobs may end, then exit 0\n"
      "         SIGHUP           read the certificate and the log level again\n"
      "exit codes: 0 fine, 1 it can't be done (the reason is printed), 2 wrong use\n\n"
      "A first node to try:\n"
      "  confd --root /tmp/n11 --init && confd --root /tmp/n11 &\n"
      "  confd_client --root /tmp/n11 node_state\n";
  return text;
}

}  // namespace confd::daemon
