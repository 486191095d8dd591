"""The servers that tests/bench/run measures, each on the core that is theirs, and what the system tells of them."""
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/end_to_end"))
from node import PROGRAMS, UNVERIFIED, Node, eventually, free_port  # noqa: E402,F401

SERVER_CORE, LOAD_CORE = 0, 1
ON_SERVER_CORE = ("taskset", "-c", str(SERVER_CORE))
ON_LOAD_CORE = ("taskset", "-c", str(LOAD_CORE))


def cpu_seconds(pid):
    """User and system time of all threads of a process, also of those that have ended: its CPU clock."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_of(pid, what="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {what}")


def forget_peak(pid):
    """VmHWM starts again from what is resident now (proc(5), clear_refs)."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


class Confd(Node):
    """A node of its own on the server's core."""

    def __init__(self, settings=None):
        super().__init__(address="127.0.0.1", settings=settings)
        self.start(prefix=ON_SERVER_CORE)

    @property
    def pid(self):
        return self.process.pid

    def certificate(self):
        return str(self.path("etc/ssl/ssl.crt")), str(self.path("etc/ssl/ssl.key"))

    def url_of(self, path="/RPC2"):
        return f"https://127.0.0.1:{self.port}{path}"


class Process:
    """A server that is a child of ours; ended by its process id."""

    def __init__(self, command, reads_port, folder=None):
        self.folder = folder  # removed at the end
        self.process = subprocess.Popen([*ON_SERVER_CORE, *command], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        if reads_port:
            self.port = int(self.process.stdout.readline().split()[-1])

    @property
    def pid(self):
        return self.process.pid

    def url_of(self, path="/RPC2"):
        return f"https://127.0.0.1:{self.port}{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.process.stdout.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def bare_echo(confd, body_bytes):
    certificate, key = confd.certificate()
    return Process([PROGRAMS / "bench_echo_server", "--cert", certificate, "--key", key, "--body-bytes", str(body_bytes)], True)


def python_server(confd):
    certificate, key = confd.certificate()
    return Process(["/usr/bin/python3", TOP / "tests/bench/python_server.py", certificate, key, "admin", confd.password], True)


def nginx(confd, body_bytes):
    certificate, key = confd.certificate()
    folder = tempfile.mkdtemp(prefix="confd-bench-nginx-")
    port = free_port("127.0.0.1")
    pathlib.Path(folder, "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  keepalive_requests 100000000;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    location / {{ default_type text/xml; return 200 "{'x' * body_bytes}"; }}
  }}
}}
""")
    server = Process(["nginx", "-p", folder, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"], False, folder)
    server.port = port

    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    eventually(listens, 10, "nginx")
    return server
