"""What tests/bench/run measures: one function a part. Each point takes a few seconds; counts are bounded."""
import contextlib
import gc
import json
import os
import pathlib
import re
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
import xmlrpc.client

from servers import (LOAD_CORE, ON_LOAD_CORE, ON_SERVER_CORE, PROGRAMS, SERVER_CORE, TOP, UNVERIFIED, Confd, bare_echo, cpu_seconds, forget_peak, memory_of, nginx,
                     python_server)

MB = 1e6


# -- tools

def call_body(method, *arguments):
    return xmlrpc.client.dumps(arguments, method, allow_none=True)


def wrk(report, what, server, confd, connections, *arguments, seconds=None):
    command = [*ON_LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds or report.options.seconds}s", "--timeout", "20s", "--latency",
               "-s", str(TOP / "tests/bench/post.lua"), server.url_of(), "--", *arguments]
    done = subprocess.run(command, env=dict(os.environ, BENCH_LOGIN=confd.basic()), capture_output=True, text=True, timeout=3600)
    report.note(what, " ".join(command) + "\n" + done.stdout + done.stderr)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if not line:
        raise SystemExit(f"wrk gave no result for {what}: {done.stdout}{done.stderr}")
    result = json.loads(line[7:])
    if result["errors"]:
        raise SystemExit(f"{what}: {result['errors']} errors; a figure with errors says nothing:\n{done.stdout}")
    return result


