#!/usr/bin/env python3
"""Who gets in: passwords, tokens, the local socket; and what those who do not get in can't do."""
import base64
import json
import http.client
import os
import re
import socket
import subprocess
import sys
import time
import unittest
import xmlrpc.client

from node import Node, eventually

KiB = 1024

# A caller at the local socket, for the tests that need to be another OS user: prints status and body of one call.
LOCAL_CALLER = """
import socket, sys
path, body, headers = sys.argv[1], sys.argv[2], sys.argv[3]
s = socket.socket(socket.AF_UNIX)
s.connect(path)
s.sendall(("POST /rest HTTP/1.1\\r\\nHost: local\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n%s\\r\\n%s" % (len(body), headers, body)).encode())
answer = b""
while True:
    part = s.recv(65536)
    if not part:
        break
    answer += part
head, _, rest = answer.partition(b"\\r\\n\\r\\n")
print(head.split()[1].decode())
print(rest.decode())
"""


class WithNode(unittest.TestCase):
    settings = "login:\n  first_delay_ms: 0\n"

    @classmethod
    def setUpClass(cls):
        cls.node = Node(settings=cls.settings).start()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def status(self, authorization, path="/rest", body='{"method": "user_state"}'):
        return self.node.http("POST", path, body, {"Authorization": authorization} if authorization is not None else {}, login=None)[0]

    def who(self, authorization):
        status, _, body = self.node.http("POST", "/rest", '{"method": "user_state"}', {"Authorization": authorization}, login=None)
        self.assertEqual(status, 200)
        return json.loads(body)

    def new_user(self, name, number, password="First-password", group="exausers", enabled=True):
        result = self.node.job("user_create", {"username": name, "userid": number, "group": group, "login_enabled": enabled, "password": password})
        self.assertEqual(result["result_name"], "OK", result)


