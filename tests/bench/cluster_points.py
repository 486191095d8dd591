"""The parts of tests/bench/run about several nodes: modify jobs beside etcd's own puts, and growth from 1 to 20 nodes."""
import base64
import json
import os
import statistics
import subprocess
import tempfile
import time

from points import body_file, wrk
from servers import PROGRAMS, cpu_seconds, eventually, memory_of

from cluster import Cluster

USERS = 64


def create_users(cluster, users=USERS):
    cluster.master()
    for number in range(users):
        cluster.committed("user_create", {"username": f"bench{number}", "userid": 20000 + number, "password": "*", "group": "exausers",
                                          "login_enabled": False, "encode_passwd": False})


def value_in_store(cluster, key="/confd/conf"):
    certificate, private_key, authority = cluster.etcd.files
    done = subprocess.run(["etcdctl", "--endpoints", f"https://{cluster.etcd.address}:{cluster.etcd.port}", "--cacert", authority, "--cert", certificate,
                           "--key", private_key, "get", key, "-w", "json"], capture_output=True, text=True, timeout=60, env=dict(os.environ, ETCDCTL_API="3"),
                          check=True)
    return base64.b64decode(json.loads(done.stdout)["kvs"][0]["value"])


def puts(report, what, cluster, path, callers):
    certificate, key, authority = cluster.etcd.files
    endpoints = ",".join(f"{member.address}:{member.port}" for member in cluster.members.values())
    done = subprocess.run([PROGRAMS / "bench_etcd_put", endpoints, certificate, key, authority, path, str(callers), str(report.options.seconds)],
                          capture_output=True, text=True, timeout=600, check=True)
    report.note(what, done.stdout)
    return json.loads(done.stdout)


def jobs(report, what, cluster, clients, mark):
    """user_modify by so many clients; each answer says that all live nodes hold the revision."""
    master = cluster.master()
    master.url_of = lambda path="/RPC2": f"https://{master.address}:{master.port}{path}"
    before = master.revision()
    result = wrk(report, what, master, master, clients, "users", str(USERS), mark)
    made = master.revision() - before
    failed = master.rpc("/RPC2").job_history({"state": "failed", "limit": 1})
    if made < result["requests"] or failed:
        raise SystemExit(f"{what}: {result['requests']} jobs were answered, {made} revisions made, failed: {failed}")
    behind = {node_id: node.revision() for node_id, node in cluster.nodes.items() if node.revision() < before + result["requests"]}
    if behind:
        raise SystemExit(f"{what}: {result['requests']} jobs were committed on top of revision {before}, but nodes are at {behind}")
    return result


def cluster(report):
    with Cluster(members=3, lease=3) as nodes, tempfile.TemporaryDirectory() as folder:
        create_users(nodes)
        text, stored = nodes.master().exaconf(), value_in_store(nodes)
        path = os.path.join(folder, "value")
        with open(path, "wb") as file:
            file.write(stored)
        for clients, goal in ((1, 0.5), (16, 1.0)):
            put, made = [], []
            for turn in range(3):  # side by side: the machine is not the same all the time
                put.append(puts(report, f"cluster: puts of {len(stored)} bytes, {clients} at once, turn {turn}", nodes, path, clients))
                made.append(jobs(report, f"cluster: user_modify on three nodes, {clients} clients, turn {turn}", nodes, clients, f"c{clients}t{turn}"))
            rates = [statistics.mean(each["requests"] / each["seconds"] for each in side) for side in (put, made)]
            p50 = [statistics.median(each["p50_ms"] for each in side) for side in (put, made)]
            report.goal(f"three nodes, {clients} client{'s' if clients > 1 else ''}, user_modify until committed on all (EXAConf of {len(text)} bytes, {len(stored)} in the store)",
                        f"{rates[1]:.0f} a second, p50 {p50[1]:.2f} ms; puts of the same bytes into the same etcd {rates[0]:.0f}, {p50[0]:.2f} ms: {rates[1] / rates[0]:.2f}",
                        f">= {goal}", rates[1] >= goal * rates[0])


def growth(report):
    """1 to 20 nodes, and up to 200 simulated ones: what each costs when nothing happens, and how long a change takes until all hold it."""
    lines = []
    for size in (1, 2, 3, 5, 10, 20):
        with Cluster(size=size, members=3 if size >= 3 else 1, lease=3) as nodes:
            create_users(nodes, 1)
            time.sleep(3)
            pids = [node.process.pid for node in nodes.nodes.values()]
            store = [member.process.pid for member in nodes.members.values()]
            before, began = [cpu_seconds(pid) for pid in pids], time.monotonic()
            store_before = sum(map(cpu_seconds, store))
            time.sleep(6)
            idle = [(cpu_seconds(pid) - used) / (time.monotonic() - began) * 1e3 for pid, used in zip(pids, before)]
            store_idle = (sum(map(cpu_seconds, store)) - store_before) / (time.monotonic() - began) * 1e3
            memory = [memory_of(pid) / 1e6 for pid in pids]
            took = []
            for number in range(60):
                seconds, _ = nodes.committed("user_modify", {"username": "bench0", "authorized_keys": [f"key {number}"]})
                took.append(seconds * 1e3)
            nodes.equal()
        line = {"nodes": size, "committed_p50_ms": statistics.median(took), "committed_max_ms": max(took), "idle_ms_per_s": statistics.mean(idle),
                "idle_max_ms_per_s": max(idle), "etcd_idle_ms_per_s": store_idle, "memory_mb": statistics.mean(memory), "memory_max_mb": max(memory),
                "load": os.getloadavg()[0]}
        report.note(f"growth: {size} nodes", json.dumps(line))
        lines.append(line)
    for line in lines:
        report.goal(f"growth: {line['nodes']} node{'s' if line['nodes'] > 1 else ''}",
                    f"user_modify committed on all: p50 {line['committed_p50_ms']:.1f} ms, slowest of 60 {line['committed_max_ms']:.1f} ms; idle: "
                    f"{line['idle_ms_per_s']:.2f} ms CPU a second a node (most {line['idle_max_ms_per_s']:.2f}), {line['memory_mb']:.1f} MB; "
                    f"all of etcd {line['etcd_idle_ms_per_s']:.1f} ms a second", "", None)
    for size in (3, 10, 20, 50, 100, 150, 200):
        done = subprocess.run([PROGRAMS / "bench_simulated_nodes", str(size), "2", "10"], capture_output=True, text=True, timeout=300)
        report.note(f"growth: {size} simulated nodes", done.stdout + done.stderr)
        if done.returncode != 0:
            raise SystemExit(f"bench_simulated_nodes {size}: {done.stderr}")
        line = json.loads(done.stdout)
        report.goal(f"growth: {size} simulated nodes, store 2 ms away, EXAConf of {line['exaconf_bytes'] / 1000:.0f} KB",
                    f"committed on all: p50 {line['committed_p50_ms']:.0f} ms, slowest of 10 {line['committed_max_ms']:.0f} ms; {line['cpu_ms_a_change']:.0f} ms CPU a change "
                    f"in all; idle: {line['idle_ms_per_s_a_node']:.1f} ms CPU a second a node", "", None)


PARTS = {"cluster": cluster, "growth": growth}
