// Value: the one data type that crosses every boundary: job parameters and results, XML-RPC, JSON, YAML, job
// files.
//
// A tree of null, bool, 64-bit integer, double, UTF-8 string, array, struct. A struct keeps its members in
// order of insertion (results go out in server order, spec/confd_client.md §3); names are unique. Copy is
// deep. Thread-safety: a plain value.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace confd::base {

class Value;
using Array = std::vector<Value>;

// Members in order of insertion; look-up is linear, structs here are small. Big ones (thousands of members)
// are only walked.
class Struct {
 public:
  using Member = std::pair<std::string, Value>;
  Struct() = default;
  Struct(std::initializer_list<Member> members);

  const Value* find(std::string_view name) const;
  Value* find(std::string_view name);
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  // Inserts a null when absent.
  Value& operator[](std::string_view name);
  // Replaces or appends.
  void set(std::string_view name, Value value);
  // Appends without looking for an equal name. REQUIRES: no member of that name.
  void append(std::string name, Value value);
  bool erase(std::string_view name);
  // Removes each member for which `gone(member)`, called once for each in order; it may change the others.
  template <class Predicate>
  void remove_if(Predicate gone);

  bool empty() const;
  std::size_t size() const;
  void reserve(std::size_t n);
  const Member* begin() const;
  const Member* end() const;
  Member* begin();
  Member* end();

 private:
  // Most structs have some members: growing by one, two, four costs more than the room.
  void make_room();
  std::vector<Member> members_;
};

class Value {
 public:
  enum class Type { null, boolean, integer, real, string, array, structure };

  Value() = default;
  Value(std::nullptr_t) {}                                     // NOLINT: implicit on purpose, all of these
  Value(bool b) : data_(b) {}                                  // NOLINT
  Value(int n) : data_(static_cast<std::int64_t>(n)) {}        // NOLINT
  Value(unsigned n) : data_(static_cast<std::int64_t>(n)) {}   // NOLINT
  Value(long n) : data_(static_cast<std::int64_t>(n)) {}       // NOLINT
  Value(long long n) : data_(static_cast<std::int64_t>(n)) {}  // NOLINT
  Value(double d) : data_(d) {}                                // NOLINT
  Value(const char* s) : data_(std::string(s)) {}              // NOLINT
  Value(std::string_view s) : data_(std::string(s)) {}         // NOLINT
  Value(std::string s) : data_(std::move(s)) {}                // NOLINT
  Value(Array a) : data_(std::move(a)) {}                      // NOLINT
  Value(Struct s) : data_(std::move(s)) {}                     // NOLINT

  Type type() const { return static_cast<Type>(data_.index()); }
  bool is_null() const { return type() == Type::null; }
  bool is_bool() const { return type() == Type::boolean; }
  bool is_int() const { return type() == Type::integer; }
  bool is_real() const { return type() == Type::real; }
  bool is_string() const { return type() == Type::string; }
  bool is_array() const { return type() == Type::array; }
  bool is_struct() const { return type() == Type::structure; }

  // REQUIRES: the matching is_*(); throws std::bad_variant_access otherwise.
  bool as_bool() const { return std::get<bool>(data_); }
  std::int64_t as_int() const { return std::get<std::int64_t>(data_); }
  double as_real() const { return std::get<double>(data_); }
  const std::string& as_string() const { return std::get<std::string>(data_); }
  std::string& as_string() { return std::get<std::string>(data_); }
  const Array& as_array() const { return std::get<Array>(data_); }
  Array& as_array() { return std::get<Array>(data_); }
  const Struct& as_struct() const { return std::get<Struct>(data_); }
  Struct& as_struct() { return std::get<Struct>(data_); }

  // Member of a struct, or nullptr when this is no struct or has none of that name.
  const Value* find(std::string_view name) const;

  friend bool operator==(const Value& a, const Value& b);

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Struct> data_;
};

// Here, where Value is complete.
inline bool Struct::empty() const {
  return members_.empty();
}
inline std::size_t Struct::size() const {
  return members_.size();
}
inline void Struct::reserve(std::size_t n) {
  members_.reserve(n);
}
inline const Struct::Member* Struct::begin() const {
  return members_.data();
}
inline const Struct::Member* Struct::end() const {
  return members_.data() + members_.size();
}
inline void Struct::make_room() {
  if (members_.capacity() == 0) members_.reserve(4);
}
template <class Predicate>
void Struct::remove_if(Predicate gone) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (gone(members_[i])) continue;
    if (kept != i) members_[kept] = std::move(members_[i]);
    ++kept;
  }
  members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(kept), members_.end());
}
inline Struct::Member* Struct::begin() {
  return members_.data();
}
inline Struct::Member* Struct::end() {
  return members_.data() + members_.size();
}

// Same members with equal values; order is not significant.
bool operator==(const Struct& a, const Struct& b);

// "null", "bool", "int", "double", "string", "array", "struct", for error texts.
std::string_view type_name(Value::Type type);

}  // namespace confd::base
