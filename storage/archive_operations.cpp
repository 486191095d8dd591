#include "storage/archive_operations.h"

#include <algorithm>

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using base::Struct;
using base::Value;
using Type = base::Value::Type;
using Copy = ArchiveCopies::Copy;
using Params = std::vector<std::pair<std::string, Type>>;

namespace {

std::int64_t number(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

Error wrong(const std::string& name) {
  return {Code::bad_parameter, "parameter '" + name + "' is missing or has a wrong value"};
}

// Of any operation, a stream as well: there nobody has looked at the parameters before.
Result<std::uint64_t> count(const Struct& params, const std::string& name) {
  const Value* value = params.find(name);
  if (value == nullptr || !value->is_int() || value->as_int() < 0) return wrong(name);
  return static_cast<std::uint64_t>(value->as_int());
}

Result<std::string> text(const Struct& params, const std::string& name) {
  const Value* value = params.find(name);
  if (value == nullptr || !value->is_string()) return wrong(name);
  return value->as_string();
}

Result<std::vector<int>> nodes(const Struct& params, const std::string& name) {
  const Value* value = params.find(name);
  if (value == nullptr || !value->is_array()) return wrong(name);
  std::vector<int> found;
  for (const Value& node : value->as_array()) {
    if (!node.is_int() || node.as_int() < 0 || node.as_int() > 0x7FFFFFFF) return wrong(name);
    found.push_back(static_cast<int>(node.as_int()));
  }
  return found;
}

Result<Copy> copy_of(ArchiveCopies& copies, const Struct& params) {
  const auto vid = count(params, "vid"), index = count(params, "index"), level = count(params, "level");
  if (!vid) return vid.error();
  if (!index) return index.error();
  if (!level) return level.error();
  if (*index > 0x7FFFFFFF || *level > 0x7FFFFFFF) return wrong("index");
  return copies.find({*vid, static_cast<std::uint32_t>(*index), static_cast<std::uint32_t>(*level)});
}

Result<Value> nothing(const Status& done) {
  if (!done) return done.error();
  return Value();
}

Result<Value> find(ArchiveCopies& copies, const Copy& copy, const Struct& params, std::stop_token stop) {
  const auto state = copy.files->state(params.find("path")->as_string(), stop);
  if (!state) return state.error();
  const auto used = copies.storage().used_bytes(copy.place, stop);
  if (!used) return used.error();
  base::Array missed;
  for (const auto& [node, note] : state->missed)
    missed.push_back(Struct{{"node", node}, {"note", number(note)}});
  Value entry;
  if (state->entry)
    entry = Struct{{"version", number(state->entry->version)},
                   {"size", number(state->entry->size)},
                   {"checksum", state->entry->checksum}};
  const std::uint64_t bytes = copy.place.bytes();
  return Value(Struct{{"state", state_name(copy.place.state)},
                      {"in_step", state->in_step && copy.place.state == SegmentState::online},
                      {"counter", number(state->counter)},
                      {"digest", number(state->digest)},
                      {"damaged", number(state->damaged)},
                      {"free_bytes", number(bytes - std::min(bytes, *used))},
                      {"missed", std::move(missed)},
                      {"entry", std::move(entry)}});
}

Result<Value> list(const Copy& copy, const Struct& params, std::stop_token stop) {
  const auto most = count(params, "most");
  if (!most) return most.error();
  const auto found =
      copy.files->list(params.find("folder")->as_string(), params.find("after")->as_string(),
                       static_cast<std::size_t>(std::min<std::uint64_t>(*most, 1000)), std::move(stop));
  if (!found) return found.error();
  base::Array files;
  for (const auto& [path, entry] : *found)
    files.push_back(Struct{{"path", path}, {"version", number(entry.version)}, {"size", number(entry.size)}});
  return Value(Struct{{"files", std::move(files)}});
}

class Text : public cluster::FileSource {
 public:
  explicit Text(std::string text) : text_(std::move(text)) {}
  Result<std::string> read(std::size_t most) override {
    std::string piece = text_.substr(at_, most);
    at_ += piece.size();
    return piece;
  }

 private:
  const std::string text_;
  std::size_t at_ = 0;
};

// What an operation does with the copy it names.
using OnCopy = std::function<Result<Value>(const Copy&, const Struct&, std::stop_token)>;

void add(cluster::NodeControl& control, ArchiveCopies& copies, const std::string& name, Params params,
         std::chrono::milliseconds timeout, OnCopy run) {
  for (const char* id : {"vid", "index", "level"}) params.emplace_back(id, Type::integer);
  control.register_operation(
      name,
      [&copies, run = std::move(run)](const Struct& given, std::stop_token stop) -> Result<Value> {
        const auto copy = copy_of(copies, given);
        if (!copy) return copy.error();
        return run(*copy, given, std::move(stop));
      },
      {.repeatable = true, .timeout = timeout, .params = std::move(params)});
}

}  // namespace

Result<Copy> ArchiveCopies::find(const SegmentId& id) {
  const auto place = storage_.segment(id);
  if (!place)
    return Error{Code::not_found,
                 "node " + std::to_string(storage_.node()) + " does not have " + segment_text(id)};
  if (place->kind != SegmentKind::archive)
    return Error{Code::wrong_state, segment_text(id) + " is not of an archive volume"};
  if (place->state == SegmentState::offline) {
    // Who asks in vain may write without it: when it is back, it is compared first.
    MutexLock lock(mutex_);
    const auto known = by_folder_.find(place->folder);
    ArchiveSegment* files = known == by_folder_.end() ? nullptr : known->second.get();
    lock.unlock();
    if (files != nullptr) files->set_in_step(false);
    return Error{Code::wrong_state, segment_text(id) + " is OFFLINE on node " +
                                        std::to_string(storage_.node()) +
                                        (place->reason.empty() ? "" : ": " + place->reason)};
  }
  MutexLock lock(mutex_);
  auto& files = by_folder_[place->folder];
  if (!files) files = std::make_unique<ArchiveSegment>(place->folder, services_);
  return Copy{*place, files.get()};
}

void register_archive_operations(cluster::NodeControl& control, ArchiveCopies& copies) {
  constexpr std::chrono::seconds kShort{10}, kLong{60}, kWhole{600};
  add(control, copies, "archive.find", {{"path", Type::string}}, kShort,
      [&copies](const Copy& copy, const Struct& params, std::stop_token stop) {
        return find(copies, copy, params, std::move(stop));
      });
  add(control, copies, "archive.list",
      {{"folder", Type::string}, {"after", Type::string}, {"most", Type::integer}}, kShort, list);
  add(control, copies, "archive.commit",
      {{"path", Type::string}, {"stage", Type::string}, {"version", Type::integer}, {"without", Type::array}},
      kLong, [](const Copy& copy, const Struct& params, std::stop_token stop) -> Result<Value> {
        const auto version = count(params, "version");
        if (!version) return version.error();
        const auto without = nodes(params, "without");
        if (!without) return without.error();
        return nothing(copy.files->commit(params.find("path")->as_string(), params.find("stage")->as_string(),
                                          *version, *without, std::move(stop)));
      });
  add(control, copies, "archive.remove",
      {{"path", Type::string}, {"version", Type::integer}, {"without", Type::array}}, kLong,
      [](const Copy& copy, const Struct& params, std::stop_token stop) -> Result<Value> {
        const auto version = count(params, "version");
        if (!version) return version.error();
        const auto without = nodes(params, "without");
        if (!without) return without.error();
        return nothing(
            copy.files->remove(params.find("path")->as_string(), *version, *without, std::move(stop)));
      });
  add(control, copies, "archive.clear", {{"version", Type::integer}, {"without", Type::array}}, kWhole,
      [](const Copy& copy, const Struct& params, std::stop_token stop) -> Result<Value> {
        const auto version = count(params, "version");
        if (!version) return version.error();
        const auto without = nodes(params, "without");
        if (!without) return without.error();
        return nothing(copy.files->clear(*version, *without, std::move(stop)));
      });
  add(control, copies, "archive.note", {{"nodes", Type::array}}, kShort,
      [](const Copy& copy, const Struct& params, std::stop_token stop) -> Result<Value> {
        const auto missing = nodes(params, "nodes");
        if (!missing) return missing.error();
        return nothing(copy.files->note(*missing, std::move(stop)));
      });
  add(control, copies, "archive.rejoin", {{"node", Type::integer}, {"note", Type::integer}}, kShort,
      [](const Copy& copy, const Struct& params, std::stop_token stop) -> Result<Value> {
        const auto note = count(params, "note");
        if (!note) return note.error();
        return nothing(
            copy.files->rejoin(static_cast<int>(params.find("node")->as_int()), *note, std::move(stop)));
      });
  control.register_send(
      "archive.put",
      [&copies](const Struct& params, std::stop_token stop) -> Result<std::unique_ptr<cluster::FileSink>> {
        const auto copy = copy_of(copies, params);
        if (!copy) return copy.error();
        const auto path = text(params, "path");
        if (!path) return path.error();
        const auto room = [&copies, id = copy->place.id, stop](std::uint64_t bytes) {
          return copies.storage().has_room(id, bytes, stop);
        };
        return copy->files->stage(*path, room, stop);
      });
  control.register_fetch(
      "archive.get",
      [&copies](const Struct& params, std::stop_token stop) -> Result<std::unique_ptr<cluster::FileSource>> {
        const auto copy = copy_of(copies, params);
        if (!copy) return copy.error();
        const auto path = text(params, "path");
        if (!path) return path.error();
        const auto offset = count(params, "offset"), version = count(params, "version");
        if (!offset) return offset.error();
        if (!version) return version.error();
        return copy->files->read(*path, *offset, *version == 0 ? std::nullopt : std::optional(*version),
                                 std::move(stop));
      });
  control.register_fetch(
      "archive.manifest",
      [&copies](const Struct& params, std::stop_token stop) -> Result<std::unique_ptr<cluster::FileSource>> {
        const auto copy = copy_of(copies, params);
        if (!copy) return copy.error();
        const auto manifest = copy->files->manifest(std::move(stop));
        if (!manifest) return manifest.error();
        return std::unique_ptr<cluster::FileSource>(std::make_unique<Text>(manifest_text(*manifest)));
      });
}

}  // namespace confd::storage
