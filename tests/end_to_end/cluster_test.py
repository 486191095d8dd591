#!/usr/bin/python3
"""Three nodes over etcd: one configuration, one master, nothing lost when a node dies."""
import re
import signal
import sys
import threading
import time
import unittest
import xmlrpc.client

from cluster import Cluster
from node import eventually


def user(name):
    return {"username": name, "userid": 5000 + int(name[1:]), "group": "exausers", "login_enabled": False, "password": "Secret-1"}


class Paused:
    """A process that stands still for a while."""

    def __init__(self, node):
        self.process = node.process

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)


class ThreeNodes(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.__exit__)
        self.cluster.__enter__()
        self.master = self.cluster.master()

    def create(self, name):
        return self.cluster.committed("user_create", user(name))

    def test_one_master_the_others_point_at_it(self):
        self.assertEqual(11, self.master.node_id)  # the lowest affinity
        for node_id, node in self.cluster.nodes.items():
            eventually(lambda: node.http("GET", "/master", login=None)[0] == 200, 10, "the node knowing its master")
            status, _, body = node.http("GET", "/master", login=None)
            self.assertEqual((200, self.master.address.encode()), (status, body))
            status, _, body = node.http("GET", "/is_master", login=None)
            self.assertEqual((200, b"true" if node_id == 11 else b"false"), (status, body))
        other = self.cluster.nodes[12]
        status, headers, _ = other.http("POST", "/RPC2", "<?xml version='1.0'?><methodCall><methodName>job_list</methodName></methodCall>")
        self.assertEqual(302, status)
        self.assertEqual(f"https://{self.master.address}:{self.master.port}/RPC2", headers["Location"])
        # The login comes before the redirect.
        self.assertEqual(401, other.http("POST", "/RPC2", "x", login=None)[0])
        with self.assertRaises(xmlrpc.client.ProtocolError) as caught:
            other.rpc("/RPC2").job_exec("node_list")
        self.assertEqual(302, caught.exception.errcode)

    def test_a_committed_job_is_on_all_nodes(self):
        for number in range(1, 6):
            _, result = self.create(f"u{number}")
            for node in self.cluster.nodes.values():
                self.assertIn(f"[[u{number}]]", node.exaconf())
                # The master may have given volumes their ids meanwhile, which is a revision of its own.
                self.assertLessEqual(result["result_revision"], node.revision())
        self.cluster.equal()

    def test_killing_the_master_loses_nothing_and_another_one_goes_on(self):
        self.create("u1")
        killed = time.monotonic()
        self.master.kill()
        self.create("u2")
        print(f"    kill -9 of the master until the next modify job is committed: {time.monotonic() - killed:.2f} s", file=sys.stderr)
        self.assertIn("[[u1]]", self.cluster.equal())
        self.assertEqual(12, self.cluster.master().node_id)
        # Back again it catches up and is no master: there is one.
        self.cluster.start_node(11)
        self.assertIn("[[u2]]", self.cluster.equal(5))
        self.assertEqual(12, self.cluster.master().node_id)

    def test_a_paused_master_changes_nothing_when_it_wakes_up(self):
        self.create("u1")
        self.master.process.send_signal(signal.SIGSTOP)
        paused, self.master.process = self.master.process, None  # not among the running ones
        self.create("u2")
        self.master.process = paused
        paused.send_signal(signal.SIGCONT)
        self.assertIn("[[u2]]", self.cluster.equal(10))
        self.assertEqual(12, self.cluster.master().node_id)

    def test_without_the_store_reads_work_and_changes_are_refused(self):
        self.create("u1")
        self.cluster.etcd.pause()
        eventually(lambda: not self.cluster.masters(), 20, "the master giving up")
        # The others point at it until what they heard last is a lease old.
        eventually(lambda: all(node.http("GET", "/master", login=None)[0] != 200 for node in self.cluster.nodes.values()), 20, "nobody naming a master")
        for node in self.cluster.nodes.values():
            self.assertEqual(0, node.job("node_list")["result_code"])
            refused = node.job("user_create", user("u9"))
            self.assertEqual("NoQuorum", refused["result_name"])
        self.cluster.etcd.resume()
        self.create("u2")
        self.assertNotIn("[[u9]]", self.cluster.equal())

    def test_master_change_hands_over_to_the_node_wished_for(self):
        self.create("u1")
        began = time.monotonic()
        answer = self.master.job("master_change", {"nids": [13]})
        self.assertIn(answer["result_name"], ("OK",), answer)
        self.create("u2")
        print(f"    master_change until the next modify job is committed: {time.monotonic() - began:.2f} s", file=sys.stderr)
        self.assertEqual(13, self.cluster.master().node_id)
        self.cluster.equal()

    def test_the_next_master_answers_for_jobs_of_the_last_one(self):
        done = self.master.rpc("/RPC2").job_start("user_create", {"params": user("u1")})
        self.assertTrue(self.master.rpc("/RPC2").job_wait(done, 20))
        committed = self.master.rpc("/RPC2").job_info(done)
        failed = self.master.rpc("/RPC2").job_start("user_delete", {"params": {"username": "nobody-of-that-name"}})
        self.assertTrue(self.master.rpc("/RPC2").job_wait(failed, 20))
        refused = self.master.rpc("/RPC2").job_result(failed)
        read = self.master.rpc("/RPC2").job_start("node_list")
        self.assertTrue(self.master.rpc("/RPC2").job_wait(read, 20))
        self.cluster.nodes[11].job("master_change", {"nids": [12]})
        eventually(lambda: self.cluster.masters() == [12], 20, "node 12 being master")
        second = self.cluster.nodes[12].rpc("/RPC2")
        self.assertEqual(0, second.job_result(read)["result_code"])  # asked of node 11, which lives
        self.cluster.nodes[11].kill()
        self.assertEqual(committed["times"], second.job_info(done)["times"])
        self.assertEqual(committed["result"], second.job_result(done))
        self.assertEqual(refused, second.job_result(failed))
        self.assertTrue(second.job_finished(failed))
        self.assertTrue(second.job_wait(done, 5))
        gone = second.job_result(read)
        self.assertIn("node 11", gone["result_desc"])
        self.assertNotEqual(0, gone["result_code"])
        self.assertEqual("UnknownJobId", second.job_result("12.999999999")["result_name"])

    def test_the_next_master_ends_a_job_that_died_with_the_last_one(self):
        # Node 13 lives and takes nothing up: the job is in force or not when its master dies, and not told.
        master = self.master.rpc("/RPC2")
        self.cluster.nodes[13].process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.cluster.nodes[13].process.send_signal, signal.SIGCONT)
        job = master.job_start("user_create", {"params": user("u1")})
        self.master.kill()
        eventually(lambda: self.cluster.running() and self.cluster.nodes[12].http("GET", "/is_master", login=None)[2] == b"true", 30, "node 12 being master")
        second = self.cluster.nodes[12].rpc("/RPC2")
        self.assertTrue(second.job_wait(job, 20))
        result = second.job_result(job)
        there = "[[u1]]" in self.cluster.nodes[12].exaconf()
        self.assertEqual("OK" if there else "Interrupted", result["result_name"], result)
        self.cluster.start_node(11)
        self.assertEqual(result, self.cluster.nodes[12].rpc("/RPC2").job_result(job))
        self.assertEqual(there, "[[u1]]" in self.cluster.nodes[12].exaconf())

    def test_confd_client_works_alike_on_every_node(self):
        other = self.cluster.nodes[12]
        eventually(lambda: other.http("GET", "/master", login=None)[0] == 200, 10, "node 12 knowing its master")
        here = self.master.run("confd_client", "--root", self.master.root, "-c", "node_list").stdout
        self.assertIn("n13", here)
        self.assertEqual(here, other.run("confd_client", "--root", other.root, "-c", "node_list").stdout)
        other.run("confd_client", "--root", other.root, "user_create", "username: u1", "userid: 5001", "group: exausers", "login_enabled: false", "password: Secret-1")
        self.assertIn("[[u1]]", self.cluster.equal())
        refused = other.run("confd_client", "--root", other.root, "user_delete", "username: nobody-of-that-name", check=False)
        self.assertEqual(1, refused.returncode, refused.stderr)
        self.assertIn("nobody-of-that-name", refused.stderr + refused.stdout)
        history = other.run("confd_client", "--root", other.root, "history").stdout
        self.assertIn("user_create", history)
        self.assertIn("job_id: '11.", history)  # the master's ids

    def test_an_edit_by_hand_on_any_node_is_taken_by_the_master(self):
        other = self.cluster.nodes[13]
        eventually(lambda: other.http("GET", "/master", login=None)[0] == 200, 10, "node 13 knowing its master")
        # The master gives the volumes of a new cluster their ids: a revision of its own.
        eventually(lambda: all(re.search(r"^    ID = ", part, re.M) for part in other.exaconf().split("\n[") if part.startswith("EXAVolume")), 20, "ids of the volumes")
        text = self.cluster.equal()
        edited = re.sub(r"Checksum = .*", "Checksum = COMMIT", text, count=1).replace("    Name = n13\n", "    Name = thirteen\n")
        self.assertNotEqual(text, edited)
        other.write("etc/EXAConf", edited)
        eventually(lambda: "Name = thirteen" in self.master.exaconf(), 15, "the edit at the master")
        self.assertIn("Name = thirteen", self.cluster.equal())
        # Made on a revision that is not in force any more: refused and named, nothing is lost.
        self.create("u1")
        old = re.sub(r"Checksum = .*", "Checksum = COMMIT", edited.replace("thirteen", "other"), count=1)
        with Paused(other):  # so that it has not taken up u2 when it sees the edit
            self.create("u2")
            other.write("etc/EXAConf", old)
        eventually(lambda: "[[u2]]" in other.exaconf() and "Name = thirteen" in other.exaconf(), 20, "node 13 holding what is in force")
        self.assertNotIn("Name = other", self.cluster.equal())

    def test_no_request_fails_while_mastership_is_handed_over(self):
        stop, problems, done = threading.Event(), [], []

        def work(number):
            # As scripts do: ask for the master, call it, and go where it says when it is not it (any more).
            node, count = self.master, 0
            while not stop.is_set():
                name = f"u{number}{count:03d}"
                try:
                    answer = node.job("user_create", user(name))
                except xmlrpc.client.ProtocolError as redirect:
                    if redirect.errcode != 302:
                        problems.append(redirect)
                        return
                    node = next(n for n in self.cluster.nodes.values() if n.address in redirect.headers["Location"])
                    continue
                if answer["result_code"] != 0:
                    problems.append(answer)
                    return
                done.append(name)
                count += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
        for thread in threads:
            thread.start()
        try:
            for target in (12, 13, 11, 12, 11):
                before = len(done)
                began = time.monotonic()
                master = self.cluster.master()
                self.assertEqual("OK", master.job("master_change", {"nids": [target]})["result_name"])
                eventually(lambda: self.cluster.masters() == [target] or problems, 10, f"node {target} being master")
                self.assertEqual([], problems)
                print(f"    node {target} is master after {time.monotonic() - began:.2f} s", file=sys.stderr)
                eventually(lambda: len(done) >= before + 10 or problems, 20, "ten jobs more")
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
        self.assertEqual([], problems)
        text = self.cluster.equal()
        self.assertEqual([], [name for name in done if f"[[{name}]]" not in text])

    def test_a_node_that_was_away_catches_up(self):
        self.create("u1")
        self.cluster.nodes[13].kill()
        took, result = self.create("u2")
        self.assertLess(took, 15)
        self.create("u3")
        self.cluster.start_node(13)
        self.assertIn("[[u3]]", self.cluster.equal(5))


class OneStore(unittest.TestCase):
    def test_several_nodes_and_a_local_store_are_refused(self):
        cluster = Cluster()
        self.addCleanup(cluster.__exit__)
        node = cluster.nodes[11]
        node.write("etc/confd.yaml", "cluster:\n  store: local\n")
        done = node.run("confd", "--root", node.root, "--check", check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("`cluster: store`", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
