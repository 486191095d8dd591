"""A confd node of its own for a test: made in a temporary folder, started, called, killed, looked at from outside.

    with Node() as node:
        node.rpc().job_exec("node_state")

Programs come from CONFD_BINARY_DIR (ctest sets it), else build/. Every wait has a deadline.
"""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse
import xmlrpc.client

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("CONFD_BINARY_DIR", TOP / "build")) / "bin"
UNVERIFIED = ssl._create_unverified_context()


def eventually(condition, seconds=10, what="the condition"):
    """The first true result of condition(); an error when there is none within the time."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.01)


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Node:
    def __init__(self, node_id=11, settings=None, init=(), env=None, address=None, port=None, parent=None):
        self.node_id = node_id
        self.address = address or f"127.{random.randrange(1, 250)}.{random.randrange(1, 250)}.{node_id}"
        self.folder = tempfile.mkdtemp(prefix="confd-test-", dir=parent)
        self.root = os.path.join(self.folder, "root")
        self.env = dict(os.environ, **(env or {}))
        self.process = None
        self.port = port or free_port(self.address)
        self.password = "Pass-word:" + "".join(random.choices("abcdefghijkmnopqrstuvwxyz23456789", k=12))
        password_file = os.path.join(self.folder, "password")
        with open(os.open(password_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(self.password + "\n")
        self.init_output = self.run("confd", "--root", self.root, "--init", "--node-id", str(node_id), "--private-net",
                                    f"{self.address}/8", "--admin-password-file", password_file, *init).stdout
        if settings:
            self.write("etc/confd.yaml", settings)

    # -- processes
    def run(self, program, *arguments, check=True, **options):
        done = subprocess.run([PROGRAMS / program, *arguments], capture_output=True, text=True, timeout=60, env=self.env, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{program} {arguments} ended with {done.returncode}: {done.stderr}")
        return done

    def client(self, *arguments, **options):
        return self.run("confd_client", "--root", self.root, *arguments, **options)

    def start(self, env=None, wait=True, prefix=()):
        assert self.process is None
        output = open(os.path.join(self.folder, "output"), "ab")
        self.process = subprocess.Popen([*prefix, PROGRAMS / "confd", "--root", self.root, "--port", str(self.port)], stdin=subprocess.DEVNULL,
                                        stdout=output, stderr=output, env=dict(self.env, **(env or {})))
        output.close()
        if wait:
            self.wait_until_ready()
        return self

    def ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/is_master")[0] == 200

    def wait_until_ready(self, seconds=20):
        def ready_or_dead():
            if self.process.poll() is not None:
                raise AssertionError(f"confd ended with {self.process.returncode}:\n{self.output()}")
            return self.ready()
        eventually(ready_or_dead, seconds, "confd answering")

    def output(self):
        return pathlib.Path(self.folder, "output").read_text()

    def kill(self):
        """kill -9; returns when the process is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        self.process = None

    def stop(self, seconds=60):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=seconds)
        self.process = None
        return code

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- files
    def path(self, name):
        return pathlib.Path(self.root, name)

    def read(self, name):
        return self.path(name).read_text()

    def write(self, name, text):
        self.path(name).write_text(text)

    def exaconf(self):
        return self.read("etc/EXAConf")

    def revision(self):
        return int(next(line for line in self.exaconf().splitlines() if line.strip().startswith("Revision")).split("=")[1])

    def log(self):
        return self.read("logs/logd/ConfD.log")

    def memory(self):
        """Resident bytes of the daemon."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    # -- calls
    def url(self, path="/", user="admin", password=None):
        login = f"{user}:{urllib.parse.quote(self.password if password is None else password, safe='')}@" if user else ""
        return f"https://{login}{self.address}:{self.port}{path}"

    def rpc(self, path="/", user="admin", password=None):
        return xmlrpc.client.ServerProxy(self.url(path, user, password), allow_none=True, context=UNVERIFIED)

    def job(self, name, params=None, **options):
        """job_exec as admin; the whole envelope."""
        return self.rpc().job_exec(name, {"params": params or {}, **options})

    def basic(self, user="admin", password=None):
        text = f"{user}:{self.password if password is None else password}"
        return "Basic " + base64.b64encode(text.encode()).decode()

    def http(self, method, path, body=None, headers=None, login="admin", timeout=30):
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPSConnection(self.address, self.port, context=UNVERIFIED, timeout=timeout)
        try:
            all_headers = {"Authorization": self.basic()} if login == "admin" else {}
            all_headers.update(headers or {})
            connection.request(method, path, body, all_headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path):
        return self.http("GET", path, login=None)

    def json(self, body, path="/rest", **options):
        status, _, text = self.http("POST", path, json.dumps(body), **options)
        return status, json.loads(text) if text else None

    def tls(self):
        """A TLS connection to play with by hand."""
        plain = socket.create_connection((self.address, self.port), timeout=30)
        return UNVERIFIED.wrap_socket(plain)
