#!/usr/bin/env python3
"""subscribe, unsubscribe and the Server-Sent Events at /events (docs/events.md)."""
import contextlib
import socket
import threading
import unittest
import xmlrpc.client

from event_stream import EventStream
from node import UNVERIFIED, Node, eventually

PASSWORD = "Event-password"


class Events(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(settings="login:\n  first_delay_ms: 0\nrpc:\n  subscriptions_per_user: 5\n").start()
        for number, name in enumerate(("vera", "walt", "xena")):
            assert cls.node.job("user_create", {"username": name, "userid": 5000 + number, "group": "exadbadm", "login_enabled": True, "password": PASSWORD})["result_code"] == 0
        cls.next_id = 6000

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def subscribed(self, filter=None, user="admin"):
        password = None if user == "admin" else PASSWORD
        rpc = self.node.rpc(user=user, password=password)
        subscription = rpc.subscribe(*([] if filter is None else [filter]))
        self.assertIsInstance(subscription, str, subscription)
        self.addCleanup(lambda: self.quietly(rpc.unsubscribe, subscription))
        return subscription

    @staticmethod
    def quietly(call, *arguments):
        with contextlib.suppress(xmlrpc.client.ProtocolError):
            call(*arguments)

    def login(self, user):
        return self.node.basic(user, None if user == "admin" else PASSWORD)

    def stream(self, subscription, user="admin"):
        stream = EventStream(self.node, subscription, self.login(user))
        self.addCleanup(stream.close)
        return stream

    def new_group(self):
        Events.next_id += 1
        result = self.node.job("group_create", {"groupname": f"event{Events.next_id}", "groupid": Events.next_id})
        self.assertEqual(result["result_name"], "OK", result)
        return result

    def test_the_stages_of_a_job_and_its_revision(self):
        stream = self.stream(self.subscribed())
        result = self.new_group()
        seen = []
        while len(seen) < 6:
            seen.append(stream.next())
        stages = [data for kind, data, _, _ in seen if kind == "stage"]
        self.assertEqual([data["stage"] for data in stages], ["submitted", "scheduled", "executed", "finished", "committed"])
        for data in stages:
            self.assertEqual((data["job_id"], data["job"], data["user"]), (result["result_jobid"], "group_create", "admin"))
            self.assertRegex(data["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual(stages[-1]["result"], result)
        self.assertNotIn("result", stages[0])
        revisions = [data for kind, data, _, _ in seen if kind == "revision"]
        self.assertEqual([data["revision"] for data in revisions], [result["result_revision"]])
        self.assertIn(f"Checksum = {revisions[0]['checksum']}", self.node.exaconf())
        numbers = [number for _, _, number, _ in seen]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + 6)))

    def test_a_job_that_fails_tells_its_result(self):
        stream = self.stream(self.subscribed({"revisions": False}))
        result = self.node.job("user_info", {"username": "nobody"})
        seen = stream.until(lambda kind, data: "result" in data)
        self.assertEqual(seen[-1][1]["result"], result)

    def test_filters(self):
        only_revisions = self.stream(self.subscribed({"stages": False}))
        result = self.new_group()
        self.node.job("db_list")
        second = self.new_group()
        self.assertEqual([only_revisions.next()[:2][0] for _ in range(2)], ["revision", "revision"])
        job_id = f"11.{int(second['result_jobid'].split('.')[1]) + 2}"
        one_job = self.stream(self.subscribed({"job_id": job_id, "revisions": False}))
        self.node.job("db_list")
        followed = self.node.job("conn_get_remote_nid")["result_jobid"]
        self.assertEqual(followed, job_id)
        self.assertEqual([one_job.next()[1]["job_id"] for _ in range(4)], [job_id] * 4)
        self.assertGreater(second["result_revision"], result["result_revision"])

    def test_what_happened_before_somebody_listens_is_kept(self):
        subscription = self.subscribed({"stages": False})
        revisions = [self.new_group()["result_revision"] for _ in range(3)]
        stream = self.stream(subscription)
        self.assertEqual([stream.next()[1]["revision"] for _ in range(3)], revisions)

    def test_a_listener_who_comes_back_misses_nothing(self):
        subscription = self.subscribed({"stages": False})
        stream = self.stream(subscription)
        first = self.new_group()["result_revision"]
        self.assertEqual(stream.next()[1]["revision"], first)
        stream.close()

        def free():
            again = EventStream(self.node, subscription)
            if again.status == 200:
                return again
            self.assertEqual(again.status, 409)
            again.close()
        again = eventually(free, what="the place of the listener free")
        self.addCleanup(again.close)
        second = self.new_group()["result_revision"]
        self.assertEqual(again.next()[1]["revision"], second)

    def test_a_backlog_has_an_end_and_says_so(self):
        subscription = self.subscribed({"revisions": False})
        for _ in range(100):
            self.node.job("db_list")
        stream = self.stream(subscription)
        kind, data, number, _ = stream.next()
        self.assertEqual((kind, data), ("dropped", {"events": 400 - 256}))
        for expected in range(400 - 256 + 1, 401):
            self.assertEqual(stream.next()[2], expected)

    def test_others_jobs_are_not_told(self):
        vera, admin = self.stream(self.subscribed(user="vera"), "vera"), self.stream(self.subscribed({"revisions": False}))
        self.node.job("user_list")
        self.node.rpc(user="walt", password=PASSWORD).job_exec("db_list")
        self.node.rpc(user="vera", password=PASSWORD).job_exec("db_list")
        self.assertEqual({vera.next()[1]["user"] for _ in range(4)}, {"vera"})
        self.assertEqual([admin.next()[1]["user"] for _ in range(12)], ["admin"] * 4 + ["walt"] * 4 + ["vera"] * 4)
        # A revision is everybody's.
        revision = self.new_group()["result_revision"]
        self.assertEqual(vera.next()[:2][1]["revision"], revision)

    def test_a_subscription_belongs_to_its_user(self):
        subscription = self.subscribed(user="vera")
        for user in ("walt", "admin"):
            self.assertEqual(EventStream(self.node, subscription, self.login(user)).status, 404)
        self.assertIs(self.node.rpc().unsubscribe(subscription), False)
        self.assertEqual(self.node.http("GET", f"/events?subscription={subscription}", login=None)[0], 401)
        self.assertEqual(self.stream(subscription, "vera").status, 200)

    def test_one_listener_at_a_time(self):
        subscription = self.subscribed()
        self.assertEqual(self.stream(subscription).status, 200)
        self.assertEqual(self.stream(subscription).status, 409)

    def test_unsubscribe_ends_the_stream(self):
        rpc = self.node.rpc()
        subscription = rpc.subscribe()
        stream = self.stream(subscription)
        self.assertIs(rpc.unsubscribe(subscription), True)
        self.assertIsNone(stream.next())
        self.assertIs(rpc.unsubscribe(subscription), False)
        self.assertEqual(self.stream(subscription).status, 404)

    def test_a_limit_per_user(self):
        rpc = self.node.rpc(user="walt", password=PASSWORD)
        ids = [rpc.subscribe() for _ in range(5)]
        refused = rpc.subscribe()
        self.assertEqual(refused["result_name"], "Busy")
        self.assertIn("5", refused["result_desc"])
        self.subscribed(user="vera")
        for subscription in ids:
            self.assertIs(rpc.unsubscribe(subscription), True)

    def test_calls_that_make_no_sense(self):
        rpc = self.node.rpc()
        for arguments in (["text"], [3], [{}, {}]):
            with self.assertRaises(xmlrpc.client.Fault):
                rpc.subscribe(*arguments)
        with self.assertRaises(xmlrpc.client.Fault):
            rpc.unsubscribe()
        self.assertEqual(self.node.http("GET", "/events")[0], 404)
        self.assertEqual(self.node.http("POST", "/events?subscription=x", "")[0], 405)

    def test_a_user_who_is_shut_out_hears_no_more(self):
        xena = self.stream(self.subscribed(user="xena"), "xena")
        self.node.job("user_modify", {"username": "xena", "login_enabled": False})
        while True:
            event = xena.next()
            if event is None:
                break
            self.assertEqual(event[0], "revision")

    def test_a_listener_who_does_not_read_is_cut_off_and_hurts_nobody(self):
        subscription = self.subscribed({"revisions": False})
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(20)
        plain.connect((self.node.address, self.node.port))
        deaf = UNVERIFIED.wrap_socket(plain)
        self.addCleanup(deaf.close)
        deaf.sendall(f"GET /events?subscription={subscription} HTTP/1.1\r\nHost: x\r\nAuthorization: {self.login('admin')}\r\n\r\n".encode())
        self.assertIn(b"200 OK", deaf.recv(15))
        rpc = self.node.rpc()
        # Each result goes into the events: the more log there is, the larger they are.
        for _ in range(400):
            self.assertEqual(rpc.job_exec("settings_list")["result_name"], "OK")
            if "cut off" in self.node.log():
                break
            for _ in range(3):
                self.assertEqual(rpc.job_exec("log_collect", {"params": {"services": ["ConfD"]}})["result_name"], "OK")
        else:
            self.fail("a listener who does not read was never cut off")
        self.assertEqual(rpc.job_exec("db_list")["result_name"], "OK")
        self.assertEqual(self.node.get("/is_master")[0], 200)
        self.assertIs(rpc.unsubscribe(subscription), True)

    def test_many_who_come_and_go(self):
        subscription = self.subscribed({"revisions": False})
        stop = threading.Event()

        def come_and_go():
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    EventStream(self.node, subscription).close()
        threads = [threading.Thread(target=come_and_go) for _ in range(3)]
        for thread in threads:
            thread.start()
        rpc = self.node.rpc()
        for _ in range(100):
            self.assertEqual(rpc.job_exec("db_list")["result_name"], "OK")
        stop.set()
        for thread in threads:
            thread.join(30)
        self.assertEqual(self.node.get("/is_master")[0], 200)


class Stop(unittest.TestCase):
    def test_the_end_of_confd_ends_the_streams(self):
        with Node() as node:
            stream = EventStream(node, node.rpc().subscribe())
            self.addCleanup(stream.close)
            self.assertEqual(node.stop(20), 0)
            while stream.next() is not None:
                pass


if __name__ == "__main__":
    unittest.main(warnings="ignore")