class BasicAndBearer(WithNode):
    def test_basic(self):
        me = self.who(self.node.basic())
        self.assertEqual((me["user"], me["login"], me["groups"]), ("admin", "basic", ["exaadm", "exausers"]))
        self.assertIn("user_create", me["jobs"])
        self.assertEqual(self.who(self.node.basic().replace("Basic", "bASIC"))["user"], "admin")

    def test_a_password_with_colons_blanks_and_umlauts(self):
        for number, password in enumerate(("a:b:c", " lead and trail ", "pässwörd", "x" * 200, "quote'\"\\%41", "#hash = [x]")):
            self.new_user(f"odd{number}", 3000 + number, password)
            self.assertEqual(self.who(self.node.basic(f"odd{number}", password))["user"], f"odd{number}")
            self.assertEqual(self.status(self.node.basic(f"odd{number}", password + "x")), 401)

    def test_malformed_headers_are_401(self):
        encode = lambda text: base64.b64encode(text.encode()).decode()
        for header in ("", "Basic", "Basic ", "Basic !!!!", "Basic " + encode("no colon"), "Basic " + encode(":" + self.node.password), "Basic " + encode("admin:"),
                       "Basic " + encode("admin"), "Basic " + encode("admin\0:" + self.node.password), "Basic " + encode("ADMIN:" + self.node.password), "Digest x", "Bearer", "Bearer ", "Bearer x",
                       "Bearer None", "basic" + encode("admin:" + self.node.password), "Basic " + "A" * 4000, self.node.password, "Basic \xff"):
            with self.subTest(header=header[:60]):
                self.assertEqual(self.status(header), 401)
        self.assertEqual(self.status(None), 401)

    def test_every_post_path_takes_both_and_asks_for_both(self):
        token = re.search(r"AuthenticationToken = (\S+)", self.node.exaconf()).group(1)
        for path, body in (("/", xmlrpc.client.dumps((), "job_list")), ("/RPC2", xmlrpc.client.dumps((), "job_list")), ("/rest", '{"method": "job_list"}'),
                           ("/jrpc", '{"jsonrpc": "2.0", "method": "db_list", "id": 1}')):
            self.assertEqual([self.status(header, path, body) for header in (self.node.basic(), "Bearer " + token, None, "Bearer " + token[:-1])], [200, 200, 401, 401])

    def test_the_token_of_exaconf_stands_for_root(self):
        token = re.search(r"AuthenticationToken = (\S+)", self.node.exaconf()).group(1)
        me = self.who("Bearer " + token)
        self.assertEqual((me["user"], me["login"]), ("root", "cluster-token"))

    def test_a_token_of_ones_own(self):
        self.new_user("tina", 3100, "Tina-3100")
        rpc = self.node.rpc(user="tina", password="Tina-3100")
        first, second = rpc.user_login(), rpc.user_login()
        self.assertEqual(first["user"], "tina")
        expires = time.mktime(time.strptime(first["expires"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        self.assertAlmostEqual(expires - time.time(), 12 * 3600, delta=60)
        me = self.who("Bearer " + first["token"])
        self.assertEqual((me["user"], me["login"]), ("tina", "token"))
        self.assertNotIn("user_create", me["jobs"])
        self.assertIs(rpc.user_login({"revoke": first["token"]}), True)
        self.assertIs(rpc.user_login({"revoke": first["token"]}), False)
        self.assertEqual(self.status("Bearer " + first["token"]), 401)
        self.assertEqual(self.status("Bearer " + second["token"]), 200)

    def test_tokens_outlive_a_restart_and_are_not_stored_in_clear(self):
        token = self.node.rpc().user_login()["token"]
        self.node.stop()
        self.node.start()
        self.assertEqual(self.status("Bearer " + token), 200)
        self.assertNotIn(token, self.node.read("spool/tokens.json"))
        self.assertEqual(self.node.path("spool/tokens.json").stat().st_mode & 0o777, 0o600)

    def test_root_without_a_password_does_not_log_in(self):
        for password in ("", "root", "*"):
            self.assertEqual(self.status(self.node.basic("root", password)), 401)

    def test_user_init_sets_a_first_password_only(self):
        rpc = self.node.rpc()
        self.new_user("nina", 3101, "*")
        self.assertEqual(rpc.user_init("nina", "Nina-3101")["result_name"], "OK")
        self.assertEqual(self.who(self.node.basic("nina", "Nina-3101"))["user"], "nina")
        self.assertEqual(rpc.user_init("nina", "Nina-again")["result_name"], "WrongState")
        self.assertEqual(rpc.user_init("nobody", "x")["result_name"], "NotFound")
        self.new_user("olaf", 3102, "")
        nina = self.node.rpc(user="nina", password="Nina-3101")
        self.assertEqual(nina.user_init("olaf", "Olaf-3102")["result_name"], "Forbidden")
        self.assertIn("password", self.node.json({"method": "user_init", "params": {"username": "olaf"}})[1]["error"]["message"])
        self.assertEqual(self.node.json({"method": "user_init", "params": {"username": "olaf", "password": "Olaf-3102"}})[1]["result_name"], "OK")
        self.assertEqual(self.who(self.node.basic("olaf", "Olaf-3102"))["user"], "olaf")

    def test_a_refusal_tells_nothing(self):
        self.new_user("paul", 3103, "Paul-3103", enabled=False)
        answers = {self.node.http("POST", "/", "x", {"Authorization": header}, login=None)[2] for header in (
            self.node.basic("paul", "Paul-3103"), self.node.basic("admin", "wrong"), self.node.basic("nobody", "x"), "Bearer x", "")}
        self.assertEqual(len(answers), 1)

    def test_the_log_tells_who_was_refused_and_why_but_no_password(self):
        self.status(self.node.basic("admin", "Wr0ng-one"))
        self.status(self.node.basic("ghost\nERR forged", "Wr0ng-one"))
        text = eventually(lambda: self.node.log() if "forged" in self.node.log() else None, what="the refusal in the log")
        self.assertRegex(text, r"WARN +login from 127\.0\.0\.1 refused: wrong password for admin")
        self.assertIn("unknown user ghost?ERR forged", text)
        self.assertNotIn("Wr0ng-one", text)

    def test_no_caller_can_forge_a_line_or_fill_the_log_with_one(self):
        forged = "x\n2026-11-22T00:00:00.000000Z ERR    forged"
        rpc = self.node.rpc()
        rpc.job_exec(forged)
        self.node.job("user_info", {"username": forged})
        self.node.json({"method": forged})
        self.node.job("user_info", {"username": "y" * 100000})
        text = eventually(lambda: self.node.log() if "yyyy" in self.node.log() else None, what="the last of them in the log")
        self.assertEqual([line for line in text.splitlines() if re.match(r"\S+ ERR ", line)], [])
        self.assertLess(max(len(line) for line in text.splitlines()), 5000)


class SlowFailures(WithNode):
    settings = "login:\n  first_delay_ms: 200\n  longest_delay_ms: 800\n"

    def test_failures_in_a_row_are_answered_later_and_later_and_others_meanwhile(self):
        took = []
        for _ in range(4):
            began = time.monotonic()
            self.assertEqual(self.status(self.node.basic("admin", "wrong")), 401)
            took.append(time.monotonic() - began)
        for waited, least in zip(took, (0.2, 0.4, 0.8, 0.8)):
            self.assertGreaterEqual(waited, least)
        self.assertEqual(self.status(self.node.basic()), 200)

    def test_a_refusal_does_not_hold_up_others(self):
        # More failures at once than the gate has threads.
        connections = [self.node.tls() for _ in range(8)]
        for connection in connections:
            self.addCleanup(connection.close)
            connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {self.node.basic('nobody', 'x')}\r\nContent-Length: 0\r\n\r\n".encode())
        self.assertEqual(self.status(self.node.basic()), 200)
        for connection in connections:
            self.assertIn(b" 401 ", connection.recv(100))


class BeforeLogin(WithNode):
    def ask(self, head, body=b"", login=None):
        connection = self.node.tls()
        self.addCleanup(connection.close)
        connection.sendall(("".join(line + "\r\n" for line in head if line) + "\r\n").encode())
        if body:
            connection.sendall(body)
        return connection

    def answer(self, connection):
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer

    def test_64_kib_are_dropped_and_the_connection_is_kept(self):
        connection = self.ask(["POST / HTTP/1.1", "Host: x", f"Content-Length: {64 * KiB}"], b"x" * (64 * KiB))
        answer = self.answer(connection)
        self.assertEqual(answer.status, 401)
        answer.read()
        body = xmlrpc.client.dumps((), "job_list")
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {self.node.basic()}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        self.assertEqual(self.answer(connection).status, 200)

    def test_a_larger_body_is_refused_without_waiting_for_it(self):
        connection = self.ask(["POST / HTTP/1.1", "Host: x", f"Content-Length: {64 * KiB * KiB}"])
        answer = self.answer(connection)
        self.assertEqual((answer.status, answer.getheader("Connection")), (401, "close"))
        self.assertEqual(answer.getheader("WWW-Authenticate"), 'Basic realm="ConfD"')

    def test_who_asks_before_sending_is_told_before_sending(self):
        connection = self.ask(["POST / HTTP/1.1", "Host: x", "Content-Length: 1000000", "Expect: 100-continue"])
        self.assertEqual(self.answer(connection).status, 401)

    def test_a_header_that_is_too_large(self):
        connection = self.ask(["POST / HTTP/1.1", "Host: x", "X-Large: " + "x" * (9 * KiB)])
        self.assertEqual(self.answer(connection).status, 431)

    def test_what_is_no_http(self):
        self.assertEqual(self.answer(self.ask(["HELLO"])).status, 400)

    def test_a_body_over_the_limit_after_login(self):
        connection = self.ask(["POST / HTTP/1.1", "Host: x", "Authorization: " + self.node.basic(), f"Content-Length: {65 * KiB * KiB}"])
        self.assertEqual(self.answer(connection).status, 413)

    def test_http_in_clear_gets_no_service(self):
        with socket.create_connection((self.node.address, self.node.port), timeout=10) as plain:
            plain.sendall(b"GET /is_master HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertNotIn(b"200 OK", plain.recv(1000))

    def test_nesting_beyond_the_limit_is_a_fault(self):
        deep = "<value><array><data>" * 1000 + "<value>x</value>" + "</data></array></value>" * 1000
        status, _, body = self.node.http("POST", "/", f"<methodCall><methodName>job_exec</methodName><params><param>{deep}</param></params></methodCall>")
        self.assertEqual(status, 200)
        with self.assertRaises(xmlrpc.client.Fault):
            xmlrpc.client.loads(body)
        status, answer = self.node.http("POST", "/rest", "[" * 1000 + "]" * 1000)[::2]
        self.assertEqual((status, json.loads(answer)["error"]["code"]), (400, -32700))


@unittest.skipUnless(os.getuid() == 0, "other OS users can be tried by root only")
class LocalSocket(WithNode):
    def setUp(self):
        os.chmod(self.node.folder, 0o755)  # mkdtemp made it for root alone

    def call(self, body, headers="", user=None):
        # The script comes in by -c: another user can't read the test's folder.
        command = [sys.executable if user is None else "/usr/bin/python3", "-c", LOCAL_CALLER, os.path.join(self.node.root, "run/confd.sock"), json.dumps(body), headers]
        if user:
            command = ["setpriv", f"--reuid={user}", "--clear-groups", *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd="/")
        self.assertEqual(done.returncode, 0, done.stderr)
        status, _, answer = done.stdout.partition("\n")
        try:
            return int(status), json.loads(answer)
        except json.JSONDecodeError:
            return int(status), answer

    STATE = {"method": "user_state"}

    def test_root_needs_no_password(self):
        status, me = self.call(self.STATE)
        self.assertEqual((status, me["user"], me["login"]), (200, "root", "local"))
        self.assertEqual(self.call({"method": "job_exec", "job": "user_list"})[1]["result_name"], "OK")

    def test_another_os_user_is_the_exaconf_user_of_that_name(self):
        status, why = self.call(self.STATE, user="nobody")
        self.assertEqual(status, 401)
        self.assertIn("the OS user 'nobody' is no user of EXAConf: create it with user_create", why)
        self.new_user("nobody", 3200, "*", group="exadbadm")
        try:
            status, me = self.call(self.STATE, user="nobody")
            self.assertEqual((status, me["user"], me["groups"]), (200, "nobody", ["exadbadm"]))
            self.assertEqual(self.call({"method": "job_exec", "job": "db_list"}, user="nobody")[1]["result_name"], "OK")
            self.assertEqual(self.call({"method": "job_exec", "job": "user_list"}, user="nobody")[1]["result_name"], "Forbidden")
            self.node.job("user_modify", {"username": "nobody", "login_enabled": False})
            self.assertEqual(self.call(self.STATE, user="nobody")[0], 401)
        finally:
            self.node.job("user_delete", {"username": "nobody"})

    def test_only_root_may_act_as_somebody_else(self):
        self.new_user("quinn", 3201, "*", group="exadbadm")
        status, me = self.call(self.STATE, "X-Confd-User: quinn\r\n")
        self.assertEqual((status, me["user"], me["groups"]), (200, "quinn", ["exadbadm"]))
        status, why = self.call(self.STATE, "X-Confd-User: ghost\r\n")
        self.assertEqual(status, 401)
        self.assertIn("there is no user ghost in EXAConf", why)
        self.new_user("daemon", 3202, "*", group="exadbadm")
        self.assertEqual(self.call(self.STATE, "X-Confd-User: root\r\n", user="daemon")[0], 401)
        self.assertEqual(self.call(self.STATE, "X-Confd-User: daemon\r\n", user="daemon")[0], 200)

    def test_who_has_no_password_gets_no_token_for_the_network_either(self):
        self.new_user("man", 3204, "*", group="exadbadm")
        refused = self.call({"method": "user_login"}, user="man")[1]
        self.assertEqual(refused["result_name"], "Forbidden")
        self.assertIn("no password", refused["result_desc"])
        self.node.job("user_passwd", {"username": "man", "password": "Man-3204"})
        token = self.call({"method": "user_login"}, user="man")[1]["token"]
        self.assertEqual(self.who("Bearer " + token)["user"], "man")
        self.node.job("user_passwd", {"username": "man", "password": "*"})
        self.assertEqual(self.status("Bearer " + token), 401)

    def test_a_login_header_does_not_count_at_the_socket(self):
        self.new_user("games", 3203, "*", group="exadbadm")
        self.assertEqual(self.call(self.STATE, f"Authorization: {self.node.basic()}\r\n", user="games")[1]["user"], "games")

    def test_the_socket_header_does_not_count_over_the_network(self):
        self.assertEqual(self.node.http("POST", "/rest", json.dumps(self.STATE), {"X-Confd-User": "root"}, login=None)[0], 401)
        _, _, body = self.node.http("POST", "/rest", json.dumps(self.STATE), {"X-Confd-User": "root"})
        self.assertEqual(json.loads(body)["user"], "admin")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
