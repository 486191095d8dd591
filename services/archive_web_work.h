// ArchiveWebWork: one request on its way, and its methods. Only for archive_web*.cpp.
#pragma once

#include <string>
#include <vector>

#include "services/archive_listing.h"
#include "services/archive_request.h"
#include "services/archive_web.h"

namespace confd::services {

class ArchiveWebWork {
 public:
  ArchiveWebWork(rpc::StreamExchange& exchange, storage::ArchiveStore& store, const std::string& volume,
                 const ArchiveWebLimits& limits)
      : exchange_(exchange), store_(store), volume_(volume), limits_(limits) {}
  void answer();

 private:
  storage::ArchiveLimits question() const { return {limits_.question, exchange_.stop()}; }
  storage::ArchiveLimits transfer() const { return {limits_.transfer, exchange_.stop()}; }
  void send(rpc::HttpResponse response) { (void)exchange_.send(std::move(response)).ok(); }
  void refuse(const base::Error& error) { send(archive_refusal(error)); }
  void refuse(unsigned status, const std::string& text) { send(archive_text(status, text)); }

  // archive_web.cpp
  void get();
  void give(const storage::ArchiveFile& file);
  void give_folder(const std::vector<storage::ArchiveFile>& files);
  void propfind();
  // archive_web_change.cpp
  void put();
  void remove();
  void make_folder();
  void copy(bool move);
  base::Status copy_file(const storage::ArchiveFile& file, const std::string& to);

  rpc::StreamExchange& exchange_;
  storage::ArchiveStore& store_;
  const std::string& volume_;
  const ArchiveWebLimits limits_;
  ArchiveTarget target_;
};

std::string tag_of(const storage::ArchiveFile& file);  // empty: it has none

}  // namespace confd::services
