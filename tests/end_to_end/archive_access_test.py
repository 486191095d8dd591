#!/usr/bin/env python3
"""The files of archive volumes from outside: HTTP, HTTPS and WebDAV, with curl, rclone and bytes by hand."""
import base64
import os
import pathlib
import socket
import subprocess
import threading
import unittest
import urllib.parse

from cluster import Cluster
from node import Node, UNVERIFIED, eventually, free_port

MIB = 1 << 20


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.text = body.decode(errors="replace")


class Door:
    """A port of a volume, as one user knows it."""

    def __init__(self, node, port, scheme="http", user="admin", password=None):
        self.node, self.port, self.scheme, self.user = node, port, scheme, user
        self.password = node.password if password is None else password
        self.login = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def as_user(self, user, password):
        return Door(self.node, self.port, self.scheme, user, password)

    def url(self, path=""):
        return f"{self.scheme}://{self.node.address}:{self.port}/{urllib.parse.quote(path)}"

    def curl(self, path, *options, data=None):
        """One request by curl; the login goes over its standard input."""
        folder = pathlib.Path(self.node.folder)
        body, heads = folder / "curl.body", folder / "curl.heads"
        for file in (body, heads):
            file.unlink(missing_ok=True)
        config = f'user = "{self.user}:{self.password}"\n'
        if data is not None:
            (folder / "curl.data").write_bytes(data)
            options += ("-T", str(folder / "curl.data"))
        done = subprocess.run(["curl", "-sS", "-k", "-K", "-", "-o", body, "-D", heads, "-w", "%{http_code}", "--max-time", "120", *options, self.url(path)],
                              input=config, capture_output=True, text=True, timeout=150)
        if done.returncode != 0:
            raise AssertionError(f"curl ended with {done.returncode}: {done.stderr}")
        lines = heads.read_text().splitlines()
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Reply(int(done.stdout), headers, body.read_bytes() if body.exists() else b"")

    def get(self, path, *options):
        return self.curl(path, *options)

    def put(self, path, data, *options):
        return self.curl(path, *options, data=data)

    def delete(self, path):
        return self.curl(path, "-X", "DELETE")

    def connect(self):
        plain = socket.create_connection((self.node.address, self.port), timeout=60)
        return UNVERIFIED.wrap_socket(plain) if self.scheme == "https" else plain

    def opens(self):
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def waited(self):
        eventually(self.opens, 30, f"port {self.port} open")
        return self


def create(node, name, size="32 MiB"):
    result = node.job("st_volume_create", {"name": name, "type": "archive", "disk": "disk1", "size": size, "nodes": [11], "redundancy": 1,
                                           "owner": ["admin", "exausers"]})
    assert result["result_code"] == 0, result


def set_ports(node, volume, **ports):
    result = node.job("st_volume_set_ports", {"vname": volume, **ports})
    assert result["result_code"] == 0, result


class OneNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().start()
        cls.ports = {kind: free_port(cls.node.address) for kind in ("http_port", "https_port")}
        create(cls.node, "files", "256 MiB")
        set_ports(cls.node, "files", **cls.ports)
        cls.http = Door(cls.node, cls.ports["http_port"]).waited()
        cls.https = Door(cls.node, cls.ports["https_port"], "https").waited()
        eventually(lambda: cls.http.get("").status == 200, 30, "the volume answers")

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def done(self, job, params):
        result = self.node.job(job, params)
        self.assertEqual(result["result_code"], 0, result)
        return result.get("result_output")

    def add_user(self, name, groups=("exausers",)):
        password = "Secret-of-" + name
        type(self).last_id = getattr(type(self), "last_id", 2000) + 1
        self.done("user_create", {"username": name, "userid": self.last_id, "group": groups[0], "additional_groups": list(groups[1:]), "password": password,
                                  "login_enabled": True, "encode_passwd": True})
        return password

    def new_volume(self, name, size="32 MiB"):
        create(self.node, name, size)
        port = free_port(self.node.address)
        set_ports(self.node, name, http_port=port)
        door = Door(self.node, port).waited()
        eventually(lambda: door.get("").status == 200, 30, f"volume {name} answers")
        return door


