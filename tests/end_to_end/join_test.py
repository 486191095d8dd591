#!/usr/bin/python3
"""confd --join: a node comes into a running cluster with a token; nobody else does, and nobody between learns anything."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from cluster import Cluster
from node import PROGRAMS, UNVERIFIED, Node, eventually

WRONG = "12." + "A" * 43


class Between:
    """Somebody between a new node and the master: TLS to both, with a certificate of his choice; keeps what he reads."""

    def __init__(self, address, target, certificate, key):
        self.heard = b""
        self.target = target
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.listener = context.wrap_socket(socket.create_server((address, 0)), server_side=True)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            client.settimeout(20)
            self.attend(client)

    def attend(self, client):
        with client, UNVERIFIED.wrap_socket(socket.create_connection(self.target, timeout=20)) as server:
            request = self.message(client)
            self.heard += request
            server.sendall(request)
            answer = self.message(server)
            self.heard += answer
            client.sendall(answer)

    @staticmethod
    def message(connection):
        text = b""
        while b"\r\n\r\n" not in text:
            piece = connection.recv(65536)
            if not piece:
                return text
            text += piece
        head, body = text.split(b"\r\n\r\n", 1)
        wanted = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(body) < wanted:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self):
        self.listener.close()


class Impostor(Between):
    """Answers by himself, in the right form."""

    def attend(self, client):
        with client:
            self.heard += self.message(client)
            body = json.dumps({"certificate": "x", "authority": "y", "authority_key": "", "exaconf": "[Global]\n", "settings": "", "proof": "0" * 64}).encode()
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Join(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(size=1)
        cls.addClassCleanup(cls.cluster.__exit__)
        cls.cluster.__enter__()
        cls.master = cls.cluster.master()
        cls.folder = tempfile.mkdtemp(prefix="confd-join-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.net = cls.master.address.rsplit(".", 1)[0]
        for node_id in (12, 13):
            cls.cluster.committed("node_add", {"nid": node_id, "priv_net": f"{cls.net}.{node_id}/8", "offline": True})

    def setUp(self):
        self.root = os.path.join(self.folder, self.id().rsplit(".", 1)[1])

    def confd(self, *arguments, **options):
        return subprocess.run([PROGRAMS / "confd", *arguments], capture_output=True, text=True, timeout=60, **options)

    def make_token(self, node_id=12, *more):
        done = self.confd("--root", self.master.root, "--make-token", str(node_id), *more)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.strip()

    def join(self, token, address=None, root=None):
        return self.confd("--root", root or self.root, "--join", address or f"{self.master.address}:{self.master.port}", "--token-file", "-", input=token + "\n")

    def refused(self, done, *words):
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(os.path.exists(self.root), "something was written")

    def start(self, node_id, root):
        """Without --node: the certificate says which node it is."""
        node = Node.__new__(Node)
        node.node_id, node.address, node.port, node.root, node.password = node_id, f"{self.net}.{node_id}", self.master.port, root, self.master.password
        node.folder, node.env, node.process = os.path.dirname(root), dict(os.environ), None
        node.start()
        self.cluster.nodes[node_id] = node

        def end():
            del self.cluster.nodes[node_id]
            node.kill()
        self.addCleanup(end)
        return node

    def test_a_node_joins_and_is_a_member(self):
        done = self.confd("--root", self.master.root, "--make-token", "12")
        token = done.stdout.strip()
        self.assertRegex(token, r"^12\.[\w-]{43}$")
        self.assertIn(f"--join {self.master.address}", done.stderr)
        token_file = os.path.join(self.folder, "token")
        pathlib.Path(token_file).write_text(token + "\n")
        done = self.confd("--root", self.root, "--join", f"{self.master.address}:{self.master.port}", "--token-file", token_file)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("Made node 12", done.stdout)
        etc = pathlib.Path(self.root, "etc")
        self.assertFalse((etc / "cluster/ca.key").exists())
        for name in ("cluster/node.key", "cluster/node.crt", "cluster/ca.crt", "EXAConf", "confd.yaml", "ssl/ssl.key"):
            self.assertEqual(0o600, stat.S_IMODE((etc / name).stat().st_mode), name)
        self.assertIn("endpoints: '", (etc / "confd.yaml").read_text())
        self.assertNotIn(token, self.master.log() + self.master.read("etc/cluster/tokens"))
        checked = subprocess.run(["openssl", "verify", "-CAfile", etc / "cluster/ca.crt", etc / "cluster/node.crt"], capture_output=True, text=True)
        self.assertEqual(0, checked.returncode, checked.stderr)

        node = self.start(12, self.root)
        self.cluster.committed("user_create", {"username": "u1", "userid": 5001, "group": "exausers", "login_enabled": False, "password": "Secret-1"})
        self.assertIn("[[u1]]", node.exaconf())
        self.assertEqual((200, self.master.address.encode()), node.http("GET", "/master", login=None)[::2])
        self.assertIn("joins from", self.master.log())

        # A second time, with the same token: neither here nor elsewhere.
        again = self.join(token)
        self.assertEqual(1, again.returncode)
        self.assertIn("is there already", again.stderr)
        other = self.join(token, root=self.root + "-other")
        self.assertEqual(1, other.returncode)
        self.assertIn("was used already, at 20", other.stderr)
        self.assertFalse(os.path.exists(self.root + "-other"))

        # A node that is not master names the one that is.
        token = self.make_token(13)
        done = self.join(token, f"{node.address}:{node.port}", self.root + "-13")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(f"is not the master; asking {self.master.address}", done.stdout)
        made = self.confd("--root", self.root, "--make-token", "13")
        self.assertEqual(1, made.returncode)
        self.assertIn(f"Only the master lets nodes join: node 11 at {self.master.address}", made.stderr)

    def test_a_certificate_is_renewed_in_place(self):
        self.assertEqual(0, self.join(self.make_token(13)).returncode)
        cluster = pathlib.Path(self.root, "etc/cluster")
        before = {name: (cluster / name).read_text() for name in ("node.crt", "node.key", "ca.crt")}
        exaconf = pathlib.Path(self.root, "etc/EXAConf").read_text()

        def renew(token):
            return self.confd("--root", self.root, "--join", f"{self.master.address}:{self.master.port}", "--token-file", "-", "--renew", input=token + "\n")
        other = self.make_token(12)
        done = renew(other)
        self.assertEqual(1, done.returncode)
        self.assertIn("is node 13, the join token is for node 12", done.stderr)
        self.assertEqual(0, self.join(other, root=self.root + "-12").returncode)  # it was not used up
        done = renew(self.make_token(13))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(before["ca.crt"], (cluster / "ca.crt").read_text())
        for name in ("node.crt", "node.key"):
            self.assertNotEqual(before[name], (cluster / name).read_text())
        self.assertEqual(exaconf, pathlib.Path(self.root, "etc/EXAConf").read_text())
        self.assertEqual(0, self.confd("--root", self.root, "--check").returncode)
        node = self.start(13, self.root)
        node.process.send_signal(signal.SIGHUP)
        eventually(lambda: "certificate and log level were read again" in node.log(), 10, "the certificate being read")
        self.assertNotIn(" ERR ", node.log())
        without = self.confd("--root", self.root + "-none", "--join", "x", "--token", WRONG, "--renew")
        self.assertIn("without --renew a new node is made", without.stderr)

    def test_a_new_authority_stands_before_the_old_one(self):
        shutil.copytree(self.master.path("etc"), os.path.join(self.root, "etc"))
        cluster = pathlib.Path(self.root, "etc/cluster")
        old = (cluster / "ca.crt").read_text()
        done = self.confd("--root", self.root, "--new-authority")
        self.assertEqual(0, done.returncode, done.stderr)
        both = (cluster / "ca.crt").read_text()
        self.assertEqual(2, both.count("BEGIN CERTIFICATE"))
        self.assertTrue(both.endswith(old))

        def public(*command):
            return subprocess.run(["openssl", *command], capture_output=True, text=True, check=True).stdout
        self.assertEqual(public("pkey", "-in", cluster / "ca.key", "-pubout"), public("x509", "-in", cluster / "ca.crt", "-pubkey", "-noout"))
        self.assertEqual(0o600, stat.S_IMODE((cluster / "ca.key").stat().st_mode))
        self.assertEqual(0, self.confd("--root", self.root, "--check").returncode)  # its certificate of the old one is trusted still
        (cluster / "ca.key").unlink()
        self.assertIn("is made where the key of the old one is", self.confd("--root", self.root, "--new-authority").stderr)

    def test_a_node_can_get_the_authority(self):
        done = self.join(self.make_token(13, "--with-authority"))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(self.master.read("etc/cluster/ca.key"), pathlib.Path(self.root, "etc/cluster/ca.key").read_text())

    def test_settings_that_are_there_stay(self):
        os.makedirs(os.path.join(self.root, "etc"))
        settings = pathlib.Path(self.root, "etc/confd.yaml")
        settings.write_text("log:\n  level: debug\n")
        done = self.join(self.make_token(13))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("level: debug", settings.read_text())
        self.assertEqual(0, self.confd("--root", self.root, "--check").returncode)

    def test_what_is_no_token_or_a_wrong_one(self):
        self.refused(self.join(WRONG), "refuses: the join token is not valid here")
        self.refused(self.join("nonsense"), "that is no join token")
        self.refused(self.join(""), "that is no join token")
        self.refused(self.confd("--root", self.root, "--join", "x", "--token", WRONG, "--token-file", "-", input=WRONG), "wants a join token")
        # A token of another node is no token for this one.
        token = self.make_token(13)
        self.refused(self.join("12" + token[2:]), "not valid here")
        self.refused(self.confd("--root", self.root, "--node", "12", "--join", "x", "--token", token), "is for node 13")

    def test_an_expired_token(self):
        token = self.make_token(12, "--valid", "1")
        time.sleep(2)
        self.refused(self.join(token), "expired at 20")

    def test_a_node_that_the_cluster_does_not_have(self):
        done = self.confd("--root", self.master.root, "--make-token", "99")
        self.assertEqual(1, done.returncode)
        self.assertIn("EXAConf has no node 99; add it first: confd_client node_add nid: 99", done.stderr)
        self.cluster.committed("node_add", {"nid": 20, "priv_net": f"{self.net}.20/8", "offline": True})
        token = self.make_token(20)
        self.cluster.committed("node_remove", {"nid": 20, "force": True})
        self.refused(self.join(token), "EXAConf has no node 20; add it first")

    def test_an_address_where_nobody_is(self):
        self.refused(self.join(self.make_token(12), f"{self.net}.77:1"), "cannot reach", "does confd run there")
        self.refused(self.join(self.make_token(12), ":x"), "wants the address of the master")

    def between(self, kind, certificate, key):
        one = kind(self.net + ".66", (self.master.address, self.master.port), certificate, key)
        self.addCleanup(one.close)
        return one

    def own_certificate(self):
        pair = [os.path.join(self.folder, f"{self.id()}.{suffix}") for suffix in ("crt", "key")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=confd", "-days", "2",
                        "-out", pair[0], "-keyout", pair[1]], check=True, stderr=subprocess.DEVNULL)
        return pair

    def learns_nothing(self, certificate, key):
        token = self.make_token(12)
        between = self.between(Between, certificate, key)
        self.refused(self.join(token, f"{self.net}.66:{between.port}"), "the join token is not valid here")
        self.assertIn(b"/join", between.heard)
        for secret in (token.encode(), b"Passwd", b"BEGIN EC PRIVATE", b"BEGIN PRIVATE"):
            self.assertNotIn(secret, between.heard)
        self.assertEqual(0, self.join(token).returncode)  # the token is as good as before

    def test_somebody_between_with_a_certificate_of_his_own(self):
        self.learns_nothing(*self.own_certificate())

    def test_somebody_between_who_stole_the_listeners_key(self):
        self.learns_nothing(self.master.path("etc/ssl/ssl.crt"), self.master.path("etc/ssl/ssl.key"))

    def test_a_request_that_was_recorded_is_worth_nothing(self):
        token = self.make_token(12)
        impostor = self.between(Impostor, *self.own_certificate())
        self.refused(self.join(token, f"{self.net}.66:{impostor.port}"), "does not hold the join token", "nothing was written")
        self.assertNotIn(token.encode(), impostor.heard)
        recorded = impostor.heard.split(b"\r\n\r\n", 1)[1]
        status, _, text = self.master.http("POST", "/join", recorded, login=None)
        self.assertEqual(403, status)
        self.assertNotIn(b"Passwd", text)

    def test_the_path_has_limits(self):
        def post(body, source=self.net + ".88", path="/join", method="POST"):
            connection = http.client.HTTPSConnection(self.master.address, self.master.port, context=UNVERIFIED, timeout=20, source_address=(source, 0))
            try:
                connection.request(method, path, body)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()
        self.assertEqual(405, post(None, method="GET")[0])
        self.assertEqual(413, post("x" * 20_000)[0])
        self.assertEqual(403, post("{}", path="/join_token")[0])  # at the local socket only
        statuses = [post("{}")[0] for _ in range(22)]
        self.assertEqual([400] * 20 + [429] * 2, statuses)
        self.assertEqual(400, post("{}", self.net + ".89")[0])  # others go on


class Alone(unittest.TestCase):
    def test_a_node_that_keeps_exaconf_for_itself_lets_nobody_join(self):
        with Node() as node:
            done = node.run("confd", "--root", node.root, "--make-token", "12", check=False)
            self.assertEqual(1, done.returncode)
            self.assertIn("`store: managed`", done.stderr)

    def test_without_a_daemon_no_token_is_made(self):
        node = Node()
        self.addCleanup(node.__exit__)
        done = node.run("confd", "--root", node.root, "--make-token", "12", check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("start it with", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
