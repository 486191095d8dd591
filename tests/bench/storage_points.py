"""The parts of tests/bench/run about storage: st_volume_list with 1,000 volumes; files of archive volumes beside nginx's WebDAV and cp; recovery
beside rsync. What each of them has on the disk when it says that it is done: docs/performance.md, "Storage"."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

from points import Connection, call_body, on_core, percentile, timed
from servers import LOAD_CORE, ON_LOAD_CORE, Confd, Process, cpu_seconds, eventually, free_port

from cluster import Cluster
from storage_load import Doors

VOLUMES = 1000


def volume_sections(count):
    return "".join(f"\n[EXAVolume : bench{number}]\n    Type = data\n    Size = 1 MiB\n    Disk = disk1\n    Nodes = 11\n    NumMasterNodes = 1\n    Redundancy = 1\n"
                   f"    BlockSize = 4 KiB\n    StripeSize = 256 KiB\n    Owner = 500 : 500\n    Permissions = rwx\n    Labels = bench, number{number}\n"
                   for number in range(count))


class ConfdWithVolumes(Confd):
    def start(self, *arguments, **options):
        text = self.exaconf() + volume_sections(VOLUMES - 2)  # two are there
        self.write("etc/EXAConf", re.sub(r"Checksum = .*", "Checksum = COMMIT", text, count=1))
        super().start(*arguments, wait=False, **options)
        self.wait_until_ready(240)  # they get their space before it answers
        return self


def storage(report):
    with ConfdWithVolumes() as confd:
        def all_online():
            volumes = confd.rpc("/RPC2").job_exec("st_volume_list")["result_output"]
            return len(volumes) == VOLUMES and all(volume["state"] == "ONLINE" for volume in volumes)
        eventually(all_online, 120, f"{VOLUMES} volumes online")
        connection = Connection(confd, confd)
        request = connection.request(call_body("job_exec", "st_volume_list"))
        answer = connection.exchange(request)
        took = []
        with on_core(LOAD_CORE):
            before = cpu_seconds(confd.pid)
            for _ in range(200):
                took.append(timed(lambda: connection.exchange(request)))
            cpu = (cpu_seconds(confd.pid) - before) / 200 * 1e3
        job_id = connection.call("job_exec", "st_volume_list")["result_jobid"]
        times = connection.call("job_info", job_id)["times"]
        connection.close()
        report.note(f"st_volume_list, {VOLUMES} volumes", json.dumps({"ms": took, "bytes": len(answer), "cpu_ms": cpu, "times": times}, default=str))
        p50 = statistics.median(took)
        report.goal(f"st_volume_list with {VOLUMES:,} volumes, the whole call over HTTPS and XML-RPC ({len(answer) / 1e6:.1f} MB)",
                    f"p50 {p50:.1f} ms, p99 {percentile(took, 0.99):.1f} ms, {cpu:.1f} ms CPU", "< 20 ms", p50 < 20)



# -- files of archive volumes

MIB = 1 << 20
TURNS = 3
LARGE = 256 * MIB
SMALL, SMALL_COUNT = MIB, 64
ARCHIVE = {"type": "archive", "disk": "disk1", "owner": ["admin", "exausers"]}


def synced(path):
    for each in (path, path.parent):
        handle = os.open(each, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


class Files:
    """What is sent: one large file and some small ones, of bytes that don't compress."""

    def __init__(self, folder):
        self.large = pathlib.Path(folder, "large")
        self.large.write_bytes(os.urandom(LARGE))
        self.small = [pathlib.Path(folder, f"small{number}") for number in range(SMALL_COUNT)]
        for path in self.small:
            path.write_bytes(os.urandom(SMALL))


def curl(login, *arguments):
    """Seconds from the first to the last byte of all transfers, without curl's own start."""
    done = subprocess.run([*ON_LOAD_CORE, "curl", "-sS", "-k", "--fail", "-K", "-", "-w", "%{time_total} %{http_code}\n", *map(str, arguments)],
                          input=f'user = "{login}"\n' if login else "", capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"curl {arguments[-1]}: {done.returncode} {done.stderr}")
    return sum(float(line.split()[0]) for line in done.stdout.splitlines())


