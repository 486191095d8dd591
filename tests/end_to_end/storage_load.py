"""Clients that write, replace, remove and read files of an archive volume on several nodes while these die (for storage_cluster_test.py).
The content of a file follows from its path and version, so that every reader can tell a right one from a wrong one."""
import contextlib
import hashlib
import http.client
import random
import threading
import time
import urllib.parse

from node import UNVERIFIED

GONE = (OSError, http.client.HTTPException)
KIB = 1 << 10


def content_of(path, version):
    """Its first line tells what it is; 1 to 256 KiB."""
    seed = hashlib.sha256(f"{path}\n{version}".encode())
    size = KIB * (1 + int.from_bytes(seed.digest()[:2], "big") % 256)
    block = b"".join(hashlib.sha256(seed.digest() + bytes([number])).digest() for number in range(32))
    return f"{path} {version}\n".encode() + block * (size // len(block))


def version_in(path, body):
    """The version that a body is, whole and unchanged; an error for anything else."""
    head = body.split(b"\n", 1)[0].decode(errors="replace").split(" ")
    if len(head) != 2 or head[0] != path or not head[1].isdigit() or body != content_of(path, int(head[1])):
        raise AssertionError(f"{path}: {len(body)} bytes that begin with {body[:80]!r} are no version of it")
    return int(head[1])


class Doors:
    """Connections of one client to the HTTPS ports of all nodes."""

    def __init__(self, nodes, port):
        self.nodes, self.port = nodes, port
        self.connections = {}

    def request(self, node_id, method, path, body=None):
        """(status, body); one of GONE when the node is."""
        node = self.nodes[node_id]
        connection = self.connections.get(node_id)
        if connection is None:
            connection = http.client.HTTPSConnection(node.address, self.port, context=UNVERIFIED, timeout=90)
            self.connections[node_id] = connection
        try:
            connection.request(method, "/" + urllib.parse.quote(path), body, {"Authorization": node.basic()})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except BaseException:
            self.close(node_id)
            raise

    def close(self, node_id):
        with contextlib.suppress(OSError):
            self.connections.pop(node_id).close()


class Archive:
    """What the clients were told. Of each path: the version that was acknowledged (None: removed), and those that may be there as well
    because the call that would have made them was not answered."""

    def __init__(self, nodes, port):
        self.nodes, self.port = nodes, port
        self.lock = threading.Lock()
        self.known = {}   # path -> (acknowledged version or None, set of others that may be there)
        self.busy = set()
        self.alive = set(nodes)
        self.written = self.refused = self.read = self.tried_again = 0

    def take(self, path):
        """One writer or strict reader at a time a path."""
        with self.lock:
            if path in self.busy:
                return False
            self.busy.add(path)
            return True

    def give_back(self, path):
        with self.lock:
            self.busy.discard(path)

    def node_for(self, choice):
        with self.lock:
            return choice.choice(sorted(self.alive))

    def write(self, doors, path, choice, remove=False):
        if not self.take(path):
            return
        try:
            version, others = self.known.get(path, (None, set()))
            highest = max([version or 0, *(other or 0 for other in others)])
            new = None if remove else highest + 1
            self.known[path] = (version, others | {new})
            try:
                if remove:
                    status, body = doors.request(self.node_for(choice), "DELETE", path)
                else:
                    status, body = doors.request(self.node_for(choice), "PUT", path, content_of(path, new))
            except GONE:
                self.refused += 1
                return
            if status in (200, 201, 204):
                self.known[path] = (new, set())
                self.written += 1
            elif status == 404 and remove:
                if version is not None and None not in others:
                    raise AssertionError(f"{path} version {version} was acknowledged, and a removal does not find it")
                self.known[path] = (None, set())
            elif status >= 500:
                self.refused += 1
            else:
                raise AssertionError(f"{path}: HTTP {status} {body[:300]}")
        finally:
            self.give_back(path)

    def check(self, doors, path, node_id, seconds=90):
        """It is what was acknowledged. An answer of 5xx, or a node that goes, is asked again: never 404, never another content."""
        deadline = time.monotonic() + seconds
        while True:
            version, others = self.known[path]
            try:
                status, body = doors.request(node_id(), "GET", path)
            except GONE as problem:
                status, body = 0, str(problem).encode()
            if status == 200:
                found = version_in(path, body)
                if found != version and found not in others:
                    raise AssertionError(f"{path}: version {version} was acknowledged, {others} are possible, and {found} is read")
                self.read += 1
                return
            if status == 404:
                if version is not None and None not in others:
                    raise AssertionError(f"{path}: version {version} was acknowledged, and it is not there")
                return
            if status != 0 and status < 500:
                raise AssertionError(f"{path}: HTTP {status} {body[:300]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{path} could not be read for {seconds} s, the last answer was {status} {body[:300]}")
            self.tried_again += 1
            time.sleep(0.05)


class StorageLoad:
    """`writers` and `readers` until stop(); raises there what they found."""

    def __init__(self, archive, seed, writers=3, readers=1):
        self.archive = archive
        self.stopping = threading.Event()
        self.problems = []
        clients = [(self.writer, number) for number in range(writers)] + [(self.reader, number) for number in range(readers)]
        self.threads = [threading.Thread(target=self.run, args=(task, number, random.Random(f"{seed}/{task.__name__}/{number}")), daemon=True)
                        for task, number in clients]
        for thread in self.threads:
            thread.start()

    def run(self, task, number, choice):
        doors = Doors(self.archive.nodes, self.archive.port)
        try:
            while not self.stopping.is_set():
                task(doors, number, choice)
        except BaseException as problem:
            self.problems.append(problem)

    def writer(self, doors, number, choice):
        step = choice.random()
        count = len(self.archive.known)
        if step < 0.7 or count < 10:
            path = f"folder{choice.randint(0, 9)}/{number}-{choice.randrange(1 << 30)}"
            self.archive.write(doors, path, choice)
        else:  # some are written again and again, some removed
            path = f"again/{number}-{choice.randint(0, 5)}"
            self.archive.write(doors, path, choice, remove=step > 0.95 and path in self.archive.known)
        time.sleep(0.005)

    def reader(self, doors, _, choice):
        paths = list(self.archive.known)
        path = choice.choice(paths) if paths else None
        if path is not None and self.archive.take(path):
            try:
                self.archive.check(doors, path, lambda: self.archive.node_for(choice))
            finally:
                self.archive.give_back(path)
        time.sleep(0.01)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(180)
            if thread.is_alive():
                raise AssertionError("a client waits for an answer for more than three minutes")
        if self.problems:
            raise self.problems[0]
