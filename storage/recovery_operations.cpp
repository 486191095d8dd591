// The node operations recovery.*.
#include "storage/recovery.h"

namespace confd::storage {

using base::Result;
using base::Status;
using base::Struct;

void register_recovery_operations(cluster::NodeControl& control, Recovery& recovery) {
  constexpr std::chrono::seconds kShort{10}, kLong{60};
  control.register_operation("recovery.left",
                             [&recovery](const Struct&, std::stop_token) -> Result<base::Value> {
                               base::Array segments;
                               for (const auto& [id, left] : recovery.left())
                                 segments.push_back(Struct{{"vid", static_cast<std::int64_t>(id.vid)},
                                                           {"index", static_cast<std::int64_t>(id.index)},
                                                           {"level", static_cast<std::int64_t>(id.level)},
                                                           {"files", static_cast<std::int64_t>(left.files)},
                                                           {"bytes", static_cast<std::int64_t>(left.bytes)}});
                               return base::Value(Struct{{"segments", std::move(segments)}});
                             },
                             {.repeatable = true, .timeout = kShort});
  const auto add = [&](const std::string& name, void (Recovery::*run)(std::uint64_t)) {
    control.register_operation(
        name,
        [&recovery, run](const Struct& params, std::stop_token) -> Result<base::Value> {
          (recovery.*run)(static_cast<std::uint64_t>(params.find("vid")->as_int()));
          return base::Value();
        },
        {.repeatable = true, .timeout = kShort, .params = {{"vid", base::Value::Type::integer}}});
  };
  register_recovery_probe(control);
  control.register_operation(
      "recovery.restore",
      [&recovery](const Struct& params, std::stop_token stop) -> Result<base::Value> {
        const auto vid = static_cast<std::uint64_t>(params.find("vid")->as_int());
        if (Status done = recovery.restore(vid, std::move(stop)); !done) return done.error();
        return base::Value();
      },
      {.repeatable = true, .timeout = kLong, .params = {{"vid", base::Value::Type::integer}}});
  control.register_operation(
      "recovery.calibrate",
      [&recovery](const Struct&, std::stop_token stop) -> Result<base::Value> {
        const auto measured = recovery.calibrate(std::move(stop));
        if (!measured) return measured.error();
        return base::Value(
            Struct{{"bytes", static_cast<std::int64_t>(measured->bytes)},
                   {"bytes_per_second", static_cast<std::int64_t>(measured->bytes_per_second())},
                   {"limit", static_cast<std::int64_t>(recovery.automatic_limit())},
                   {"source", measured->source ? base::Value(*measured->source) : base::Value()}});
      },
      {.repeatable = true, .timeout = kLong});
  add("recovery.stop", &Recovery::stop);
  add("recovery.restart", &Recovery::restart);
}

}  // namespace confd::storage
