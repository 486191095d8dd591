"""A cluster of real confd processes on this machine over one real etcd: 127.x.y.11, .12, .13, one root each."""
import http.client
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import xmlrpc.client

from node import PROGRAMS, Node, eventually, free_port


def section(node_id, address, affinity):
    return (f"\n[Node : {node_id}]\n    PrivateNet = {address}/8\n    PublicNet = \n    Name = n{node_id}\n    Affinity = {affinity}\n"
            f"    UUID = {random.getrandbits(160):040X}\n    [[Disk : disk1]]\n        Component = exastorage\n        Devices = dev.1,\n")


class Etcd:
    """One member with TLS; clients need a certificate of the cluster's authority. `members`: all of them, when there are several."""

    def __init__(self, folder, address, certificate, key, authority, name="one", ports=None, prefix=()):
        self.folder, self.address, self.name, self.prefix = folder, address, name, prefix
        self.port, self.peer_port = ports or (free_port(address), free_port(address))
        self.files = (certificate, key, authority)
        self.members = [self]
        self.process = None
        self.on_start = None  # called with each new process id

    def peer(self):
        return f"http://{self.address}:{self.peer_port}"

    def start(self, wait=True):
        certificate, key, authority = self.files
        url = f"https://{self.address}:{self.port}"
        output = open(os.path.join(self.folder, f"etcd-{self.name}.log"), "ab")
        self.process = subprocess.Popen(
            [*self.prefix, "etcd", "--name", self.name, "--data-dir", os.path.join(self.folder, f"etcd-{self.name}"), "--listen-client-urls", url,
             "--advertise-client-urls", url, "--listen-peer-urls", self.peer(), "--initial-advertise-peer-urls", self.peer(),
             "--initial-cluster", ",".join(f"{member.name}={member.peer()}" for member in self.members),
             "--cert-file", certificate, "--key-file", key, "--trusted-ca-file", authority, "--client-cert-auth", "--logger", "zap",
             "--pre-vote", "--experimental-watch-progress-notify-interval", "1s", "--snapshot-count", "1000", "--auto-compaction-mode", "revision", "--auto-compaction-retention", "1000"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        output.close()
        if self.on_start:
            self.on_start(self.process.pid)
        if wait:
            self.wait()

    def wait(self):
        eventually(self.listens, 30, "etcd listening")

    def log(self):
        return pathlib.Path(self.folder, f"etcd-{self.name}.log").read_text()

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"etcd ended: {self.log()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait(30)
            self.process = None


class Loopback:
    """Where nodes are: an address of 127.0.0.0/8 each. tests/cluster/network.py puts each into a network of its own instead."""

    def __init__(self):
        self.net = f"127.{random.randrange(1, 250)}.{random.randrange(1, 250)}"

    def node(self, node_id):
        """What Node takes besides its id."""
        return {"address": f"{self.net}.{node_id}"}

    def prefix(self, _):
        """What stands before a command that is to run there."""
        return ()

    def ports(self, _):
        """etcd's, for clients and for members."""
        return None


class Cluster:
    """`members`: of etcd; one has an address of its own, several are on the first nodes. `settings`: more of confd.yaml, a `cluster:` line each."""

    def __init__(self, size=3, lease=2, members=1, place=None, settings=""):
        self.ids = list(range(11, 11 + size))
        self.place = place or Loopback()
        net = self.place.net
        first = Node(11, **self.place.node(11))
        self.nodes = {11: first}
        self.folder = tempfile.mkdtemp(prefix="confd-cluster-")
        authority, key = first.path("etc/cluster/ca.crt"), first.path("etc/cluster/ca.key")
        for node_id in self.ids[1:]:
            node = Node(node_id, **{"port": first.port, **self.place.node(node_id)})
            node.password = first.password
            self.nodes[node_id] = node
        text = first.exaconf()
        text += "".join(section(i, self.nodes[i].address, i) for i in self.ids[1:])
        text = re.sub(r"Checksum = .*", "Checksum = COMMIT", text, count=1)
        text = re.sub(r"XMLRPCPort = \d+", f"XMLRPCPort = {first.port}", text, count=1)  # where nodes look for each other
        first.write("etc/EXAConf", text)
        self.members = {}  # by the number of the address: 10, or that of its node
        for number in self.ids[:members] if members > 1 else [10]:
            files = [os.path.join(self.folder, f"etcd-{number}.{suffix}") for suffix in ("crt", "key")]
            self.sign(authority, key, "etcd", f"IP:{net}.{number}", *files)
            self.members[number] = Etcd(self.folder, f"{net}.{number}", *files, str(authority), f"m{number}", self.place.ports(number), self.place.prefix(number))
        self.etcd = next(iter(self.members.values()))
        for member in self.members.values():
            member.members = list(self.members.values())
        endpoints = ",".join(f"{member.address}:{member.port}" for member in self.members.values())
        for node_id, node in self.nodes.items():
            if node_id != 11:
                shutil.copy(authority, node.path("etc/cluster/ca.crt"))
                shutil.copy(key, node.path("etc/cluster/ca.key"))
                self.sign(authority, key, f"confd node {node_id}", f"URI:confd://node/{node_id},DNS:node-{node_id}.confd.internal,IP:{node.address}",
                          node.path("etc/cluster/node.crt"), node.path("etc/cluster/node.key"))
                node.write("etc/EXAConf", text)
            node.write("etc/confd.yaml", f"cluster:\n  store: etcd\n  endpoints: '{endpoints}'\n  lease_seconds: {lease}\n{settings}")

    def sign(self, authority, authority_key, name, alternatives, certificate, key):
        request = os.path.join(self.folder, "request")
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
                        "-subj", f"/CN={name}"], check=True, stderr=subprocess.DEVNULL)
        extensions = os.path.join(self.folder, "extensions")
        pathlib.Path(extensions).write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth,clientAuth\n")
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-CAserial",
                        os.path.join(self.folder, "serial"), "-days", "30", "-extfile", extensions, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
        os.chmod(key, 0o600)

    def start_node(self, node_id):
        node = self.nodes[node_id]
        output = open(os.path.join(node.folder, "output"), "ab")
        node.process = subprocess.Popen([*self.place.prefix(node_id), PROGRAMS / "confd", "--root", node.root, "--node", str(node_id), "--port", str(node.port)], stdin=subprocess.DEVNULL,
                                        stdout=output, stderr=output, env=node.env)
        output.close()
        node.wait_until_ready()

    def __enter__(self):
        for member in self.members.values():
            member.start(wait=False)
        for member in self.members.values():
            member.wait()
        for node_id in self.ids:
            self.start_node(node_id)
        return self

    def __exit__(self, *_):
        for node in self.nodes.values():
            node.__exit__()
        for member in self.members.values():
            member.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- looking
    def running(self):
        return [i for i, node in self.nodes.items() if node.process is not None]

    def masters(self):
        """Nodes that say they are master."""
        found = []
        for node_id in self.running():
            try:
                if self.nodes[node_id].http("GET", "/is_master", login=None, timeout=5)[2] == b"true":
                    found.append(node_id)
            except OSError:
                pass
        return found

    def master(self, seconds=30):
        found = []

        def one():
            found[:] = self.masters()
            return len(found) == 1
        eventually(one, seconds, f"one master, not {found}")
        return self.nodes[found[0]]

    def equal(self, seconds=15):
        """All running nodes hold the same EXAConf; its text."""
        def same():
            return len({self.nodes[i].exaconf() for i in self.running()}) == 1
        eventually(same, seconds, "all nodes holding one EXAConf")
        return self.nodes[self.running()[0]].exaconf()

    def committed(self, name, params, seconds=30):
        """Runs a modify job on whoever is master until it is committed; (seconds it took, envelope)."""
        start = time.monotonic()
        last = None
        while time.monotonic() - start < seconds:
            for node_id in self.running():
                try:
                    last = self.nodes[node_id].rpc("/RPC2").job_exec(name, {"params": params})
                except (OSError, http.client.HTTPException, xmlrpc.client.Error) as problem:  # going, 302: tried again
                    last = problem
                    continue
                if last["result_code"] == 0:
                    return time.monotonic() - start, last
                if last["result_name"] not in ("NoQuorum", "Conflict", "Busy"):
                    raise AssertionError(f"{name}: {last}")
            time.sleep(0.02)
        raise AssertionError(f"{name} was not committed within {seconds} s: {last}")