class Connection:
    """One keep-alive connection with a login, as light as Python can be: latency is the server's, nearly."""

    def __init__(self, server, confd):
        self.socket = UNVERIFIED.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=60))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.login = confd.basic()

    def request(self, body):
        return (f"POST /RPC2 HTTP/1.1\r\nHost: confd\r\nAuthorization: {self.login}\r\nContent-Type: text/xml\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body.encode()

    def exchange(self, request):
        """Sends, returns the whole answer (header and body)."""
        self.socket.sendall(request)
        answer = b""
        while True:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed before the answer was whole")
            answer += more
            head, found, body = answer.partition(b"\r\n\r\n")
            if found:
                length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")).split(b":")[1])
                if len(body) >= length:
                    return answer

    def call(self, method, *arguments):
        answer = self.exchange(self.request(call_body(method, *arguments)))
        return xmlrpc.client.loads(answer.partition(b"\r\n\r\n")[2])[0][0]

    def close(self):
        self.socket.close()


def timed(action):
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


@contextlib.contextmanager
def on_core(core):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.sched_setaffinity(0, before)


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def body_file(folder, name, text):
    path = pathlib.Path(folder, name)
    path.write_text(text)
    return str(path)


def failed_jobs(confd):
    return confd.rpc().job_history({"state": "failed", "limit": 1})


# -- parts

TURNS = 5


def throughput(report):
    with Confd() as confd, tempfile.TemporaryDirectory() as folder:
        rate, shares = {}, {}
        p50, p99 = {}, {}
        for job in ("node_state", "node_list"):
            body = body_file(folder, job, call_body("job_exec", job))
            connection = Connection(confd, confd)
            size = len(connection.exchange(connection.request(call_body("job_exec", job))).partition(b"\r\n\r\n")[2])
            connection.close()
            with bare_echo(confd, size) as echo, nginx(confd, size) as web, python_server(confd) as python:
                servers = [("confd", confd), ("bare echo", echo), ("nginx", web), ("Python xmlrpc.server", python)]
                for name, server in servers:
                    wrk(report, f"{job}: warm up {name}", server, confd, 4, body, seconds=1)
                for connections in (1, 16, 64):
                    before = int(confd.job("node_list")["result_jobid"].split(".")[1])
                    # In turns: a machine that is slower for some seconds is so for all of them.
                    turns = {}
                    for turn in range(TURNS):
                        for name, server in servers:
                            if not name.startswith("Python") or job == "node_state":
                                what = f"{job}: {name}, {connections} connections, turn {turn}"
                                turns.setdefault(name, []).append(wrk(report, what, server, confd, connections, body, seconds=max(1, report.options.seconds // 2)))
                    asked = sum(result["requests"] for result in turns["confd"])
                    for name, server in servers:
                        if name not in turns:
                            continue
                        result = sorted(turns[name], key=lambda each: each["requests"] / each["seconds"])[TURNS // 2]
                        key = (job, name, connections)
                        rate[key] = result["requests"] / result["seconds"]
                        p50[key], p99[key] = result["p50_ms"], result["p99_ms"]
                        if server is confd:
                            shown = f"confd `job_exec('{job}')`, answer of {size} bytes"
                        else:
                            shares[key] = statistics.median((ours["requests"] / ours["seconds"]) / (other["requests"] / other["seconds"])
                                                            for ours, other in zip(turns["confd"], turns[name]))
                            share = shares[key]
                            shown = {"bare echo": "bare echo, the same size", "nginx": "nginx `return 200`, the same size"}.get(name, name)
                        report.row(shown, connections, result, "" if server is confd else f"confd does {share:.2f} of it")
                    recorded = int(confd.job("node_list")["result_jobid"].split(".")[1]) - before - 1
                    if recorded < asked or failed_jobs(confd):
                        raise SystemExit(f"{asked} jobs were answered, {recorded} have an id, failed: {failed_jobs(confd)}")
        for job in ("node_state", "node_list"):
            def share(other, connections):
                return shares[job, other, connections]
            report.goal(f"{job}, 16 connections, of the bare echo", f"{share('bare echo', 16):.2f}", ">= 0.5", share("bare echo", 16) >= 0.5)
            report.goal(f"{job}, 16 connections, of nginx", f"{share('nginx', 16):.2f}", ">= 0.25", share("nginx", 16) >= 0.25)
            if job == "node_state":
                times = share("Python xmlrpc.server", 16)
                report.goal(f"{job}, 16 connections, of Python's server", f"{times:.1f} times", ">= 3 times", times >= 3)
            times = p50[job, "confd", 1] / p50[job, "bare echo", 1]
            report.goal(f"{job}, one connection, p50", f"{p50[job, 'confd', 1]:.3f} ms, {times:.2f} of the bare echo", "<= 2", times <= 2)
            worst = p99[job, "confd", 64]
            report.goal(f"{job}, 64 connections, p99", f"{worst:.2f} ms", "< 10 ms, aim 4", worst < 10)


def connections(report):
    count = 800
    with Confd() as confd, bare_echo(confd, 600) as echo, on_core(LOAD_CORE):
        plain = b"GET /is_master HTTP/1.1\r\nHost: confd\r\n\r\n"
        context = ssl._create_unverified_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3

        def cost(server, request):
            before = cpu_seconds(server.pid)
            for _ in range(count):
                with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port))) as connection:
                    if request:
                        connection.sendall(request)
                        connection.recv(65536)
            time.sleep(0.05)
            return (cpu_seconds(server.pid) - before) / count * 1e6
        rounds = {"confd": [], "bare echo": []}
        with_job = []
        job = Connection(confd, confd)
        job_request = job.request(call_body("job_exec", "node_state"))
        job.exchange(job_request)
        for server in (confd, echo):
            cost(server, plain)
        for _ in range(3):
            for name, server in (("confd", confd), ("bare echo", echo)):
                rounds[name].append(cost(server, plain))
            with_job.append(cost(confd, job_request))
        report.note("CPU per fresh TLS 1.3 connection, microseconds", json.dumps({**rounds, "confd with job_exec": with_job}))
        ours, bare = min(rounds["confd"]), min(rounds["bare echo"])
        report.goal("server CPU per fresh TLS connection and GET /is_master", f"{ours:.0f} us, bare echo {bare:.0f} us: {ours / bare:.2f}", "<= 1.15",
                    ours / bare <= 1.15)
        report.goal("the same with a whole job_exec('node_state')", f"{min(with_job):.0f} us: {min(with_job) / bare:.2f}", "", None)

        def latencies(seconds):
            times, until = [], time.perf_counter() + seconds
            while time.perf_counter() < until:
                times.append(timed(lambda: job.exchange(job_request)))
            return times
        latencies(0.5)
        alone, beside = [], []
        for _ in range(3):
            alone += latencies(1)
            silent = [socket.create_connection(("127.0.0.1", confd.port)) for _ in range(200)]
            beside += latencies(1)
            for one in silent:
                one.close()
        a, b = statistics.median(alone), statistics.median(beside)
        report.note("one caller beside 200 silent TCP clients", json.dumps({"alone": [len(alone), a, percentile(alone, .99)],
                                                                           "beside": [len(beside), b, percentile(beside, .99)]}))
        report.goal("one caller beside 200 silent TCP clients, p50", f"{b:.3f} ms, alone {a:.3f} ms: {b / a:.3f}", "no measurable slow-down",
                    b / a <= 1.05)


def robustness(report):
    with Confd() as confd:
        connection = Connection(confd, confd)
        connection.call("job_exec", "node_state")
        entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
        bomb = connection.request(f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><methodCall><methodName>&a9;</methodName></methodCall>')
        times = []
        for _ in range(50):
            times.append(timed(lambda: connection.exchange(bomb)))
        report.note("XML entity bomb, ms", json.dumps(times))
        report.goal("XML entity bomb answered", f"p50 {statistics.median(times):.2f} ms, slowest of 50 {max(times):.2f} ms", "< 5 ms", max(times) < 5)
        connection.close()

        def refused(login, size, how):
            forget_peak(confd.pid)
            before = memory_of(confd.pid)
            plain = UNVERIFIED.wrap_socket(socket.create_connection(("127.0.0.1", confd.port), timeout=60))
            header = f"POST /RPC2 HTTP/1.1\r\nHost: confd\r\nContent-Type: text/xml\r\n{login}"
            header += f"Content-Length: {size}\r\n\r\n" if how == "announced" else "Transfer-Encoding: chunked\r\n\r\n"
            block = b"x" * 65536
            sent = 0
            with contextlib.suppress(OSError):
                plain.sendall(header.encode())
                while sent < size:
                    plain.sendall(block if how == "announced" else b"10000\r\n" + block + b"\r\n")
                    sent += len(block)
            status = b""
            with contextlib.suppress(OSError):
                status = plain.recv(65536).split(b"\r\n")[0]
            plain.close()
            return status.decode(), sent, memory_of(confd.pid, "VmHWM") - before
        login = f"Authorization: {confd.basic()}\r\n"
        cases = {"64 MB without a login": refused("", 64_000_000, "announced"), "64 MiB and a byte with a login": refused(login, (64 << 20) + 1, "announced"),
                 "64 MB without a login, chunked": refused("", 64_000_000, "chunked")}
        report.note("large bodies: status, bytes sent, growth of the peak of memory", json.dumps(cases))
        for what, (status, sent, growth) in cases.items():
            said = " ".join(status.split()[1:]) or "connection closed"
            report.goal(f"body of {what}", f"{said}; {growth / MB:.1f} MB held, {sent / MB:.1f} MB sent before the end", "refused without being held",
                        growth < 4 * MB and (status == "" or status.split()[1] in ("401", "413")))
        confd.job("node_state")  # still there


def memory(report):
    calls = 1_000_000 if report.options.long else 100_000
    with Confd() as confd:
        rpc = confd.rpc()
        for number in range(50):
            rpc.job_exec("group_create", {"params": {"groupname": f"g{number}", "groupid": 20000 + number}})
            rpc.job_exec("node_state")
        rpc("close")()
        time.sleep(2)
        idle = memory_of(confd.pid)
        report.goal("idle, 100 jobs on record, resident", f"{idle / MB:.1f} MB", "< 25 MB", idle < 25 * MB)
        open_ones = []
        for _ in range(2000):
            open_ones.append(UNVERIFIED.wrap_socket(socket.create_connection(("127.0.0.1", confd.port))))
        time.sleep(1)
        crowded = memory_of(confd.pid)
        answer = timed(lambda: confd.job("node_state"))
        report.note("memory", f"idle {idle}, 2,000 idle TLS connections {crowded}, a call beside them {answer:.1f} ms")
        for one in open_ones:
            one.close()
        report.goal("2,000 idle TLS connections, resident", f"{crowded / MB:.1f} MB", "< 120 MB", crowded < 120 * MB)
    with Confd() as confd, tempfile.TemporaryDirectory() as folder:
        body = body_file(folder, "body", call_body("job_exec", "node_state"))
        done, sizes = 0, []
        while done < calls:
            done += wrk(report, f"growth of memory, after {done} calls", confd, confd, 16, body, seconds=5)["requests"]
            sizes.append((done, memory_of(confd.pid)))
        # The first part fills what is bounded: recent jobs in memory, buffers of threads, one read segment.
        warm = next((count, size) for count, size in sizes if count >= min(calls / 4, 100_000))
        growth = sizes[-1][1] - warm[1]
        per_million = growth / max(1, sizes[-1][0] - warm[0]) * 1e6
        report.note("resident after so many calls", json.dumps(sizes))
        extrapolated = "" if calls >= 1_000_000 else f" (extrapolated to a million: {per_million / MB:.1f} MB; --long does the million)"
        report.goal(f"growth over {sizes[-1][0]:,} calls, after the first {warm[0]:,}",
                    f"{growth / MB:.2f} MB, {warm[1] / MB:.1f} to {sizes[-1][1] / MB:.1f}{extrapolated}", "no growth", growth < 1 * MB)


def commands(report):
    with Confd() as confd:
        confd.job("db_list")
        starts = []
        for _ in range(15):
            confd.kill()
            start = time.perf_counter()
            confd.start(prefix=ON_SERVER_CORE, wait=False)

            def answered():
                with contextlib.suppress(OSError):
                    with UNVERIFIED.wrap_socket(socket.create_connection(("127.0.0.1", confd.port))) as connection:
                        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: confd\r\nConnection: close\r\n\r\n")
                        return connection.recv(20).startswith(b"HTTP/1.1 200")
                time.sleep(0.0005)
                return False
            while not answered():
                if confd.process.poll() is not None or time.perf_counter() - start > 20:
                    raise SystemExit("confd does not start")
            starts.append((time.perf_counter() - start) * 1e3)
        report.note("exec to first answer, ms", json.dumps(starts))
        report.goal("exec to first answer", f"{statistics.median(starts):.0f} ms, slowest of {len(starts)} {max(starts):.0f} ms", "< 150 ms",
                    statistics.median(starts) < 150)

        body = call_body("job_exec", "db_list")
        curl = ["curl", "--silent", "--insecure", "--user", f"admin:{confd.password}", "--header", "Content-Type: text/xml", "--data-binary", body,
                confd.url_of()]
        client = [str(PROGRAMS / "confd_client"), "--root", confd.root, "db_list"]
        times = {"curl": [], "confd_client": []}
        with on_core(LOAD_CORE):
            for turn in range(44):
                for name, command in (("curl", curl), ("confd_client", client)):
                    took = timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))
                    if turn >= 4:
                        times[name].append(took)
        report.note("whole processes, ms", json.dumps(times))
        ours, other = (statistics.median(times[name]) for name in ("confd_client", "curl"))
        report.goal("confd_client db_list, whole process", f"{ours:.1f} ms, curl {other:.1f} ms: {ours / other:.2f}", "<= 1.2", ours / other <= 1.2)


def plain_replacements(path, seconds):
    """What an atomic, durable replacement of a file costs on this disk: temp file, fsync, rename, fsync of the folder."""
    text = pathlib.Path(path).read_bytes()
    folder = os.path.dirname(path)
    temp, target = os.path.join(folder, ".bench-temp"), os.path.join(folder, "bench-copy")
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        file = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(file, text)
        os.fsync(file)
        os.close(file)
        os.rename(temp, target)
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        times.append((time.perf_counter() - start) * 1e3)
    os.unlink(target)
    return times


def durable(report):
    with Confd() as confd:
        rpc = confd.rpc()
        for number in range(64):
            made = rpc.job_exec("user_create", {"params": {"username": f"bench{number}", "userid": 20000 + number, "password": "*", "group": "exausers",
                                                           "login_enabled": False, "encode_passwd": False}})
            assert made["result_name"] == "OK", made
        connection = Connection(confd, confd)
        outside, ids = [], []
        with on_core(LOAD_CORE):
            for number in range(300):
                start = time.perf_counter()
                answer = connection.call("job_exec", "user_modify", {"params": {"username": "bench0", "authorized_keys": [f"key one-{number}"]}})
                outside.append((time.perf_counter() - start) * 1e3)
                ids.append(answer["result_jobid"])
        inside = []
        for job_id in ids[-100:]:
            times = connection.call("job_info", job_id)["times"]
            seconds = [int(times[stage][14:16]) * 60 + float(times[stage][17:-1]) for stage in ("submitted", "committed")]
            inside.append((seconds[1] - seconds[0]) % 3600 * 1e3)
        report.note("one client, user_modify, ms", json.dumps({"outside": outside, "submitted to committed": inside}))
        p50 = statistics.median(inside)
        report.goal("one client, user_modify, submitted to committed, p50", f"{p50:.2f} ms (whole call of the client {statistics.median(outside):.2f} ms)",
                    "< 5 ms, aim 2", p50 < 5)
        path = str(confd.path("etc/EXAConf"))
        many, plain = [], []
        for turn in range(3):
            with on_core(SERVER_CORE):
                plain += plain_replacements(path, report.options.seconds / 2)
            before = confd.revision()
            result = wrk(report, f"64 clients, user_modify, turn {turn}", confd, confd, 64, "users", "64", f"turn{turn}")
            made = confd.revision() - before
            if made < result["requests"] or failed_jobs(confd):
                raise SystemExit(f"{result['requests']} modify jobs were answered, {made} revisions made, failed: {failed_jobs(confd)}")
            many.append(result["requests"] / result["seconds"])
        per_second = 1e3 / statistics.mean(plain)
        report.note("modify jobs a second, plain replacements a second", json.dumps({"modify": many, "plain": per_second, "plain p50 ms": statistics.median(plain)}))
        rate = statistics.mean(many)
        report.goal("64 clients, user_modify", f"{rate:.0f} a second, plain atomic replacements {per_second:.0f}: {rate / per_second:.2f}", ">= 1",
                    rate >= per_second)


def exaconf(report):
    with Confd() as confd, tempfile.TemporaryDirectory() as folder:
        text = confd.exaconf()
        at = text.index("[Users]") + len("[Users]\n")
        users, number = [], 0
        while len(text) + sum(map(len, users)) < 1_000_000:
            number += 1
            users.append(f"    [[filler{number}]]\n        ID = {30000 + number}\n        Group = exausers\n        LoginEnabled = False\n"
                         f"        Passwd = *\n        AdditionalGroups = exabfsadm, exastoradm\n        AuthorizedKeys = ssh-ed25519 {'A' * 68} filler\n")
        large = text[:at] + "".join(users) + text[at:]
        large = re.sub(r"^(    Checksum = ).*$", r"\1NONE", large, count=1, flags=re.M)
        path = body_file(folder, "EXAConf", large)
        ours = json.loads(subprocess.run([*ON_SERVER_CORE, PROGRAMS / "bench_exaconf_read", path, "20"], capture_output=True, text=True, check=True).stdout)
        script = ("import sys, time, statistics\nfrom configobj import ConfigObj\ntimes = []\nfor _ in range(5):\n    start = time.perf_counter()\n"
                  "    ConfigObj(sys.argv[1], list_values=False, write_empty_values=True, indent_type='    ', encoding='utf-8')\n"
                  "    times.append((time.perf_counter() - start) * 1e3)\nprint(statistics.median(times))\n")
        other = float(subprocess.run([*ON_SERVER_CORE, "/usr/bin/python3", "-c", script, path], capture_output=True, text=True, check=True).stdout)
        report.note(f"EXAConf of {len(large)} bytes, ms", json.dumps({**ours, "configobj_ms": other}))
        report.goal("EXAConf of 1 MB read and parsed", f"{ours['parse_ms']:.1f} ms, ConfigObj {other:.0f} ms: {other / ours['parse_ms']:.0f} times faster",
                    ">= 20 times", other / ours["parse_ms"] >= 20)
        report.goal("the same with checksum; with checksum and validation (ConfigObj without)",
                    f"{ours['checksum_ms']:.1f} ms: {other / ours['checksum_ms']:.0f} times; {ours['load_ms']:.1f} ms: {other / ours['load_ms']:.0f} times", "", None)


PARTS = {"throughput": throughput, "connections": connections, "robustness": robustness, "memory": memory, "commands": commands,
         "durable": durable, "exaconf": exaconf}
