#include "services/update_record.h"

#include <memory>
#include <utility>

#include "base/json.h"
#include "base/mutex.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::Result;
using base::Value;

namespace {

std::int64_t sequence_of(const base::Struct& record) {
  const Value* sequence = record.find("sequence");
  return sequence != nullptr && sequence->is_int() ? sequence->as_int() : 0;
}

class UpdateRecord {
 public:
  UpdateRecord(base::FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  Result<Value> read() {
    base::MutexLock lock(mutex_);
    auto record = load();
    if (!record) return record.error();
    return Value(base::Struct{{"record", std::move(*record)}});
  }

  Result<Value> write(const base::Struct& record) {
    base::MutexLock lock(mutex_);
    const auto stored = load();
    if (!stored) return stored.error();
    if (sequence_of(record) <= sequence_of(*stored))
      return Error{Code::conflict, "another call of update_system has gone on meanwhile"};
    if (auto saved = base::replace_file(files_, path_, base::render_json_indented(record) + "\n", 0600);
        !saved)
      return saved.error();
    return Value();
  }

 private:
  Result<base::Struct> load() REQUIRES_LOCK(mutex_) {
    const auto text = files_.read(path_);
    if (!text && text.error().code == Code::not_found) return base::Struct();
    if (!text) return text.error();
    auto value = base::parse_json(*text);
    if (!value || !value->is_struct())
      return Error{Code::io_error, "the state of the last update_system, " + path_ +
                                       ", can't be read: delete the file to begin anew"};
    return std::move(value->as_struct());
  }

  base::FileSystem& files_;
  const std::string path_;
  base::Mutex mutex_;  // over reading and replacing the file; nothing else waits for it
};

}  // namespace

void register_update_record_operations(cluster::NodeControl& control, base::FileSystem& files,
                                       const std::string& root_directory) {
  const auto record =
      std::make_shared<UpdateRecord>(files, base::join_path(root_directory, "spool/update_system.json"));
  control.register_operation("update_record.read",
                             [record](const base::Struct&, std::stop_token) { return record->read(); },
                             {.repeatable = true, .timeout = std::chrono::seconds(10)});
  control.register_operation(
      "update_record.write",
      [record](const base::Struct& params, std::stop_token) {
        return record->write(params.find("record")->as_struct());
      },
      {.timeout = std::chrono::seconds(10), .params = {{"record", Value::Type::structure}}});
}

}  // namespace confd::services
