// The bytes of a superblock, and the writing of its two copies.
#include <algorithm>
#include <cstring>

#include "base/failpoint.h"
#include "storage/crc32c.h"
#include "storage/superblock.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kMagic = "confdDEV";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kCopyBytes = kSuperblockBytes / 2;
constexpr std::size_t kHeaderBytes = 4096, kAlignment = 4096;
constexpr std::size_t kChecksumAt = 12, kLengthAt = 16;
constexpr std::size_t kDiskNameBytes = 128;

class Writer {
 public:
  template <class Number>
  void put(Number number) {
    for (std::size_t i = 0; i < sizeof number; ++i)
      bytes_ += static_cast<char>(static_cast<std::uint64_t>(number) >> (8 * i) & 0xFF);
  }
  void put(const Uuid& uuid) { bytes_.append(reinterpret_cast<const char*>(uuid.data()), uuid.size()); }
  void put(std::string_view text) { bytes_ += text; }
  void zeroes_to(std::size_t size) { bytes_.resize(std::max(size, bytes_.size())); }
  void zeroes(std::size_t count) { bytes_.resize(bytes_.size() + count); }
  std::size_t size() const { return bytes_.size(); }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// REQUIRES of its users: they look at has() before they read.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool has(std::uint64_t count) const { return count <= bytes_.size() - at_; }
  template <class Number>
  Number get() {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i)
      number |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes_[at_ + i])) << (8 * i);
    at_ += sizeof(Number);
    return static_cast<Number>(number);
  }
  Uuid uuid() {
    Uuid uuid;
    std::memcpy(uuid.data(), bytes_.data() + at_, uuid.size());
    at_ += uuid.size();
    return uuid;
  }
  std::string_view text(std::size_t count) {
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  void go_to(std::size_t at) { at_ = at; }
  void skip(std::size_t count) { at_ += count; }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

constexpr std::size_t kSegmentBytes = 48, kExtentBytes = 40, kClaimBytes = 64;

struct FlagBit {
  bool DeviceFlags::*flag;
  std::uint32_t bit;
};
constexpr FlagBit kFlagBits[] = {{&DeviceFlags::read_only, 1},  {&DeviceFlags::use_crc, 2},
                                 {&DeviceFlags::sync_crc, 4},   {&DeviceFlags::direct_io, 8},
                                 {&DeviceFlags::ephemeral, 16}, {&DeviceFlags::disabled, 32}};

void put_number(std::string& bytes, std::size_t at, std::uint32_t number) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(number >> (8 * i) & 0xFF);
}

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  Reader reader(bytes);
  reader.go_to(at);
  return reader.get<std::uint32_t>();
}

// Over the copy without its padding, the checksum's own bytes as zeroes.
std::uint32_t checksum_of(std::string_view copy) {
  const std::uint32_t front = crc32c(copy.substr(0, kChecksumAt));
  return crc32c(copy.substr(kLengthAt), crc32c(std::string_view("\0\0\0\0", 4), front));
}

Error invalid(const std::string& what) {
  return {Code::invalid_config, "the superblock " + what};
}

bool is_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

std::uint64_t copy_offset(std::uint64_t generation) {
  return generation % 2 * kCopyBytes;
}

Status write_copy(DeviceFile& device, const Superblock& superblock) {
  const auto copy = encode(superblock);
  if (!copy) return copy.error();
  const std::uint64_t offset = copy_offset(superblock.generation);
  if (Status done = device.write_at(offset, *copy); !done) return done;
  CONFD_FAILPOINT("storage.superblock_written");
  if (Status done = device.sync(); !done) return done;
  CONFD_FAILPOINT("storage.superblock_synced");
  if (!superblock.flags.sync_crc) return {};
  const auto back = device.read_at(offset, copy->size());
  if (!back) return back.error();
  if (*back != *copy) return invalid("was read back with another checksum than it was written with");
  return {};
}

// Header and records of one copy; nothing when its header is none of ours.
Result<std::string> read_copy(DeviceFile& device, int which, bool& has_magic) {
  const std::uint64_t offset = static_cast<std::uint64_t>(which) * kCopyBytes;
  auto header = device.read_at(offset, kHeaderBytes);
  if (!header) return header;
  has_magic = header->starts_with(kMagic);
  if (!has_magic) return header;
  const std::size_t length = number_at(*header, kLengthAt);
  if (length <= kHeaderBytes || length > kCopyBytes) return header;
  const std::size_t rest = (length - kHeaderBytes + kAlignment - 1) / kAlignment * kAlignment;
  const auto records = device.read_at(offset + kHeaderBytes, rest);
  if (!records) return records;
  return *header + *records;
}

Result<bool> is_blank(DeviceFile& device, std::uint64_t offset, std::size_t bytes) {
  constexpr std::size_t kPiece = 256 * kKiB;
  for (std::size_t done = 0; done < bytes; done += kPiece) {
    const auto piece = device.read_at(offset + done, kPiece);
    if (!piece) return piece.error();
    if (!is_zero(*piece)) return false;
  }
  return true;
}

}  // namespace

