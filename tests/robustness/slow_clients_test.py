#!/usr/bin/python3
"""Clients that are slow, silent, greedy or broken must not slow others, and memory stays bounded.

The target is a program that prints "listening on port N" (bench_echo_server), or a server that runs already:

    slow_clients_test.py --program build/bin/bench_echo_server
    slow_clients_test.py --url https://127.0.0.11:20003/RPC2 --pid 4711 --user admin --password-file F

With --url the requests are `job_list` calls, so the server is confd itself.
"""
import argparse
import base64
import contextlib
import http.client
import os
import re
import resource
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

ARGUMENTS = None
PATIENCE = 30.0  # seconds; every wait ends after it
XML = b"<?xml version='1.0'?><methodCall><methodName>job_list</methodName><params/></methodCall>"


def client_tls():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Target:
    """The server under test: address, path, credentials, process."""

    def __init__(self):
        self.process = None
        self.folder = None
        self.headers = {"Content-Type": "text/xml"}
        if ARGUMENTS.url:
            url = urllib.parse.urlsplit(ARGUMENTS.url)
            self.address, self.path = (url.hostname, url.port or 443), url.path or "/"
            self.pid = ARGUMENTS.pid
            if ARGUMENTS.user:
                with open(ARGUMENTS.password_file, encoding="utf-8") as file:
                    login = f"{ARGUMENTS.user}:{file.read().strip()}"
                self.headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        else:
            self.start()
        self.tls = client_tls()

    def start(self):
        self.folder = tempfile.TemporaryDirectory(prefix="confd-robustness-")
        cert, key = (os.path.join(self.folder.name, name) for name in ("cert.pem", "key.pem"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
            check=True, stderr=subprocess.DEVNULL)
        self.process = subprocess.Popen([ARGUMENTS.program, "--cert", cert, "--key", key],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.address, self.path = ("127.0.0.1", int(line.split()[-1])), "/RPC2"
        self.pid = self.process.pid

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE)
            self.process.stdout.close()
            self.folder.cleanup()

    def tcp(self):
        return socket.create_connection(self.address, PATIENCE)

    def connect(self):
        return self.tls.wrap_socket(self.tcp())

    def request(self, body=XML, length=None):
        fields = dict(self.headers, Host="test", **{"Content-Length": len(body) if length is None else length})
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def memory(self):
        """Resident memory in MB."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS"):
                    return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")

    def cpu(self):
        """Seconds of processor time used so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_answer(connection):
    """Status and body of the next answer."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def wait_for(condition, what):
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"waited {PATIENCE} s for {what}")
        select.select([], [], [], 0.01)


class Caller:
    """Somebody who goes on calling while others misbehave; remembers how long each call took."""

    def __init__(self, target, calls=200):
        self.target, self.calls = target, calls

    def times(self):
        connection = self.target.connect()
        took = []
        try:
            for _ in range(self.calls):
                start = time.perf_counter()
                connection.sendall(self.target.request())
                status, _ = read_answer(connection)
                took.append(time.perf_counter() - start)
                if status != 200:
                    raise AssertionError(f"a well-behaved caller got {status}")
        finally:
            connection.close()
        took.sort()
        return took

    def median_ms(self):
        took = self.times()
        return took[len(took) // 2] * 1000


class SlowClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.target = Target()
        cls.caller = Caller(cls.target)
        cls.quiet = min(cls.caller.median_ms() for _ in range(3))

    @classmethod
    def tearDownClass(cls):
        cls.target.stop()

    def setUp(self):
        self.open = []

    def tearDown(self):
        for connection in self.open:
            connection.close()
        self.assert_served("afterwards")

    def keep(self, connection):
        self.open.append(connection)
        return connection

    def assert_served(self, when):
        # The bound is wide: it tells "slowed by others" from "machine is busy", not one figure from another.
        median = min(self.caller.median_ms() for _ in range(3))
        print(f"    one caller {when}: p50 {median:.3f} ms, alone {self.quiet:.3f} ms", file=sys.stderr)
        self.assertLess(median, max(5 * self.quiet, self.quiet + 5))

    def test_200_silent_tcp_clients(self):
        for _ in range(200):
            self.keep(self.target.tcp())
        self.assert_served("beside 200 silent clients")

    def test_slow_clients_byte_by_byte(self):
        slow = [self.keep(self.target.connect()) for _ in range(100)]
        request = self.target.request()
        for byte in request[:40]:
            for connection in slow:
                connection.sendall(bytes([byte]))
        self.assert_served("beside 100 clients that send byte by byte")
        for connection in slow:
            connection.sendall(request[40:])
        for connection in slow:
            self.assertEqual(200, read_answer(connection)[0])

    def test_clients_that_do_not_read(self):
        # They ask and ask and never take an answer; the server must stop taking requests from them.
        before = self.target.memory()
        deaf = []
        for _ in range(50):
            connection = self.keep(self.target.tcp())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection = self.keep(self.target.tls.wrap_socket(connection))
            connection.setblocking(False)
            deaf.append(connection)
        burst = self.target.request() * 200
        for _ in range(20):
            for connection in deaf:
                try:
                    connection.send(burst)
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    pass
        self.assert_served("beside 50 clients that do not read")
        self.assertLess(self.target.memory() - before, 50)

    def test_half_open_connections(self):
        # The client's side vanishes without a word: FIN right after connecting, or in the middle of a request.
        for _ in range(100):
            half = self.keep(self.target.tcp())
            half.shutdown(socket.SHUT_WR)
        for _ in range(100):
            half = self.target.connect()
            half.sendall(self.target.request()[:60])
            half.close()
        self.assert_served("beside half-open connections")

    def test_2000_idle_connections(self):
        before = self.target.memory()
        for _ in range(2000):
            connection = self.keep(self.target.connect())
            connection.sendall(self.target.request())
            self.assertEqual(200, read_answer(connection)[0])
        used = self.target.memory() - before
        print(f"    2000 idle TLS connections: {used:.1f} MB, {used * 1024 / 2000:.1f} KB each", file=sys.stderr)
        self.assertLess(used * 1024 / 2000, 40)
        idle_from = self.target.cpu()
        self.assert_served("beside 2000 idle connections")
        self.assertLess(self.target.cpu() - idle_from, 10)
        for connection in self.open[::97]:
            connection.sendall(self.target.request())
            self.assertEqual(200, read_answer(connection)[0])

    def test_a_body_of_1_gb_is_refused_and_not_held(self):
        before = self.target.memory()
        connection = self.keep(self.target.connect())
        connection.sendall(self.target.request(b"", 1 << 30))
        piece = bytes(1 << 16)
        try:
            for _ in range(64):  # as a client does that looks for the answer only after sending
                connection.sendall(piece)
        except OSError:
            pass  # the server stopped reading
        connection = self.keep(self.target.connect())
        connection.sendall(self.target.request(b"", 1 << 30))
        self.assertEqual(413, read_answer(connection)[0])
        self.assertLess(self.target.memory() - before, 16)

    def test_a_chunked_body_without_end_is_refused(self):
        before = self.target.memory()
        connection = self.keep(self.target.connect())
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.target.headers.items())
        connection.sendall(f"POST {self.target.path} HTTP/1.1\r\nHost: t\r\n{fields}"
                           "Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        sent = 0
        try:
            while sent < (1 << 30):
                connection.sendall(chunk)
                sent += len(chunk)
                if select.select([connection], [], [], 0)[0]:
                    break
        except OSError:
            pass
        self.assertLess(sent, 100 << 20)
        wait_for(lambda: self.target.memory() - before < 90, "the memory of the body")

    def test_deep_pipeline(self):
        # One thread reads and writes: two threads may not use one TLS connection at a time.
        connection = self.keep(self.target.connect())
        connection.setblocking(False)
        count = 5000
        to_send = memoryview(self.target.request() * count)
        received = bytearray()
        answers = 0
        while answers < count:
            select.select([connection], [connection] if to_send else [], [], PATIENCE)
            if to_send:
                with contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    to_send = to_send[connection.send(to_send[:1 << 16]):]
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                while piece := connection.recv(1 << 16):
                    received += piece
                self.fail(f"closed by the server after {answers} answers")
            at = 0
            while (head_end := received.find(b"\r\n\r\n", at)) >= 0:
                head = bytes(received[at:head_end])
                self.assertIn(b"200 OK", head.split(b"\r\n")[0])
                end = head_end + 4 + int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1))
                if end > len(received):
                    break
                at = end
                answers += 1
            del received[:at]
        self.assertEqual(b"", bytes(received))

    def test_bad_tls_bytes(self):
        import random
        seed = int(time.time())
        print(f"    seed {seed}", file=sys.stderr)
        source = random.Random(seed)
        hello = self.recorded_client_hello()
        for number in range(300):
            connection = self.target.tcp()
            data = bytearray(hello)
            if number % 3 == 0:
                data = bytearray(source.randbytes(source.randint(1, 2000)))
            else:
                for _ in range(source.randint(1, 20)):
                    data[source.randrange(len(data))] = source.randrange(256)
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except ConnectionError:
                pass
            connection.close()
        self.assert_served("after bad TLS bytes")

    def test_broken_records_after_the_handshake(self):
        for _ in range(50):
            connection = self.target.connect()
            raw = socket.socket(fileno=os.dup(connection.fileno()))
            raw.settimeout(PATIENCE)
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))  # an application record that no key made
            try:
                while raw.recv(65536):
                    pass
            except ConnectionError:
                pass
            raw.close()
            connection.close()

    def recorded_client_hello(self):
        outgoing = ssl.MemoryBIO()
        client = self.target.tls.wrap_bio(ssl.MemoryBIO(), outgoing)
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def test_connections_come_and_go(self):
        # A thousand short connections leave no memory behind.
        for _ in range(200):
            self.target.connect().close()
        before = self.target.memory()
        for _ in range(1000):
            connection = self.target.connect()
            connection.sendall(self.target.request())
            read_answer(connection)
            connection.close()
        self.assertLess(self.target.memory() - before, 4)


def main():
    global ARGUMENTS
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--program", help="starts this and tests it")
    parser.add_argument("--url", help="tests the server there")
    parser.add_argument("--pid", type=int, help="process of that server")
    parser.add_argument("--user")
    parser.add_argument("--password-file")
    ARGUMENTS, rest = parser.parse_known_args()
    if bool(ARGUMENTS.program) == bool(ARGUMENTS.url) or (ARGUMENTS.url and not ARGUMENTS.pid):
        parser.error("give either --program or --url with --pid")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 6000 if hard == resource.RLIM_INFINITY else min(6000, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    unittest.main(argv=[sys.argv[0]] + rest, verbosity=2)


if __name__ == "__main__":
    main()
