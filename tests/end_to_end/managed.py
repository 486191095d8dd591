"""A cluster of real confd processes that run their own store (`store: managed`): node 11 is made with --init, the others join."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from cluster import Cluster, Loopback
from node import Node, eventually

PORT = 20003  # XMLRPCPort of a new EXAConf: all nodes have addresses of their own


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=dict(os.environ, ETCDCTL_API="3"))
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def etcd_pid(node):
    """The running member of this root; None: there is none."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(node.read("run/etcd.pid"))
        if f"--data-dir={node.root}/data/etcd".encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    return None


def etcd_processes(node):
    """All of this root, by a look at all processes."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"--data-dir={node.root}/data/etcd".encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def kill_etcd(node):
    """kill -9; returns the pid once it is gone."""
    pid = etcd_pid(node)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: etcd_pid(node) != pid, 10, "etcd ending")
    return pid


class JoinedNode(Node):
    """Made by `confd --join`."""

    def __init__(self, master, node_id, address):
        self.node_id, self.address, self.port = node_id, address, PORT
        self.folder = tempfile.mkdtemp(prefix="confd-test-")
        self.root = os.path.join(self.folder, "root")
        self.env, self.process, self.password = dict(os.environ), None, master.password
        token = master.run("confd", "--root", master.root, "--make-token", str(node_id), "--with-authority").stdout.strip()
        token_file = os.path.join(self.folder, "token")
        with open(os.open(token_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(token + "\n")
        self.run("confd", "--root", self.root, "--join", f"{master.address}:{master.port}", "--token-file", token_file)


class ManagedCluster(Cluster):
    def __init__(self, size=3, lease=3, settings=""):
        self.size = size
        self.place = Loopback()
        self.net = self.place.net
        self.nodes = {11: Node(11, address=f"{self.net}.11", port=PORT, init=("--store", "managed"))}
        self.settings = f"cluster:\n  store: managed\n  lease_seconds: {lease}\n{settings}"
        self.nodes[11].write("etc/confd.yaml", self.settings)

    def __enter__(self):
        self.start_node(11)
        self.master()
        for node_id in range(12, 11 + self.size):
            self.add(node_id)
        if self.size > 1:
            self.members(range(11, 11 + (self.size - 1 | 1)))
        return self

    def __exit__(self, *_):
        for node in self.nodes.values():
            if node.process is not None:
                node.process.kill()
                node.process.wait(30)
                node.process = None
            for pid in etcd_processes(node):
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: not etcd_processes(node), 10, "etcd ending")
            shutil.rmtree(node.folder, ignore_errors=True)

    def add(self, node_id):
        """node_add on the master, --join, start."""
        self.committed("node_add", {"nid": node_id, "priv_net": f"{self.net}.{node_id}/8", "offline": True})
        self.nodes[node_id] = JoinedNode(self.master(), node_id, f"{self.net}.{node_id}")
        self.start_node(node_id)

    def etcdctl(self, node, *arguments):
        return run("etcdctl", f"--endpoints=https://{node.address}:2379", f"--cacert={node.path('etc/cluster/ca.crt')}",
                                f"--cert={node.path('etc/cluster/node.crt')}", f"--key={node.path('etc/cluster/node.key')}", *arguments)

    def member_list(self):
        """{node: "voter", "learner" or "unstarted"}, as one of the members tells."""
        for node in self.nodes.values():
            if etcd_pid(node) is None:
                continue
            with contextlib.suppress(AssertionError, ValueError):
                found = {}
                for line in self.etcdctl(node, "member", "list").splitlines():
                    _, state, name, peer, _, learner = line.split(", ")
                    found[int(peer.rsplit(":", 1)[0].rsplit(".", 1)[1])] = (
                        "unstarted" if state != "started" else "learner" if learner == "true" else "voter")
                return found
        return {}

    def member_ids(self):
        """{node: id of its member in hexadecimal}"""
        for node in self.nodes.values():
            if etcd_pid(node) is not None:
                with contextlib.suppress(AssertionError, ValueError):
                    lines = [line.split(", ") for line in self.etcdctl(node, "member", "list").splitlines()]
                    return {int(line[3].rsplit(":", 1)[0].rsplit(".", 1)[1]): line[0] for line in lines}
        return {}

    def leader(self):
        """The node whose member leads etcd; None: nobody says."""
        for node_id, node in self.nodes.items():
            if etcd_pid(node) is None:
                continue
            with contextlib.suppress(AssertionError):
                status = json.loads(self.etcdctl(node, "endpoint", "status", "-w", "json"))[0]["Status"]
                if status["leader"] == status["header"]["member_id"]:
                    return node_id
        return None

    def led_from_elsewhere(self, seconds=60):
        """Waits until etcd is led from another node than the master; that node."""
        found = []

        def elsewhere():
            found[:] = [self.leader(), self.master().node_id]
            return None not in found and found[0] != found[1]
        eventually(elsewhere, seconds, "etcd being led from another machine than the master's")
        return found[0]

    def healthy(self, seconds=60):
        """Every member answers."""
        def answer():
            for node_id in self.member_ids():
                try:
                    self.etcdctl(self.nodes[node_id], "endpoint", "health")
                except AssertionError:
                    return False
            return True
        eventually(answer, seconds, "all members answering")

    def members(self, node_ids, seconds=60):
        """These nodes have a voting member, and no other has any."""
        wanted = {node_id: "voter" for node_id in node_ids}
        seen = []

        def there():
            seen[:] = [self.member_list()]
            return seen[0] == wanted
        try:
            eventually(there, seconds)
        except AssertionError:
            raise AssertionError(f"members {seen[0]} instead of {wanted}\n" + self.logs()) from None

    def logs(self, lines=15):
        return "\n".join(f"--- {node_id}\n" + "\n".join(node.log().splitlines()[-lines:]) for node_id, node in self.nodes.items())
