-- wrk: POSTs with a login; prints one line of JSON at the end.
-- arguments: FILE   the same body each time
--            users N MARK   a user_modify of a different user each time, each with a new key
local body, count, users, mark = nil, 0, nil, nil

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "text/xml"
  wrk.headers["Authorization"] = os.getenv("BENCH_LOGIN")
  if arguments[1] == "users" then
    users, mark = tonumber(arguments[2]), arguments[3]
    request = modify
  else
    local file = assert(io.open(arguments[1], "rb"))
    wrk.body = file:read("*a")
    file:close()
  end
end

function modify()
  count = count + 1
  return wrk.format(nil, nil, nil, string.format(
    "<?xml version='1.0'?><methodCall><methodName>job_exec</methodName><params><param><value>user_modify</value></param>" ..
    "<param><value><struct><member><name>params</name><value><struct>" ..
    "<member><name>username</name><value>bench%d</value></member>" ..
    "<member><name>authorized_keys</name><value><array><data><value>key %s-%d</value></data></array></value></member>" ..
    "</struct></value></member></struct></value></param></params></methodCall>", count % users, mark, count))
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.4f, "p90_ms": %.4f, "p99_ms": %.4f, "max_ms": %.4f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