Result<std::string> encode(const Superblock& superblock) {
  std::size_t extents = 0;
  for (const SegmentRecord& segment : superblock.segments) extents += segment.extents.size();
  const std::size_t length = kHeaderBytes + superblock.segments.size() * kSegmentBytes +
                             extents * kExtentBytes + superblock.claims.size() * kClaimBytes;
  if (length > kCopyBytes)
    return Error{Code::busy, "the allocation map of the device is full: it has " +
                                 std::to_string(superblock.segments.size()) + " segments in " +
                                 std::to_string(extents + superblock.claims.size()) +
                                 " pieces; add a device, or move volumes away"};
  if (superblock.disk.size() > kDiskNameBytes)
    return Error{Code::bad_parameter, "the name of disk '" + superblock.disk + "' is longer than " +
                                          std::to_string(kDiskNameBytes) + " bytes"};
  std::uint32_t flags = 0;
  for (const FlagBit& bit : kFlagBits)
    if (superblock.flags.*bit.flag) flags |= bit.bit;

  Writer out;
  out.put(kMagic);
  out.put(kVersion);
  out.put(std::uint32_t{0});
  out.put(static_cast<std::uint32_t>(length));
  out.put(static_cast<std::uint32_t>(superblock.geometry.sector_size));
  out.put(superblock.generation);
  out.put(superblock.uuid);
  out.put(static_cast<std::uint32_t>(superblock.node));
  out.put(flags);
  out.put(superblock.geometry.sectors);
  out.put(superblock.geometry.data_sectors);
  out.put(static_cast<std::uint32_t>(superblock.segments.size()));
  out.put(static_cast<std::uint32_t>(extents));
  out.put(static_cast<std::uint32_t>(superblock.claims.size()));
  out.put(static_cast<std::uint16_t>(superblock.disk.size()));
  out.put(std::string_view(superblock.disk));
  out.zeroes_to(kHeaderBytes);
  for (const SegmentRecord& segment : superblock.segments) {
    out.put(segment.id.vid);
    out.put(segment.id.index);
    out.put(segment.id.level);
    out.put(segment.blocks);
    out.put(static_cast<std::uint32_t>(segment.block_size));
    out.put(static_cast<std::uint32_t>(segment.extents.size()));
    out.put(static_cast<std::uint8_t>(segment.kind));
    out.put(static_cast<std::uint8_t>(segment.state));
    out.put(static_cast<std::uint8_t>(segment.freeing));
    out.zeroes(5);
    out.put(segment.allocated_ns);
  }
  for (const SegmentRecord& segment : superblock.segments)
    for (const Extent& extent : segment.extents) {
      out.put(extent.device);
      out.put(extent.start);
      out.put(extent.sectors);
      out.put(extent.blocks);
    }
  for (const Claim& claim : superblock.claims) {
    out.put(claim.id.vid);
    out.put(claim.id.index);
    out.put(claim.id.level);
    out.put(claim.home);
    out.put(claim.start);
    out.put(claim.sectors);
    out.put(claim.blocks);
    out.zeroes(8);
  }
  std::string copy = out.take();
  put_number(copy, kChecksumAt, checksum_of(copy));
  copy.resize((copy.size() + kAlignment - 1) / kAlignment * kAlignment);
  return copy;
}

