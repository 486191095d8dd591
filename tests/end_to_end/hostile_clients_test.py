#!/usr/bin/env python3
"""Clients that are slow, silent, greedy or broken: the daemon answers others meanwhile and keeps its memory."""
import http.client
import os
import resource
import socket
import ssl
import struct
import time
import unittest
import xmlrpc.client

from node import Node, eventually

MiB = 1 << 20


class WithNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
        cls.node = Node(settings="login:\n  first_delay_ms: 0\nhttp:\n  handshake_seconds: 2\n  header_seconds: 2\n  body_seconds: 2\n").start()
        cls.node.job("db_list")

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def plain(self):
        connection = socket.create_connection((self.node.address, self.node.port), timeout=30)
        self.addCleanup(connection.close)
        return connection

    def tls(self):
        connection = self.node.tls()
        self.addCleanup(connection.close)
        return connection

    def others_are_answered(self, calls=20):
        """Somebody else's calls all succeed; the slowest in seconds."""
        rpc, slowest = self.node.rpc(), 0
        for _ in range(calls):
            began = time.monotonic()
            self.assertEqual(rpc.job_exec("node_list")["result_name"], "OK")
            slowest = max(slowest, time.monotonic() - began)
        return slowest

    def is_closed(self, connection):
        """The server ends the connection, with or without an answer before."""
        connection.settimeout(20)
        try:
            while connection.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return True


class HostileClients(WithNode):
    def test_silent_and_half_open_connections_end_with_their_time(self):
        silent = [self.plain() for _ in range(200)]
        cut = [self.plain() for _ in range(50)]
        for connection in cut:
            connection.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a TLS hello
        self.others_are_answered()
        for connection in silent[:5] + cut[:5]:
            self.assertTrue(self.is_closed(connection))
        self.others_are_answered()

    def test_bad_tls(self):
        for garbage in (os.urandom(1000), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 2000, b"\x80\x2e\x01\x00\x02" + b"\0" * 50):
            connection = self.plain()
            connection.sendall(garbage)
            self.assertTrue(self.is_closed(connection))
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(self.plain())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            one = ssl._create_unverified_context()
            one.minimum_version = one.maximum_version = version
            with one.wrap_socket(self.plain()) as connection:
                self.assertEqual(connection.version().replace(".", "_"), version.name)
        self.others_are_answered()

    def test_headers_and_bodies_that_drip(self):
        headers, bodies = [self.tls() for _ in range(20)], [self.tls() for _ in range(20)]
        for connection in headers:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        for connection in bodies:
            connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {self.node.basic()}\r\nContent-Length: 1000000\r\n\r\n<?xml".encode())
        self.others_are_answered()
        for connection in headers[:3] + bodies[:3]:
            connection.settimeout(20)
            self.assertIn(b" 408 ", connection.recv(200))
        self.others_are_answered()

    def test_connections_that_are_reset(self):
        for _ in range(100):
            connection = socket.create_connection((self.node.address, self.node.port), timeout=30)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        for _ in range(30):
            connection = self.node.tls()
            connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {self.node.basic()}\r\nContent-Length: 100\r\n\r\n<?xml".encode())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        self.others_are_answered()

    def test_a_caller_who_leaves_while_his_job_runs(self):
        pipe = self.node.path("logs/logd/Slow.log")
        os.mkfifo(pipe)
        self.addCleanup(pipe.unlink)
        body = xmlrpc.client.dumps(("log_collect", {"params": {"services": ["Slow"]}}), "job_exec")
        connection = self.node.tls()
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {self.node.basic()}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        running = eventually(lambda: self.node.rpc().job_history({"state": "running"}), what="the job running")
        connection.close()
        with open(pipe, "w") as writer:
            writer.write("2026-11-22T01:02:03.123456Z INFO   a line\n")
        self.assertIs(self.node.rpc().job_wait(running[0]["job_id"], {"timeout": 20}), True)
        self.assertEqual(self.node.rpc().job_result(running[0]["job_id"])["result_name"], "OK")

    def test_a_body_of_one_gigabyte(self):
        before = self.node.memory()
        for login in (None, self.node.basic()):
            connection = self.tls()
            authorization = f"Authorization: {login}\r\n" if login else ""
            connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {1 << 30}\r\n\r\n".encode())
            try:
                for _ in range(64):
                    connection.sendall(b"x" * MiB)
            except (ConnectionError, ssl.SSLError):
                pass  # it has said what it had to say
        chunked = self.tls()
        chunked.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {self.node.basic()}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with self.assertRaises((ConnectionError, ssl.SSLError, TimeoutError)):
            for _ in range(1024):
                chunked.sendall(b"%x\r\n" % MiB + b"x" * MiB + b"\r\n")
        self.others_are_answered()
        eventually(lambda: self.node.memory() - before < 150 * MiB, what="the memory given back")

    def test_calls_that_are_bombs(self):
        before = self.node.memory()
        entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
        bombs = [f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">{entities}]><methodCall><methodName>&a9;</methodName></methodCall>',
                 "<methodCall>" + "<params>" * 100000, "<methodCall><methodName>x</methodName><params>" + "<param><value><nil/></value></param>" * 300000 + "</params></methodCall>"]
        for bomb in bombs:
            status, _, body = self.node.http("POST", "/", bomb)
            self.assertEqual(status, 200)
            with self.assertRaises(xmlrpc.client.Fault):
                xmlrpc.client.loads(body)
        for bomb in ("[" * 5_000_000, '{"a":' * 1_000_000, "[" + "1," * 5_000_000 + "1]"):
            self.assertIn(self.node.http("POST", "/rest", bomb)[0], (200, 400))
        self.others_are_answered()
        self.assertLess(self.node.memory() - before, 250 * MiB)


class IdleConnections(WithNode):
    def test_two_thousand_idle_connections(self):
        before = self.node.memory()
        idle = []
        for _ in range(2000):
            idle.append(self.tls())
        self.others_are_answered()
        grown = self.node.memory() - before
        print(f"\n2000 idle TLS connections: {grown / MiB:.0f} MiB more, {self.node.memory() / MiB:.0f} MiB in all")
        self.assertLess(self.node.memory(), 120 * MiB)
        # They are idle, not dead.
        idle[0].sendall(b"GET /is_master HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = http.client.HTTPResponse(idle[0])
        answer.begin()
        self.assertEqual(answer.status, 200)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