class Access(OneNode):
    # -- files
    def test_a_file_comes_back_as_it_was_written(self):
        for door in (self.http, self.https):
            content = os.urandom(3 * MIB + 17)
            path = f"DB1/id_1/level_0/node_0/backup {door.scheme} ü+%"
            self.assertEqual(door.put(path, content).status, 201)
            reply = door.get(path)
            self.assertEqual((reply.status, reply.body == content), (200, True))
            tag = reply.headers["etag"]
            self.assertRegex(tag, '^"[0-9a-f]{32}"$')
            self.assertEqual(door.put("again", content).status // 100, 2)
            self.assertEqual(door.get("again", "-I").headers["etag"], tag)  # of the content, not of the path
            self.assertEqual(reply.headers["content-length"], str(len(content)))
            head = door.get(path, "-I")
            self.assertEqual((head.status, head.headers["content-length"]), (200, str(len(content))))
            self.assertEqual(door.put(path, b"new").status, 204)
            self.assertNotEqual(door.get(path, "-I").headers["etag"], tag)
            self.assertEqual(door.get(path).body, b"new")
            self.assertEqual(door.delete(path).status, 204)
            self.assertEqual(door.get(path).status, 404)

    def test_chunked_and_empty_uploads(self):
        content = os.urandom(2 * MIB)
        self.assertEqual(self.http.put("chunked", content, "-H", "Transfer-Encoding: chunked").status, 201)
        self.assertTrue(self.http.get("chunked").body == content)
        self.assertEqual(self.https.put("empty", b"").status, 201)
        reply = self.https.get("empty")
        self.assertEqual((reply.status, reply.body), (200, b""))

    def test_ranges(self):
        content = bytes(range(256)) * 4096 * 2
        self.http.put("ranges", content)
        for asked, first, last in (("0-0", 0, 0), ("100-299", 100, 299), ("1048570-", 1048570, len(content) - 1), ("-5", len(content) - 5, len(content) - 1)):
            reply = self.https.get("ranges", "-r", asked)
            self.assertEqual((reply.status, reply.body), (206, content[first:last + 1]))
            self.assertEqual(reply.headers["content-range"], f"bytes {first}-{last}/{len(content)}")
        reply = self.http.get("ranges", "-r", f"{len(content)}-")
        self.assertEqual((reply.status, reply.headers["content-range"]), (416, f"bytes */{len(content)}"))
        tag = self.http.get("ranges", "-I").headers["etag"]
        self.assertEqual(self.http.get("ranges", "-H", f"If-None-Match: {tag}").status, 304)
        self.assertEqual(self.http.get("ranges", "-r", "0-1", "-H", 'If-Range: "another"').status, 200)

    def test_listings(self):
        for path in ("lists/b/1", "lists/b/2", "lists/a", "lists/b-c"):
            self.http.put(path, b"x" * len(path))
        self.assertEqual(self.http.get("lists/").text, "7\ta\n-\tb/\n9\tb-c\n")
        page = self.http.get("lists/", "-H", "Accept: text/html").text
        self.assertIn('<a href="/lists/b/">b/</a>', page)
        self.assertEqual(self.http.delete("lists/b").status, 204)
        self.assertEqual(self.http.get("lists").text, "7\ta\n9\tb-c\n")
        self.assertEqual(self.http.put("lists", b"no file over a folder").status, 409)
        self.assertEqual(self.http.get("nowhere/").status, 404)

    def test_paths_that_are_refused(self):
        for path in (b"a/../b", b"..", b"a//b", b"%00", b"x" * 256, b"a%0ab", b"a%zz", b"%2e%2e/x", b"%ff"):
            for method in (b"GET", b"PUT", b"DELETE"):
                with self.http.connect() as connection:
                    connection.sendall(method + b" /" + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + self.http.login.encode() +
                                       b"\r\nContent-Length: 0\r\n\r\n")
                    answer = b"".join(iter(lambda: connection.recv(4096), b""))
                    self.assertRegex(answer, rb"^HTTP/1.1 400 (.|\r\n)*path", (method, path))

    # -- who may
    def test_logins(self):
        for door in (self.http, self.https):
            self.assertEqual(door.as_user("admin", "wrong").get("").status, 401)
            self.assertEqual(door.as_user("nobody", "wrong").put("x", b"x").status, 401)
            with door.connect() as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = b"".join(iter(lambda: connection.recv(4096), b""))
                self.assertRegex(answer, b"^HTTP/1.1 401 (.|\r\n)*WWW-Authenticate: Basic")

    def test_permissions(self):
        door = self.new_volume("guarded")
        self.assertEqual(door.put("f", b"of admin").status, 201)
        friend = door.as_user("friend", self.add_user("friend"))
        stranger = door.as_user("stranger", self.add_user("stranger", ("exabfsadm",)))
        for other in (friend, stranger):
            self.assertEqual((other.get("f").status, other.put("f", b"").status), (403, 403))
        self.assertIn("rwx------", friend.get("f").text)
        self.done("st_volume_change_permissions", {"vname": "guarded", "mode": "rwxr-----"})
        self.assertEqual((friend.get("f").status, friend.put("f", b"").status, friend.delete("f").status), (200, 403, 403))
        self.assertEqual(stranger.get("f").status, 403)
        self.done("st_volume_change_permissions", {"vname": "guarded", "mode": "rwxrw-r--"})
        self.assertEqual((friend.put("f", b"of friend").status, stranger.get("f").body, stranger.delete("f").status), (204, b"of friend", 403))

    def test_locked_and_switched_off(self):
        door = self.new_volume("switched")
        door.put("f", b"kept")
        self.done("st_volume_lock", {"vname": "switched"})
        self.assertEqual(door.get("f").status, 423)
        self.done("st_volume_unlock", {"vname": "switched"})
        self.done("st_volume_set_io_status", {"vname": "switched", "app_io": False, "int_io": True})
        reply = door.put("f", b"new")
        self.assertEqual((reply.status, "retry-after" in reply.headers), (503, True))
        self.done("st_volume_set_io_status", {"vname": "switched", "app_io": True, "int_io": True})
        self.assertEqual(door.get("f").body, b"kept")

    # -- what goes wrong
    def test_a_full_volume_loses_nothing(self):
        door = self.new_volume("small", "32 MiB")
        kept = os.urandom(20 * MIB)
        self.assertEqual(door.put("kept", kept).status, 201)
        for path, options in (("more", ()), ("kept", ()), ("chunked", ("-H", "Transfer-Encoding: chunked"))):
            reply = door.put(path, os.urandom(31 * MIB), *options)
            self.assertEqual(reply.status, 507, reply.text)
            self.assertRegex(reply.text, "full")
        self.assertTrue(door.get("kept").body == kept)
        self.assertEqual(door.get("").text, f"{20 * MIB}\tkept\n")

    def test_a_broken_upload_leaves_the_old_file(self):
        self.http.put("broken", b"old")
        for door in (self.http, self.https):
            for head in (b"Content-Length: 5000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n100000\r\n"):
                with door.connect() as connection:
                    connection.sendall(b"PUT /broken HTTP/1.1\r\nHost: x\r\nAuthorization: " + door.login.encode() + b"\r\n" + head + b"n" * 600_000)
                    # It is there: the upload has begun.
                    eventually(lambda: any(self.node.path("data/storage").rglob("incoming/*")), 30, "the upload")
                eventually(lambda: not any(self.node.path("data/storage").rglob("incoming/*")), 60, "the end of the upload")
                self.assertEqual(self.http.get("broken").body, b"old")

    def test_ports_change_while_everything_runs(self):
        door = self.new_volume("moving")
        door.put("f", b"stays")
        port = free_port(self.node.address)
        set_ports(self.node, "moving", http_port=0, https_port=port)
        moved = Door(self.node, port, "https").waited()
        self.assertEqual(moved.get("f").body, b"stays")
        eventually(lambda: not door.opens(), 30, "the old port closed")
        self.assertEqual(self.http.get("").status, 200)

    def test_a_port_in_use_is_taken_when_it_is_free(self):
        with socket.socket() as other:
            other.bind((self.node.address, 0))
            other.listen()
            port = other.getsockname()[1]
            set_ports(self.node, "files", https_port=port)
            eventually(lambda: "is not open: cannot listen on" in self.node.log(), 30, "the log says why")
        Door(self.node, port, "https").waited()
        set_ports(self.node, "files", https_port=self.ports["https_port"])
        self.https.waited()

    def test_a_large_file_in_little_memory(self):
        door = self.new_volume("large", "700 MiB")
        door.put("warm", os.urandom(8 * MIB))
        size, most = 300 * MIB, [0]
        source = pathlib.Path(self.node.folder, "large")
        with open(source, "wb") as file:
            for _ in range(size // (10 * MIB)):
                file.write(os.urandom(10 * MIB))
        before, over = self.node.memory(), threading.Event()

        def watch():
            while not over.wait(0.02):
                most[0] = max(most[0], self.node.memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.assertEqual(door.curl("large", "-T", str(source)).status, 201)
            reply = door.get("large")
        finally:
            over.set()
            watcher.join()
        self.assertTrue(reply.body == source.read_bytes())
        source.unlink()
        self.assertLess(most[0] - before, 96 * MIB)  # a third of the file; measured: 12

    def test_volumes_outlive_confd(self):
        node = Node().start()
        self.addCleanup(node.__exit__)
        port = free_port(node.address)
        create(node, "files")
        set_ports(node, "files", http_port=port)
        door = Door(node, port).waited()
        eventually(lambda: door.put("f", b"kept").status == 201, 30, "the first write")
        node.kill()
        node.start()
        eventually(lambda: door.waited().get("f").body == b"kept", 30, "the file after the restart")
        self.assertEqual(node.stop(), 0)


class WebDav(OneNode):
    """The same node, by WebDAV and rclone."""

    def rclone(self, door, *arguments, check=True):
        config = pathlib.Path(self.node.folder, "rclone.conf")
        obscured = subprocess.run(["rclone", "obscure", "-"], input=door.password, capture_output=True, text=True, check=True).stdout.strip()
        config.write_text(f"[volume]\ntype = webdav\nvendor = other\nurl = {door.url()}\nuser = {door.user}\npass = {obscured}\n")
        config.chmod(0o600)
        return subprocess.run(["rclone", "--config", config, "--no-check-certificate", "--retries", "1", *arguments],
                              capture_output=True, text=True, timeout=180, check=check)

    def tree(self):
        top = pathlib.Path(self.node.folder, "tree")
        for number in range(12):
            file = top / f"folder {number % 4}" / f"sub{number % 2}" / f"file {number} ä"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(os.urandom(number * 50_000))
        return top

    def test_rclone_copies_a_tree(self):
        tree = self.tree()
        for door in (self.http, self.https):
            there = f"volume:trees/{door.scheme}"
            self.rclone(door, "copy", str(tree), there)
            self.rclone(door, "check", "--download", str(tree), there)
            self.assertEqual(self.rclone(door, "lsf", there).stdout, "".join(f"folder {number}/\n" for number in range(4)))
            self.rclone(door, "moveto", there + "/folder 1", there + "/folder one")
            self.rclone(door, "check", "--download", str(tree / "folder 1"), there + "/folder one")
            self.rclone(door, "mkdir", there + "/empty")
            self.assertIn("empty/\n", self.rclone(door, "lsf", there).stdout)
            self.rclone(door, "purge", there)
            self.assertNotEqual(self.rclone(door, "lsf", there, check=False).returncode, 0)

    def test_copy_move_and_folders_by_hand(self):
        door = self.http
        door.put("hand/a", b"content")
        to = ("-H", f"Destination: {door.url('hand/b')}")
        self.assertEqual(door.curl("hand/a", "-X", "COPY", *to).status, 201)
        self.assertEqual(door.curl("hand/a", "-X", "MOVE", *to, "-H", "Overwrite: F").status, 412)
        self.assertEqual(door.curl("hand/a", "-X", "MOVE", *to).status, 204)
        self.assertEqual(door.get("hand/").text, "7\tb\n")
        self.assertEqual(door.curl("hand/b", "-X", "MOVE", "-H", "Destination: http://elsewhere/x").status, 400)
        self.assertEqual(door.curl("hand/new", "-X", "MKCOL").status, 201)
        self.assertEqual(door.curl("hand/new", "-X", "MKCOL").status, 405)
        self.assertEqual(door.get("hand/new/").status, 200)
        self.assertEqual(door.curl("hand/new", "-X", "PATCH").status, 405)
        self.assertEqual(door.curl("hand", "-X", "PROPFIND", "-H", "Depth: infinity").status, 403)
        self.assertEqual(door.curl("", "-X", "OPTIONS").headers["dav"], "1")


class ThreeNodes(unittest.TestCase):
    """Two copies of each file on three nodes; each node serves all of them."""

    def test_every_node_serves_what_any_has_taken(self):
        with Cluster(3) as cluster:
            cluster.master()
            cluster.committed("st_volume_create", {"name": "ring", "type": "archive", "disk": "disk1", "size": "96 MiB", "nodes": [11, 12, 13], "redundancy": 2,
                                                   "owner": ["admin", "exausers"]})
            port = free_port(cluster.nodes[11].address)
            cluster.committed("st_volume_set_ports", {"vname": "ring", "https_port": port})
            doors = {node_id: Door(node, port, "https").waited() for node_id, node in cluster.nodes.items()}
            files = {}

            def put(node_id, path, content):
                eventually(lambda: doors[node_id].put(path, content).status in (201, 204), 60, f"writing through node {node_id}")
                files[path] = content

            def all_there(node_ids):
                for node_id in node_ids:
                    for path, content in files.items():
                        eventually(lambda: doors[node_id].get(path).body == content, 60, f"{path} through node {node_id}")

            for number in range(9):
                put(11 + number % 3, f"DB1/id_{number}/backup", os.urandom(300_000 + number))
            all_there(doors)
            away = next(i for i in (13, 12) if cluster.nodes[i] is not cluster.master())
            rest = [i for i in doors if i != away]
            cluster.nodes[away].kill()
            all_there(rest)
            for number in range(4):
                put(rest[number % 2], f"DB1/id_{number}/backup", os.urandom(200_000))
            cluster.start_node(away)
            doors[away].waited()
            all_there(doors)


if __name__ == "__main__":
    unittest.main()
