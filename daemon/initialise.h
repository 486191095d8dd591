// confd --init: makes the folders, EXAConf, certificate, storage device and first user of a new node
// (design.md §9).
//
// Refuses a root that has an EXAConf already, before anything is written; EXAConf is written last, so that an
// interrupted --init can be repeated.
#pragma once

#include <iosfwd>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/random.h"
#include "base/result.h"
#include "daemon/options.h"

namespace confd::daemon {

// Tells on `out` what was made and how to go on.
base::Status initialise(const Options& options, base::FileSystem& files, base::Clock& clock,
                        base::Random& random, std::ostream& out);

// A self-signed certificate for the node's addresses and localhost, written to the files that EXAConf [SSL]
// names.
base::Status make_certificate(const Options& options, base::FileSystem& files, base::Clock& clock);

}  // namespace confd::daemon
