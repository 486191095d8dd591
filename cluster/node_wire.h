// What nodes say to each other in HTTP: names of paths and headers, bodies as JSON. Used by PeerLink (caller)
// and daemon/node_routes (callee); docs/security.md says who may.
//
//   POST /node/<operation>            {"params": {...}} -> {"result": ...} or {"error": {"code", "text"}}
//   the same, X-Confd-Transfer: fetch or send           -> {"result": "<transfer id>"}
//   POST /node-transfer/<id>?piece=<n>&size=<bytes>     fetch: the n-th piece (application/octet-stream), at
//       the end {"result": {"checksum": ..., "about": {...}}}; send: body = the n-th piece -> {"result":
//       null}, at the end X-Confd-Checksum with an empty body -> {"result": ...}
//   POST /node-transfer/<id>?end=1    the caller gives up
// Up to kPiecesAhead pieces behind the one that is due may come, on other connections: they wait for their
// turn. As many are answered again when asked again.
//
// Every request carries X-Confd-Timeout-Ms. An answer of 200 is one of the operation; other statuses are
// refusals of the callee before anything ran.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/value.h"

namespace confd::cluster::wire {

inline constexpr std::string_view kOperationPath = "/node/";
inline constexpr std::string_view kTransferPath = "/node-transfer/";
inline constexpr std::string_view kTimeoutHeader = "X-Confd-Timeout-Ms";
inline constexpr std::string_view kTransferHeader = "X-Confd-Transfer";
// base/content_checksum.h: guards against mistakes of ours; against others TLS does.
inline constexpr std::string_view kChecksumHeader = "X-Confd-Checksum";
inline constexpr std::uint64_t kPiecesAhead = 3;
inline constexpr std::string_view kPieceType = "application/octet-stream";

std::string render_params(const base::Struct& params);
base::Result<base::Struct> parse_params(std::string_view body);
std::string render_answer(const base::Result<base::Value>& answer);
// Code::io_error for what is no answer.
base::Result<base::Value> parse_answer(std::string_view body);

}  // namespace confd::cluster::wire
