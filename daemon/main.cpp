#include <signal.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/random.h"
#include "daemon/app.h"
#include "daemon/initialise.h"
#include "daemon/join.h"
#include "daemon/options.h"
#include "daemon/settings.h"
#include "daemon/storage_check.h"
#include "daemon/store_recovery.h"

namespace {

using confd::base::Status;
using confd::daemon::App;
using confd::daemon::Options;

int failed(const confd::base::Error& error) {
  std::cerr << "confd: " << error.text << "\n";
  return 1;
}

// Signals are waited for, not handled: no code runs inside a handler.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return signals;
}

int serve(const Options& options) {
  const sigset_t signals = block_signals();  // before any thread is made, so that all inherit it
  auto app = App::start(options);
  if (!app) return failed(app.error());
  for (const std::string& address : (*app)->addresses())
    std::cout << "confd serves https://" << address << "/\n" << std::flush;
  sd_notifyf(0, "READY=1\nSTATUS=%s", (*app)->status().c_str());
  std::uint64_t watchdog_us = 0;
  if (sd_watchdog_enabled(0, &watchdog_us) <= 0) watchdog_us = 0;
  // Half of systemd's limit, and often enough for `systemctl status` to be of use.
  const std::uint64_t interval_us =
      watchdog_us > 0 ? std::min<std::uint64_t>(watchdog_us / 2, 10'000'000) : 10'000'000;
  for (;;) {
    timespec wait{};
    wait.tv_sec = static_cast<time_t>(interval_us / 1'000'000);
    wait.tv_nsec = static_cast<long>(interval_us % 1'000'000) * 1000;
    const int number = ::sigtimedwait(&signals, nullptr, &wait);
    if (number == SIGHUP) {
      sd_notify(0, "RELOADING=1");
      (*app)->reload();
      sd_notify(0, "READY=1");
    } else if (number == SIGTERM || number == SIGINT) {
      sd_notify(0, "STOPPING=1");
      (*app)->stop();
      return 0;
    }
    if ((*app)->alive()) sd_notifyf(0, "WATCHDOG=1\nSTATUS=%s", (*app)->status().c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  auto options = confd::daemon::parse_options({argv + 1, argv + argc});
  if (!options) {
    std::cerr << "confd: " << options.error().text << "\n";
    return 2;
  }
  auto& files = confd::base::system_file_system();
  auto& clock = confd::base::system_clock();
  switch (options->action) {
    case Options::Action::help:
      std::cout << confd::daemon::help_text();
      return 0;
    case Options::Action::version:
      std::cout << "confd " CONFD_VERSION "\n";
      return 0;
    case Options::Action::settings_sample:
      std::cout << confd::daemon::settings_sample();
      return 0;
    case Options::Action::init:
      if (const Status done =
              confd::daemon::initialise(*options, files, clock, confd::base::system_random(), std::cout);
          !done)
        return failed(done.error());
      return 0;
    case Options::Action::join:
      if (const Status done =
              confd::daemon::join(*options, files, clock, confd::base::system_random(), std::cin, std::cout);
          !done)
        return failed(done.error());
      return 0;
    case Options::Action::new_authority:
      if (const Status done = confd::daemon::make_new_authority(*options, files, clock, std::cout); !done)
        return failed(done.error());
      return 0;
    case Options::Action::make_token:
      if (const Status done = confd::daemon::make_token(*options, files, std::cout, std::cerr); !done)
        return failed(done.error());
      return 0;
    case Options::Action::recover_store:
      if (const Status done = confd::daemon::recover_store(*options, files, std::cout); !done)
        return failed(done.error());
      return 0;
    case Options::Action::forget_store:
      if (const Status done = confd::daemon::forget_store(*options, files, std::cout); !done)
        return failed(done.error());
      return 0;
    case Options::Action::fsck: {
      const auto clean = confd::daemon::check_node_storage(*options, files, std::cout);
      if (clean) return *clean ? 0 : 1;
      (void)failed(clean.error());
      return 2;
    }
    case Options::Action::renew_certificate:
      if (const Status done = confd::daemon::make_certificate(*options, files, clock); !done)
        return failed(done.error());
      std::cout << "Made a self-signed certificate; a running confd takes it at SIGHUP\n";
      return 0;
    case Options::Action::check:
      if (const Status done = App::check(*options); !done) return failed(done.error());
      std::cout << "confd could start\n";
      return 0;
    case Options::Action::run:
      return serve(*options);
  }
  return 2;
}
