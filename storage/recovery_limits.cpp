#include "storage/recovery_limits.h"

#include <algorithm>
#include <cstring>

#include "base/content_checksum.h"
#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Struct;

namespace {

constexpr std::uint64_t kMiBytes = 1 << 20;
constexpr std::size_t kPiece = 1 << 20;
constexpr std::chrono::seconds kLongest{3};

// Words of a xorshift generator: no link and no file system makes them smaller.
class Noise : public cluster::FileSource {
 public:
  explicit Noise(std::uint64_t bytes) : left_(bytes) {}
  Result<std::string> read(std::size_t most) override {
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left_, most));
    std::string piece((bytes + sizeof(state_) - 1) / sizeof(state_) * sizeof(state_), '\0');
    for (std::size_t at = 0; at < piece.size(); at += sizeof(state_)) {
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      std::memcpy(piece.data() + at, &state_, sizeof(state_));
    }
    piece.resize(bytes);
    left_ -= bytes;
    return piece;
  }

 private:
  std::uint64_t left_;
  std::uint64_t state_ = 0x9E3779B97F4A7C15u;
};

// Takes the content as a copy does: hashed and written.
class Scratch {
 public:
  Scratch(const CalibrationPlace& place, std::stop_token stop)
      : place_(place), path_(base::join_path(place.folder, "calibration")), stop_(std::move(stop)) {}
  ~Scratch() {
    file_.reset();
    (void)place_.files.remove(path_).ok();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  Status open() {
    if (Status made = place_.files.make_directories(place_.folder, 0700); !made) return made;
    auto file = place_.files.create(path_, 0600);
    if (!file) return file.error();
    file_ = std::move(*file);
    begun_ = place_.clock.steady_now();
    return {};
  }
  // Code::timeout when enough was measured.
  Status take(std::string_view piece) {
    if (stop_.stop_requested()) return Error{Code::stopped, "stopped while the recovery was calibrated"};
    hash_.update(piece);
    if (Status written = file_->append(piece); !written) return failed_ = written;
    bytes_ += piece.size();
    if (bytes_ >= kCalibrationBytes || place_.clock.steady_now() - begun_ >= kLongest)
      return Error{Code::timeout, "enough"};
    return {};
  }
  Result<Calibration> finish(std::optional<int> source) {
    if (stop_.stop_requested()) return Error{Code::stopped, "stopped while the recovery was calibrated"};
    if (!failed_) return failed_.error();
    if (Status synced = file_->sync(); !synced) return synced.error();
    return Calibration{bytes_, place_.clock.steady_now() - begun_, source};
  }
  std::uint64_t bytes() const { return bytes_; }
  bool failed() const { return !failed_ || stop_.stop_requested(); }

 private:
  const CalibrationPlace& place_;
  const std::string path_;
  const std::stop_token stop_;
  std::unique_ptr<base::File> file_;
  base::SteadyTime begun_;
  base::ContentChecksum hash_;
  std::uint64_t bytes_ = 0;
  Status failed_;
};

}  // namespace

RecoveryLimits recovery_limits(const exaconf::Config& config, int node) {
  const exaconf::Section* section = config.section("Node", std::to_string(node));
  const auto value = [&](std::string_view key) {
    const std::string* own = section != nullptr ? section->find(key) : nullptr;
    if (own == nullptr || own->empty()) own = config.get("EXAStorage", key);
    return own != nullptr ? *own : std::string();
  };
  RecoveryLimits limits;
  limits.enabled = !base::equals_ignoring_case(value("BgRecEnabled"), "false");
  const auto mib = base::parse_int(value("BgRecLimit"));
  if (mib && *mib > 0) limits.bytes_per_second = static_cast<std::uint64_t>(*mib) * kMiBytes;
  return limits;
}

std::uint64_t Calibration::bytes_per_second() const {
  const double seconds = std::max(1e-6, std::chrono::duration<double>(took).count());
  return static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds);
}

std::uint64_t automatic_limit(const Calibration& calibration) {
  return std::max<std::uint64_t>(1, calibration.bytes_per_second() / 5 * 4 / kMiBytes) * kMiBytes;
}

Result<Calibration> calibrate(ArchiveLink& link, const CalibrationPlace& place,
                              const std::vector<int>& sources, std::stop_token stop) {
  ArchiveLink::Transfer rules;
  rules.timeout = std::chrono::seconds(20);
  rules.stop = stop;
  for (const int source : sources) {
    Scratch scratch(place, stop);
    if (Status opened = scratch.open(); !opened) return opened.error();
    const auto got = link.fetch(
        source, "recovery.probe", {{"bytes", static_cast<std::int64_t>(kCalibrationBytes)}},
        [&](std::string_view piece) { return scratch.take(piece); }, rules);
    // A node that ends in the middle is asked for nothing more; what came is no figure.
    const bool enough = scratch.bytes() > 0 && (got || got.error().code == Code::timeout);
    if (enough || scratch.failed()) return scratch.finish(source);
  }
  Scratch scratch(place, stop);
  if (Status opened = scratch.open(); !opened) return opened.error();
  Noise noise(kCalibrationBytes);
  for (Status going; going;) {
    const auto piece = noise.read(kPiece);
    going = scratch.take(*piece);
  }
  return scratch.finish(std::nullopt);
}

void register_recovery_probe(cluster::NodeControl& control) {
  control.register_fetch(
      "recovery.probe",
      [](const Struct& params, std::stop_token) -> Result<std::unique_ptr<cluster::FileSource>> {
        const base::Value* bytes = params.find("bytes");
        if (bytes == nullptr || !bytes->is_int() || bytes->as_int() < 0)
          return Error{Code::bad_parameter, "parameter 'bytes' is missing or wrong"};
        return std::unique_ptr<cluster::FileSource>(std::make_unique<Noise>(
            std::min(kCalibrationBytes, static_cast<std::uint64_t>(bytes->as_int()))));
      });
}

}  // namespace confd::storage
