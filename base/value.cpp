#include "base/value.h"

#include <algorithm>

namespace confd::base {

Struct::Struct(std::initializer_list<Member> members) : members_(members) {}

const Value* Struct::find(std::string_view name) const {
  for (const Member& member : members_)
    if (member.first == name) return &member.second;
  return nullptr;
}

Value* Struct::find(std::string_view name) {
  for (Member& member : members_)
    if (member.first == name) return &member.second;
  return nullptr;
}

Value& Struct::operator[](std::string_view name) {
  if (Value* found = find(name)) return *found;
  make_room();
  members_.emplace_back(std::string(name), Value());
  return members_.back().second;
}

void Struct::set(std::string_view name, Value value) {
  (*this)[name] = std::move(value);
}

void Struct::append(std::string name, Value value) {
  make_room();
  members_.emplace_back(std::move(name), std::move(value));
}

bool Struct::erase(std::string_view name) {
  auto it = std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.first == name; });
  if (it == members_.end()) return false;
  members_.erase(it);
  return true;
}

const Value* Value::find(std::string_view name) const {
  return is_struct() ? as_struct().find(name) : nullptr;
}

bool operator==(const Value& a, const Value& b) {
  return a.data_ == b.data_;
}

bool operator==(const Struct& a, const Struct& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, value] : a) {
    const Value* other = b.find(name);
    if (!other || !(*other == value)) return false;
  }
  return true;
}

std::string_view type_name(Value::Type type) {
  switch (type) {
    case Value::Type::null:
      return "null";
    case Value::Type::boolean:
      return "bool";
    case Value::Type::integer:
      return "int";
    case Value::Type::real:
      return "double";
    case Value::Type::string:
      return "string";
    case Value::Type::array:
      return "array";
    case Value::Type::structure:
      return "struct";
  }
  return "value";
}

}  // namespace confd::base