Result<Superblock> decode(std::string_view copy) {
  if (copy.size() < kHeaderBytes || !copy.starts_with(kMagic)) return invalid("is none of confd's");
  Reader in(copy);
  in.go_to(kMagic.size());
  const auto version = in.get<std::uint32_t>();
  const auto checksum = in.get<std::uint32_t>();
  const auto length = in.get<std::uint32_t>();
  if (version != kVersion)
    return invalid("has version " + std::to_string(version) + "; this confd reads version " +
                   std::to_string(kVersion));
  if (length < kHeaderBytes || length > copy.size()) return invalid("has a wrong length");
  copy = copy.substr(0, length);
  if (checksum_of(copy) != checksum) return invalid("has a wrong checksum");

  Superblock superblock;
  superblock.geometry.sector_size = in.get<std::uint32_t>();
  superblock.generation = in.get<std::uint64_t>();
  superblock.uuid = in.uuid();
  superblock.node = static_cast<int>(in.get<std::uint32_t>());
  const auto flags = in.get<std::uint32_t>();
  for (const FlagBit& bit : kFlagBits) superblock.flags.*bit.flag = (flags & bit.bit) != 0;
  superblock.geometry.sectors = in.get<std::uint64_t>();
  superblock.geometry.data_sectors = in.get<std::uint64_t>();
  const std::uint64_t segments = in.get<std::uint32_t>();
  const std::uint64_t extents = in.get<std::uint32_t>();
  const std::uint64_t claims = in.get<std::uint32_t>();
  const std::size_t name_bytes = in.get<std::uint16_t>();
  if (name_bytes > kDiskNameBytes || !is_sector_size(superblock.geometry.sector_size) ||
      superblock.geometry.data_sectors > superblock.geometry.sectors ||
      length != kHeaderBytes + segments * kSegmentBytes + extents * kExtentBytes + claims * kClaimBytes)
    return invalid("has numbers that do not fit together");
  superblock.disk = in.text(name_bytes);

  in.go_to(kHeaderBytes);
  std::uint64_t extents_left = extents;
  std::vector<std::uint64_t> counts;
  for (std::uint64_t i = 0; i < segments; ++i) {
    SegmentRecord segment;
    segment.id.vid = in.get<std::uint64_t>();
    segment.id.index = in.get<std::uint32_t>();
    segment.id.level = in.get<std::uint32_t>();
    segment.blocks = in.get<std::uint64_t>();
    segment.block_size = in.get<std::uint32_t>();
    counts.push_back(in.get<std::uint32_t>());
    const auto kind = in.get<std::uint8_t>();
    const auto state = in.get<std::uint8_t>();
    segment.freeing = in.get<std::uint8_t>() != 0;
    in.skip(5);
    segment.allocated_ns = in.get<std::int64_t>();
    if (kind > static_cast<int>(SegmentKind::temporary) ||
        state > static_cast<int>(SegmentState::recovering) || counts.back() > extents_left)
      return invalid("has a segment that can't be");
    segment.kind = static_cast<SegmentKind>(kind);
    segment.state = static_cast<SegmentState>(state);
    extents_left -= counts.back();
    superblock.segments.push_back(std::move(segment));
  }
  if (extents_left != 0) return invalid("has extents of no segment");
  for (std::size_t i = 0; i < superblock.segments.size(); ++i)
    for (std::uint64_t k = 0; k < counts[i]; ++k) {
      Extent extent;
      extent.device = in.uuid();
      extent.start = in.get<std::uint64_t>();
      extent.sectors = in.get<std::uint64_t>();
      extent.blocks = in.get<std::uint64_t>();
      superblock.segments[i].extents.push_back(extent);
    }
  for (std::uint64_t i = 0; i < claims; ++i) {
    Claim claim;
    claim.id.vid = in.get<std::uint64_t>();
    claim.id.index = in.get<std::uint32_t>();
    claim.id.level = in.get<std::uint32_t>();
    claim.home = in.uuid();
    claim.start = in.get<std::uint64_t>();
    claim.sectors = in.get<std::uint64_t>();
    claim.blocks = in.get<std::uint64_t>();
    in.skip(8);
    superblock.claims.push_back(claim);
  }
  return superblock;
}

Result<SuperblockRegion> read_region(DeviceFile& device) {
  const auto size = device.size();
  if (!size) return size.error();
  if (*size < kSuperblockBytes)
    return Error{Code::bad_parameter,
                 "the device has " + std::to_string(*size) + " bytes, too few for the superblock of 4 MiB"};
  SuperblockRegion region;
  bool any_magic = false;
  for (int which = 0; which < 2; ++which) {
    bool has_magic = false;
    const auto copy = read_copy(device, which, has_magic);
    if (!copy) return copy.error();
    any_magic = any_magic || has_magic;
    auto decoded = decode(*copy);
    if (decoded && copy_offset(decoded->generation) != static_cast<std::uint64_t>(which) * kCopyBytes)
      decoded = invalid("is a copy at the other copy's place");
    if (!decoded) {
      region.problem = "copy " + std::to_string(which) + ": " + decoded.error().text;
      continue;
    }
    region.copies_valid[which] = true;
    if (region.content != SuperblockRegion::Content::ours ||
        decoded->generation > region.superblock.generation)
      region.superblock = std::move(*decoded);
    region.content = SuperblockRegion::Content::ours;
  }
  if (region.content == SuperblockRegion::Content::ours) return region;
  bool all_blank = true, one_blank = false;
  for (int which = 0; which < 2; ++which) {
    const auto blank = is_blank(device, static_cast<std::uint64_t>(which) * kCopyBytes, kCopyBytes);
    if (!blank) return blank.error();
    all_blank = all_blank && *blank;
    one_blank = one_blank || *blank;
  }
  if (all_blank || (any_magic && one_blank))
    region.content = SuperblockRegion::Content::blank;
  else
    region.content = any_magic ? SuperblockRegion::Content::damaged : SuperblockRegion::Content::foreign;
  return region;
}

Status write_new(DeviceFile& device, Superblock& superblock) {
  // All of it, so that a file takes its blocks from the file system now and not when the disk is full.
  const std::string zeroes(256 * kKiB, '\0');
  for (std::uint64_t at = 0; at < kSuperblockBytes; at += zeroes.size())
    if (Status done = device.write_at(at, zeroes); !done) return done;
  if (Status done = device.sync(); !done) return done;
  for (superblock.generation = 1;; ++superblock.generation) {
    if (Status done = write_copy(device, superblock); !done) return done;
    if (superblock.generation == 2) return {};
  }
}

Status write_next(DeviceFile& device, Superblock& superblock) {
  ++superblock.generation;
  Status done = write_copy(device, superblock);
  if (!done) --superblock.generation;
  return done;
}

}  // namespace confd::storage
