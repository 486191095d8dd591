#include "base/result.h"

namespace confd::base {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::ok:
      return "OK";
    case Code::job_error:
      return "JobError";
    case Code::bad_parameter:
      return "BadParameter";
    case Code::forbidden:
      return "Forbidden";
    case Code::unknown_job:
      return "UnknownJob";
    case Code::not_finished:
      return "NotFinished";
    case Code::not_found:
      return "NotFound";
    case Code::exists:
      return "Exists";
    case Code::wrong_state:
      return "WrongState";
    case Code::busy:
      return "Busy";
    case Code::node_unreachable:
      return "NodeUnreachable";
    case Code::no_quorum:
      return "NoQuorum";
    case Code::timeout:
      return "Timeout";
    case Code::stopped:
      return "Stopped";
    case Code::interrupted:
      return "Interrupted";
    case Code::unsupported:
      return "Unsupported";
    case Code::internal:
      return "InternalError";
    case Code::conflict:
      return "Conflict";
    case Code::io_error:
      return "IoError";
    case Code::invalid_config:
      return "InvalidConfig";
    case Code::unknown_job_id:
      return "UnknownJobId";
    case Code::unknown_outcome:
      return "UnknownOutcome";
  }
  return "JobError";
}

}  // namespace confd::base
