// LocalArchiveStore: the files of a local archive volume, wherever its segments are. A put or remove that
// returns ok is on every copy of its segment, or those that missed it are noted durably on each that has it,
// one of which has everything. Reads go to any copy that has the file as it is now.
//
// Which segment a file belongs to: the masters are ranked by SHA-256 of "<index>/<path>", greatest first; a
// new file goes to the first with room for it, and stays where it is when it is written again. Reads ask in
// that order, so that masters appended later change nothing for files that are there.
// docs/storage-archive.md. Thread-safety: any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "exaconf/config.h"
#include "storage/archive_link.h"
#include "storage/archive_peers.h"
#include "storage/archive_store.h"
#include "storage/volume.h"

namespace confd::storage {

// Indexes of the masters, the first choice first.
std::vector<int> ranked_masters(const std::string& path, int masters);

class LocalArchiveStore : public ArchiveStore {
 public:
  struct Options {
    std::int64_t volume = 0;  // id
    // How long a copy may take no piece before a write goes on without it.
    std::chrono::milliseconds patience{std::chrono::seconds(30)};
    // How long to wait for copies that are just being compared, after a start.
    std::chrono::milliseconds settle{std::chrono::seconds(10)};
  };
  // `link` outlives this; `config`: the revision in force.
  LocalArchiveStore(ArchiveLink& link, std::function<exaconf::ConfigPtr()> config, Options options)
      : link_(link), config_(std::move(config)), options_(options) {}

  // Errors also: Code::wrong_state when the volume is locked, its I/O is off, or a segment has no copy in
  // sync; Code::busy when it is full, with how full.
  base::Result<std::uint64_t> put(const std::string& path, const Source& source,
                                  std::optional<std::uint64_t> size, const ArchiveLimits& limits) override;
  base::Result<std::uint64_t> get(const std::string& path, std::uint64_t offset, const Sink& sink,
                                  const ArchiveLimits& limits) override;
  base::Result<std::vector<ArchiveFile>> list(const std::string& folder,
                                              const ArchiveLimits& limits) override;
  base::Result<std::optional<ArchiveFile>> find(const std::string& path,
                                                const ArchiveLimits& limits) override;
  base::Status remove(const std::string& path, const ArchiveLimits& limits) override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Staged {
    std::string stage;
    std::optional<base::Error> error;
  };
  struct Content {
    std::uint64_t size = 0;
    std::string checksum;
    std::vector<Staged> staged;  // as the copies
  };

  base::Result<Volume> open() const;
  // All copies as they are now. With a forced redundancy level those of the others count as away: they are
  // neither read nor written, and noted as having missed what is written.
  std::vector<PeerCopy> ask_now(const std::vector<CopyPlace>& places, const std::string& path,
                                const ArchiveLimits& limits) const;
  // The copies of a segment with the entry of the path; waits a moment for one in sync. Error: none is.
  base::Result<std::vector<PeerCopy>> ask(const Layout& layout, int index, const std::string& path,
                                          const ArchiveLimits& limits, Time deadline) const;
  // Those of the segment that has the file; none when there is no such file.
  base::Result<std::vector<PeerCopy>> locate(const std::string& path, const ArchiveLimits& limits,
                                             Time deadline) const;
  base::Result<std::vector<PeerCopy>> place(const std::string& path, std::uint64_t size,
                                            const ArchiveLimits& limits, Time deadline) const;
  base::Result<Content> stage(const std::vector<PeerCopy>& copies, const std::string& path,
                              const Source& source, std::optional<std::uint64_t> size,
                              const ArchiveLimits& limits, Time deadline);
  base::Status list_segment(const std::vector<PeerCopy>& copies, const std::string& folder,
                            const ArchiveLimits& limits, std::vector<ArchiveFile>& found);

  ArchiveLink& link_;
  const std::function<exaconf::ConfigPtr()> config_;
  const Options options_;
};

}  // namespace confd::storage