class DavServer:
    """nginx with its WebDAV module: one worker, TLS, on the server's core. It syncs nothing; after_write() does."""
    login = None

    def __init__(self, confd, folder):
        certificate, key = confd.certificate()
        self.data = pathlib.Path(folder, "dav")
        self.data.mkdir()
        self.port = free_port("127.0.0.1")
        user = "user root;" if os.geteuid() == 0 else ""
        pathlib.Path(folder, "nginx.conf").write_text(f"""
daemon off; {user}
worker_processes 1;
pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {self.data}/.incoming; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  client_max_body_size 0; client_body_buffer_size 1m;
  server {{
    listen 127.0.0.1:{self.port} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; ssl_buffer_size 16k;
    location / {{ root {self.data}; dav_methods PUT DELETE; create_full_put_path on; }}
  }}
}}
""")
        self.process = Process(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"], False)

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        eventually(listens, 20, "nginx")

    def url(self, name):
        return f"https://127.0.0.1:{self.port}/{name}"

    def after_write(self, name):
        """What confd has done before it answers."""
        return timed(lambda: synced(self.data / name)) / 1e3

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.__exit__()


class ArchiveServer:
    """The HTTPS port of a volume. Everything is durable when it answers."""

    def __init__(self, node, port):
        self.node, self.port, self.login = node, port, f"admin:{node.password}"

    def url(self, name):
        return f"https://{self.node.address}:{self.port}/{name}"

    def after_write(self, _):
        return 0.0


def write_large(server, files, turn):
    name = f"large{turn}"
    return curl(server.login, "-o", "/dev/null", "-T", files.large, server.url(name)) + server.after_write(name)


def write_small(server, files, turn):
    """One after the other on one connection: nginx is synced after each, as confd is."""
    seconds = 0.0
    for path in files.small:
        name = f"turn{turn}-{path.name}"
        seconds += curl(server.login, "-o", "/dev/null", "-T", path, server.url(name)) + server.after_write(name)
    return seconds


def read_large(server, _, turn):
    return curl(server.login, "-o", "/dev/null", server.url(f"large{turn}"))


def copy_large(folder, files, turn):
    target = pathlib.Path(folder, f"copy{turn}")

    def copy():
        subprocess.run(["cp", files.large, target], check=True)
        synced(target)
    return timed(copy) / 1e3


def measured(report, what, servers, action, files, size):
    """MB/s of each, the median of the turns; in turns, since the disk is not the same all the time."""
    rates = {name: [] for name in servers}
    for turn in range(TURNS):
        for name, server in servers.items():
            rates[name].append(size / action(server, files, turn) / 1e6)
    report.note(what, json.dumps(rates))
    return {name: statistics.median(each) for name, each in rates.items()}


def archive_port(done, node, name, nodes, redundancy, size):
    """A volume with an HTTPS port; `done`: runs a job."""
    port = free_port(node.address)
    done("st_volume_create", {**ARCHIVE, "name": name, "nodes": nodes, "redundancy": redundancy, "size": size, "num_master_nodes": 1})
    done("st_volume_set_ports", {"vname": name, "https_port": port})
    return port


def wait_for_port(node, port):
    def answers():
        doors = Doors({0: node}, port)
        with contextlib.suppress(OSError):
            return doors.request(0, "GET", "")[0] == 200
    eventually(answers, 60, f"port {port} of the volume")


def archive(report):
    with tempfile.TemporaryDirectory() as folder, Confd() as confd, Cluster(3) as nodes, DavServer(confd, folder) as nginx:
        files = Files(folder)

        def done(name, params):
            result = confd.job(name, params)
            if result["result_code"] != 0:
                raise SystemExit(f"{name}: {result}")
        port = archive_port(done, confd, "bench", [11], 1, "1900 MiB")
        wait_for_port(confd, port)
        master = nodes.master()
        two_port = archive_port(lambda name, params: nodes.committed(name, params, 60), master, "bench", [11, 12], 2, "1900 MiB")
        wait_for_port(nodes.nodes[11], two_port)
        servers = {"nginx": nginx, "one": ArchiveServer(confd, port), "two": ArchiveServer(nodes.nodes[11], two_port)}

        def goal(what, rates, name, wanted):
            ratio = rates[name] / rates["nginx"]
            copies = "redundancy 1" if name == "one" else "redundancy 2, two nodes on this disk"
            report.goal(f"{what}, {copies}", f"{rates[name]:.0f} MB/s, nginx {rates['nginx']:.0f} MB/s: {ratio:.2f}", f">= {wanted}" if wanted else "",
                        ratio >= wanted if wanted else None)
        rates = measured(report, f"archive: PUT of {LARGE // MIB} MiB, MB/s", servers, write_large, files, LARGE)
        plain = statistics.median(LARGE / copy_large(folder, files, turn) / 1e6 for turn in range(TURNS))
        goal(f"archive: PUT of {LARGE // MIB} MiB over HTTPS, durable", rates, "one", 0.7)
        goal(f"archive: PUT of {LARGE // MIB} MiB over HTTPS, durable", rates, "two", 0.4)
        report.goal(f"archive: the same file by cp and fsync", f"{plain:.0f} MB/s: confd does {rates['one'] / plain:.2f} of it", "", None)
        rates = measured(report, f"archive: {SMALL_COUNT} PUTs of 1 MiB, MB/s", servers, write_small, files, SMALL * SMALL_COUNT)
        goal("archive: PUTs of 1 MiB one after the other, a connection and login each, durable", rates, "one", 0.7)
        goal("archive: PUTs of 1 MiB one after the other, a connection and login each, durable", rates, "two", 0.4)
        rates = measured(report, f"archive: GET of {LARGE // MIB} MiB, MB/s", servers, read_large, files, LARGE)
        goal(f"archive: GET of {LARGE // MIB} MiB over HTTPS", rates, "one", 0.7)
        goal(f"archive: GET of {LARGE // MIB} MiB over HTTPS", rates, "two", None)


# -- recovery

def rsync_rate(folder, files, size):
    """A daemon on loopback, whole files, each synced: as recovery does, without TLS and checksums that are kept."""
    port = free_port("127.0.0.1")
    source, target = pathlib.Path(folder, "source"), pathlib.Path(folder, "target")
    shutil.rmtree(target, ignore_errors=True)
    config = pathlib.Path(folder, "rsyncd.conf")
    config.write_text(f"address = 127.0.0.1\nport = {port}\nuse chroot = no\n{'uid = root' if os.geteuid() == 0 else ''}\n[files]\npath = {source}\nread only = yes\n")
    server = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={config}"], stdin=subprocess.DEVNULL)
    try:
        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        eventually(listens, 20, "rsync")
        seconds = timed(lambda: subprocess.run(["rsync", "-a", "--whole-file", "--fsync", f"rsync://127.0.0.1:{port}/files/", f"{target}/"], check=True)) / 1e3
    finally:
        server.terminate()
        server.wait(timeout=30)
    return size / seconds / 1e6


def recovery_rate(node, pattern, size, count):
    """From the first file that is there to the last."""
    seen = []

    def all_there():
        now = len(list(node.path("data/storage").glob(pattern)))
        if now and (not seen or now > seen[-1][1]):
            seen.append((time.monotonic(), now))
        return now == count
    eventually(all_there, 300, "the files of the copy")
    return (seen[-1][1] - seen[0][1]) * size / (seen[-1][0] - seen[0][0]) / 1e6


def recovery(report):
    size, count = 8 * MIB, 64
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, Cluster(3) as nodes:
        source = pathlib.Path(folder, "source")
        source.mkdir()
        contents = {f"file{number}": os.urandom(size) for number in range(count)}
        for name, content in contents.items():
            (source / name).write_bytes(content)
        port = archive_port(lambda name, params: nodes.committed(name, params, 60), nodes.nodes[11], "bench", [11, 12], 2, "1900 MiB")
        wait_for_port(nodes.nodes[11], port)
        # Without a limit of its own a node takes four fifths of what it measures.
        nodes.committed("st_node_set_bg_recovery_limit", {"nid": 12, "limit": 100000}, 60)

        def whole():
            volume = nodes.master().rpc("/RPC2").job_exec("st_volume_info", {"params": {"vname": "bench"}})
            return volume["result_code"] == 0 and volume["result_output"]["state"] == "ONLINE"

        doors = Doors(nodes.nodes, port)
        for turn in range(TURNS):
            eventually(whole, 120, "the volume whole")
            nodes.nodes[12].kill()
            for name, content in contents.items():
                eventually(lambda: doors.request(11, "PUT", f"turn{turn}-{name}", content)[0] in (200, 201, 204), 60, f"{name} written beside a dead node")
            nodes.start_node(12)
            ours.append(recovery_rate(nodes.nodes[12], f"*.d/*/0.2/files/turn{turn}-*", size, count))
            eventually(whole, 120, "the volume whole")
            theirs.append(rsync_rate(folder, contents, size * count))
    report.note("recovery and rsync, MB/s", json.dumps({"recovery": ours, "rsync": theirs}))
    rate, other = statistics.median(ours), statistics.median(theirs)
    report.goal(f"recovery of {count} files of {size // MIB} MiB without a limit", f"{rate:.0f} MB/s, rsync over loopback with --fsync {other:.0f} MB/s: {rate / other:.2f}",
                ">= 0.5", rate >= 0.5 * other)


PARTS = {"storage": storage, "archive": archive, "recovery": recovery}
