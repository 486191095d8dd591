// Devices and segment folders in memory, for tests that fail any call and cut the power between any two.
//
// power_cut() is harsh: of what was written to a device since its last sync, every 512 bytes stay or are lost
// by the toss of a coin. Folders and the sizes of their files are durable when the call that changes them
// returns, as StorageFiles promises; a call that is made to fail may have done its work or not, by the toss
// of a coin as well. Thread-safety: one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/storage_files.h"

namespace confd::test {

class FakeStorageFiles : public storage::StorageFiles {
 public:
  explicit FakeStorageFiles(unsigned seed = 1) : random_(seed) {}

  base::Result<std::unique_ptr<storage::DeviceFile>> open_device(const std::string& path,
                                                                 storage::OpenMode mode) override;
  base::Result<storage::FileIdentity> identity(const std::string& path) override;
  base::Status make_folder(const std::string& path) override;
  base::Result<bool> has_folder(const std::string& path) override;
  base::Result<std::vector<std::string>> folders_in(const std::string& path) override;
  base::Status remove_folder(const std::string& path, std::stop_token stop) override;
  base::Status empty_folder(const std::string& path, std::stop_token stop) override;
  base::Result<std::uint64_t> usage(const std::string& path, std::stop_token stop) override;
  base::Result<std::uint64_t> free_bytes(const std::string& path) override;
  base::Status zero_front(const std::string& path, std::uint64_t bytes, std::stop_token stop) override;

  // A device of zeroes; another file of that name before is gone.
  void put_device(const std::string& path, std::uint64_t bytes);
  void enlarge_device(const std::string& path, std::uint64_t bytes);
  void write_device(const std::string& path, std::uint64_t offset, const std::string& bytes);  // durable
  std::string read_device(const std::string& path, std::uint64_t offset, std::size_t bytes) const;
  // As if the disk was pulled, and put back.
  void take_device_away(const std::string& path);
  void put_device_back(const std::string& path);
  // A file in a folder, which is made when it is not there.
  void put_file(const std::string& path, std::uint64_t bytes);
  void set_free_bytes(std::uint64_t bytes) { free_bytes_ = bytes; }
  std::vector<std::string> all_folders() const { return {folders_.begin(), folders_.end()}; }

  // Calls that change something since the start.
  int calls() const { return calls_; }
  // That call and all after it fail; 0 = never.
  void fail_from(int call) { fail_from_ = call; }
  // Reading back what is written after this shows other bytes.
  void corrupt_writes(bool on) { corrupt_writes_ = on; }
  void power_cut();

 private:
  static constexpr std::size_t kPage = 512;
  using Pages = std::map<std::uint64_t, std::string>;  // those that are not zero
  struct Content {
    std::uint64_t size = 0, number = 0;
    Pages now, durable;
    std::set<std::uint64_t> unsynced;
    std::int64_t modified = 0;
  };
  class OpenDevice;

  bool fails() { return ++calls_, fail_from_ > 0 && calls_ >= fail_from_; }
  bool heads() { return random_() % 2 == 0; }
  static base::Error failed(const std::string& what);
  static void write(Content& content, std::uint64_t offset, std::string_view bytes);
  static std::string read(const Content& content, std::uint64_t offset, std::size_t bytes);
  void remove_below(const std::string& path, bool with_top);

  std::mt19937 random_;
  std::map<std::string, std::shared_ptr<Content>> devices_, away_;
  std::set<std::string> folders_;
  std::map<std::string, std::uint64_t> file_sizes_;
  std::uint64_t free_bytes_ = std::uint64_t{1} << 50;
  std::uint64_t next_number_ = 1;
  std::int64_t ticks_ = 1;
  int calls_ = 0, fail_from_ = 0;
  std::uint64_t generation_ = 0;
  bool corrupt_writes_ = false;
};

}  // namespace confd::test
