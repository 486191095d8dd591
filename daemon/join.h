// confd --join: makes a root for a node that EXAConf of a running cluster has already, with a certificate and
// the first EXAConf from the master, for a join token. confd --make-token: asks the daemon of a root for one.
//
// The node's key is made here and stays here. Nothing is written before the other side has proven that it
// holds the token, and EXAConf is written last, so that an interrupted --join can be repeated (with a new
// token). With --renew the root is there already, and gets a new certificate, key and authority only.
// Thread-safety: the main thread, in a process of their own.
#pragma once

#include <iosfwd>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/random.h"
#include "base/result.h"
#include "daemon/options.h"

namespace confd::daemon {

// `in`: where --token-file - reads. Tells on `out` what was made and how to go on.
base::Status join(const Options& options, base::FileSystem& files, base::Clock& clock, base::Random& random,
                  std::istream& in, std::ostream& out);

// Puts a new authority before the old ones in ca.crt, and its key in the place of the old one's: from now on
// it signs, and whoever has this ca.crt trusts both.
base::Status make_new_authority(const Options& options, base::FileSystem& files, base::Clock& clock,
                                std::ostream& out);

// The token alone on `out`, what to do with it on `notes`.
base::Status make_token(const Options& options, base::FileSystem& files, std::ostream& out,
                        std::ostream& notes);

}  // namespace confd::daemon
