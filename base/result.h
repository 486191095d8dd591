// Result<T>: a value or an Error, for everything below jobs/. Handlers throw JobError instead
// (jobs/context.h).
//
// Three kinds of error are kept apart: data that a caller can act on (Error, returned), a broken invariant of
// ours (abort), a wrong set-up at start (text and exit). Thread-safety: a Result is a plain value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace confd::base {

// Result codes of jobs, as clients see them in `result_code`. Numbers are never reused; docs/result-codes.md
// says what each means to a caller. 0, 1 and 5 are given by the interface (spec/rpc.md §5, §14), the others
// are ours.
enum class Code {
  ok = 0,
  job_error = 1,      // the general failure of a job
  bad_parameter = 2,  // missing, ill-typed or out of range
  forbidden = 3,      // the caller may not run this
  unknown_job = 4,    // no job of that name
  not_finished = 5,   // the job has not ended yet
  not_found = 6,      // the thing addressed does not exist
  exists = 7,         // the thing to be made exists already
  wrong_state = 8,    // the thing is not in a state that allows this
  busy = 9,           // a limit is reached or something else holds the thing
  node_unreachable = 10,
  no_quorum = 11,
  timeout = 12,
  stopped = 13,          // ended by job_stop
  interrupted = 14,      // confd ended while the job ran
  unsupported = 15,      // the request is understood but can't be done here
  internal = 16,         // we failed
  conflict = 17,         // somebody else changed the same thing meanwhile
  io_error = 18,         // the operating system refused
  invalid_config = 19,   // EXAConf would not be, or is not, valid
  unknown_job_id = 20,   // no job with that id on record
  unknown_outcome = 21,  // asked for, but the answer got lost: it may have happened
};

// CamelCase name as in `result_name`: OK, JobError, BadParameter, ...
std::string_view code_name(Code code);

// An Error names the thing, the reason and, where there is one, the way out.
struct Error {
  Code code = Code::job_error;
  std::string text;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  explicit operator bool() const { return ok(); }
  bool ok() const { return state_.index() == 0; }

  // REQUIRES: ok()
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES: !ok()
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose
  explicit operator bool() const { return ok(); }
  bool ok() const { return !error_; }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace confd::base
