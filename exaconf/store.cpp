#include "exaconf/store.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/failpoint.h"
#include "base/text.h"
#include "exaconf/secrets.h"
#include "exaconf/transaction.h"
#include "exaconf/validator.h"

namespace confd::exaconf {
namespace {

constexpr std::uint32_t kMode = 0600;
constexpr std::string_view kTempPrefix = ".EXAConf.";

bool same_file(const base::FileStatus& a, const base::FileStatus& b) {
  return a.inode == b.inode && a.size == b.size && a.modified_ns == b.modified_ns;
}

std::string history_name(const std::string& path, int number) {
  return path + "." + std::to_string(number);
}

std::string file_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// Where an operator finds a revision to go back to, or "" when there is none.
std::string way_back(base::FileSystem& files, const std::string& path) {
  for (int i = 0; i < Store::kHistory; ++i) {
    const auto text = files.read(history_name(path, i));
    if (!text) continue;
    if (const auto config = Config::load(*text))
      return " The newest earlier revision that is whole is " + history_name(path, i) + " (revision " +
             std::to_string((*config)->revision()) + "); copy it over " + path + " to go back to it.";
  }
  return {};
}

}  // namespace

Store::Store(base::FileSystem& files, std::string path, ConfigPtr config, base::FileStatus seen)
    : files_(files), path_(std::move(path)), seen_(seen), current_(std::move(config)) {}

base::Result<std::unique_ptr<Store>> Store::open(base::FileSystem& files, std::string path,
                                                 base::Random& random, Role role) {
  if (role == Role::owner) {
    const std::string folder = base::parent_directory(path);
    const auto names = files.list(folder);
    if (!names) return names.error();
    for (const std::string& name : *names)
      if (name.starts_with(kTempPrefix)) (void)files.remove(base::join_path(folder, name)).ok();
  }
  const auto status = files.status(path);
  if (!status) return base::Error{status.error().code, status.error().text + "." + way_back(files, path)};
  const auto text = files.read(path);
  if (!text) return text.error();
  auto config = Config::load(*text);
  if (!config) {
    return base::Error{config.error().code, path + ": " + config.error().text + way_back(files, path)};
  }
  std::unique_ptr<Store> store(new Store(files, std::move(path), *config, *status));
  if (const base::Status done = store->complete(random); !done) return done.error();
  return store;
}

// What a load commits by itself (spec §4, §5): an intentional edit, and a missing token.
base::Status Store::complete(base::Random& random) {
  ConfigPtr config = current();
  if (integrity_of(config->document()) == Integrity::commit) {
    auto sealed = seal(config->document(), config->revision() + 1);
    if (!sealed) return sealed.error();
    // The file is this very text under no number: it does not go into the history.
    if (const base::Status done = replace(**sealed, History::nothing); !done) return done;
    config = *sealed;
    make_current(config);
  }
  const std::string* token = config->get("Global", "AuthenticationToken");
  if (token && !token->empty()) return {};
  Transaction transaction(config);
  if (const auto set = transaction.set("Global", "AuthenticationToken", new_authentication_token(random));
      !set)
    return set;
  auto sealed = seal(transaction.document(), config->revision() + 1);
  if (!sealed) return sealed.error();
  if (const base::Status done = replace(**sealed, History::file); !done) return done;
  make_current(*sealed);
  return {};
}

ConfigPtr Store::current() const {
  base::MutexLock lock(mutex_);
  return current_;
}

void Store::make_current(ConfigPtr config) {
  base::MutexLock lock(mutex_);
  current_.swap(config);
}

base::Status Store::commit(ConfigPtr next) {
  const ConfigPtr now = current();
  if (next->revision() == now->revision() && next->text() == now->text()) return {};
  if (next->revision() <= now->revision())
    return base::Error{base::Code::internal, "EXAConf: revision " + std::to_string(next->revision()) +
                                                 " can't follow revision " + std::to_string(now->revision())};
  const auto status = files_.status(path_);
  if (!status && status.error().code != base::Code::not_found) return status.error();
  if (!status || !same_file(*status, seen_))
    return base::Error{base::Code::conflict,
                       path_ +
                           " was edited by hand meanwhile; the edit is looked at first, then the job can "
                           "be run again"};
  History history = History::file;
  if (holds_refused_) {
    if (const base::Status kept = keep_refused(); !kept) return kept;
    history = History::current;
  }
  if (const base::Status done = replace(*next, history); !done) return done;
  make_current(std::move(next));
  return {};
}

base::Status Store::adopt(ConfigPtr agreed) {
  const auto status = files_.status(path_);
  if (!status && status.error().code != base::Code::not_found) return status.error();
  History history = History::file;
  if (!status) {
    history = History::current;
  } else if (holds_refused_ || !same_file(*status, seen_)) {
    if (const base::Status kept = keep_refused(); !kept) return kept;
    history = History::current;
  }
  if (const base::Status done = replace(*agreed, history); !done) return done;
  make_current(std::move(agreed));
  return {};
}

std::string Store::temp_name() {
  static std::atomic<unsigned> counter{0};
  return base::join_path(
      base::parent_directory(path_),
      std::string(kTempPrefix) + std::to_string(::getpid()) + "." + std::to_string(++counter));
}

base::Status Store::write_temp(const std::string& temp, const std::string& text) {
  auto file = files_.create(temp, kMode);
  if (!file) return file.error();
  base::Status done = (*file)->append(text);
  CONFD_FAILPOINT("store.temp_written");
  if (done) done = (*file)->sync();
  file->reset();
  if (!done) return done;
  const auto status = files_.status(temp);
  if (!status) return status.error();
  if (status->mode != kMode) done = files_.change_mode(temp, kMode);
  if (done && (status->uid != seen_.uid || status->gid != seen_.gid))
    done = files_.change_owner(temp, seen_.uid, seen_.gid);
  return done;
}

base::Status Store::shift_history(History history) {
  if (history == History::nothing) return {};
  for (int i = kHistory - 2; i >= 0; --i) {
    const base::Status moved = files_.rename(history_name(path_, i), history_name(path_, i + 1));
    if (!moved && moved.error().code != base::Code::not_found) return moved;
  }
  CONFD_FAILPOINT("store.history_shifted");
  if (history == History::file) return files_.link(path_, history_name(path_, 0));
  const std::string temp = temp_name();
  base::Status done = write_temp(temp, current()->text());
  if (done) done = files_.rename(temp, history_name(path_, 0));
  if (!done) (void)files_.remove(temp).ok();
  return done;
}

// Makes `next` the content of the file, durable. After an error the old content stands.
base::Status Store::replace(const Config& next, History history) {
  const std::string temp = temp_name();
  base::Status done = write_temp(temp, next.text());
  CONFD_FAILPOINT("store.temp_synced");
  if (done) done = shift_history(history);
  CONFD_FAILPOINT("store.history_linked");
  base::Result<base::FileStatus> status = base::FileStatus{};
  if (done) {
    status = files_.status(temp);
    if (!status) done = status.error();
  }
  if (done) done = files_.rename(temp, path_);
  CONFD_FAILPOINT("store.renamed");
  if (!done) {
    (void)files_.remove(temp).ok();
    return done;
  }
  done = files_.sync_directory(base::parent_directory(path_));
  CONFD_FAILPOINT("store.synced");
  if (!done) {
    if (history == History::file) roll_back();
    return done;
  }
  seen_ = *status;
  refused_.clear();
  holds_refused_ = false;
  return {};
}

// The new name is there but may not last: the caller is told that the commit failed, so the old revision has
// to be the file again. When even that fails, the file differs from `seen_` and poll() takes it as it is.
void Store::roll_back() {
  if (!files_.rename(history_name(path_, 0), path_)) return;
  if (const auto status = files_.status(path_)) seen_ = *status;
}

base::Status Store::keep_refused() {
  const std::string kept = path_ + ".refused";
  const base::Status removed = files_.remove(kept);
  if (!removed && removed.error().code != base::Code::not_found) return removed;
  return files_.link(path_, kept);
}

std::optional<Store::Edit> Store::refuse(const base::FileStatus& status, std::string text) {
  seen_ = status;
  holds_refused_ = true;
  if (text == refused_) return std::nullopt;
  refused_ = text;
  return Edit{false, std::move(text)};
}

std::optional<Store::Edit> Store::put_back() {
  const ConfigPtr now = current();
  const std::string revision = std::to_string(now->revision());
  if (const base::Status done = replace(*now, History::nothing); !done) {
    // The reason names a new temp file each time: whether it was told is judged without it.
    const std::string what =
        "EXAConf: " + path_ + " was removed and revision " + revision + " can't be put back: ";
    if (what == refused_) return std::nullopt;
    refused_ = what;
    return Edit{false, what + done.error().text};
  }
  return Edit{false, "EXAConf: " + path_ + " was removed; revision " + revision +
                         ", which is in force, was put back"};
}

std::optional<Store::Edit> Store::take(ConfigPtr edited, const base::FileStatus& status,
                                       std::int64_t first_free, const Agree& agree) {
  const ConfigPtr now = current();
  const std::string made_on = std::to_string(edited->revision());
  const auto put = [&](const ConfigPtr& taken) -> std::optional<Edit> {
    if (const base::Status done = replace(*taken, History::current); !done)
      return refuse(status, "EXAConf: the edit of " + path_ + " can't be committed: " + done.error().text);
    make_current(taken);
    std::string text =
        "EXAConf: the edit of " + path_ + " was taken as revision " + std::to_string(taken->revision());
    if (edited->revision() < now->revision())
      text += "; it was made on revision " + made_on + ", so it undoes what came after (kept in " +
              file_name(path_) + ".0)";
    return Edit{true, std::move(text)};
  };
  const auto not_agreed = [&](const base::Error& why) {
    return refuse(status, "EXAConf: the edit of " + path_ + " was not taken: " + why.text);
  };
  if (edited->revision() > now->revision() && edited->revision() >= first_free &&
      integrity_of(edited->document()) == Integrity::matches) {
    // A whole revision with its number: another program (exaconf) committed it.
    if (agree) {
      const auto agreed = agree(*now, edited);
      if (!agreed) return not_agreed(agreed.error());
      if ((*agreed)->text() != edited->text()) return put(*agreed);
    }
    seen_ = status;
    refused_.clear();
    holds_refused_ = false;
    make_current(std::move(edited));
    return Edit{true, "EXAConf: revision " + made_on + ", written by another program, is in force"};
  }
  auto sealed = seal(edited->document(), std::max({now->revision() + 1, edited->revision() + 1, first_free}));
  if (!sealed) return refuse(status, sealed.error().text);
  if (agree) {
    sealed = agree(*now, *sealed);
    if (!sealed) return not_agreed(sealed.error());
  }
  return put(*sealed);
}

std::optional<Store::Edit> Store::poll(std::int64_t first_free, const Agree& agree) {
  const auto status = files_.status(path_);
  if (!status) {
    if (status.error().code == base::Code::not_found) return put_back();
    std::string text = "EXAConf: " + status.error().text;
    if (text == refused_) return std::nullopt;
    refused_ = text;
    return Edit{false, std::move(text)};
  }
  if (same_file(*status, seen_)) return std::nullopt;
  const auto text = files_.read(path_);
  const auto after = files_.status(path_);
  if (!after || !same_file(*status, *after)) return std::nullopt;  // still being written: the next poll looks
  if (!text) return refuse(*status, "EXAConf: " + text.error().text);
  const auto edited = Config::load(*text);
  if (!edited) return refuse(*status, edited.error().text);
  if ((*edited)->text() == current()->text()) {
    seen_ = *status;
    refused_.clear();
    holds_refused_ = false;
    return std::nullopt;
  }
  return take(*edited, *status, first_free, agree);
}

}  // namespace confd::exaconf
