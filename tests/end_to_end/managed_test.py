#!/usr/bin/python3
"""`store: managed`: confd runs etcd by itself; members come and go with the nodes, and die without harm."""
import os
import random
import shutil
import socket
import sys
import time
import unittest

from managed import ManagedCluster, etcd_pid, etcd_processes, kill_etcd
from node import eventually


def user(number):
    return {"username": f"u{number}", "userid": 5000 + number, "group": "exausers", "login_enabled": False, "password": "Secret-1"}


class Managed(unittest.TestCase):
    size = 3

    def setUp(self):
        self.cluster = ManagedCluster(self.size)
        self.addCleanup(self.cluster.__exit__)
        self.cluster.__enter__()
        self.users = 0

    def create(self, seconds=30):
        """A committed user."""
        self.users += 1
        return self.cluster.committed("user_create", user(self.users), seconds)

    def all_there(self, seconds=15):
        text = self.cluster.equal(seconds)
        for number in range(1, self.users + 1):
            self.assertIn(f"[[u{number}]]", text)


class OneNode(Managed):
    size = 1

    def test_a_node_that_is_alone_founds_a_store_and_keeps_it(self):
        node = self.cluster.nodes[11]
        self.cluster.members([11])
        self.create()
        pid = etcd_pid(node)
        self.assertEqual([pid], etcd_processes(node))
        self.assertEqual(0o700, os.stat(node.path("data/etcd")).st_mode & 0o777)
        command = open(f"/proc/{pid}/cmdline").read()
        self.assertNotIn(node.password, command)
        # Killed with confd: it goes on, and the next confd finds it.
        node.kill()
        self.assertEqual(pid, etcd_pid(node))
        self.cluster.start_node(11)
        self.create()
        self.assertEqual([pid], etcd_processes(node))
        # Stopped with confd: it stops, and comes back with what it had.
        self.assertEqual(0, node.stop())
        self.assertEqual([], etcd_processes(node))
        self.cluster.start_node(11)
        self.create()
        self.all_there()

    def test_wrong_timings_are_refused(self):
        node = self.cluster.nodes[11]
        node.stop()
        node.write("etc/confd.yaml", "cluster:\n  store: managed\n  lease_seconds: 1\n")
        done = node.run("confd", "--root", node.root, "--check", check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("election_ms", done.stderr)


class ThreeNodes(Managed):
    def test_one_node_becomes_three_and_four(self):
        self.create()
        self.cluster.add(14)
        self.create()
        self.all_there()
        self.assertEqual([], etcd_processes(self.cluster.nodes[14]))  # a client only
        self.cluster.members([11, 12, 13])

    def test_a_member_that_is_killed_is_started_again(self):
        for node_id in (11, 12, 13):
            pid = kill_etcd(self.cluster.nodes[node_id])
            self.create()
            eventually(lambda: etcd_pid(self.cluster.nodes[node_id]) not in (None, pid), 30, "the member being started again")
            self.cluster.healthy()
        self.all_there()

    def test_a_whole_node_dies_and_comes_back(self):
        # So that the leader of etcd does not die with the master.
        self.cluster.led_from_elsewhere()
        master = self.cluster.master()
        began = time.monotonic()
        master.kill()
        os.kill(etcd_pid(master), 9)
        self.create()
        print(f"    kill -9 of master and member until the next job is committed: {time.monotonic() - began:.2f} s", file=sys.stderr)
        self.cluster.start_node(master.node_id)
        self.all_there()
        self.cluster.members([11, 12, 13])
        self.cluster.healthy()

    def test_a_member_that_lost_its_data_is_added_anew(self):
        before = self.cluster.member_ids()
        node = self.cluster.nodes[13]
        self.assertEqual(0, node.stop())
        shutil.rmtree(node.path("data/etcd"))
        self.create()
        self.cluster.start_node(13)
        eventually(lambda: self.cluster.member_ids().get(13) not in (None, before[13]), 60, "a new member on node 13")
        self.cluster.members([11, 12, 13])
        self.cluster.healthy()
        # It counts: without another one the store goes on.
        self.cluster.nodes[12].stop()
        self.create()
        self.all_there()

    def test_a_removed_node_takes_its_member_with_it(self):
        self.cluster.nodes[13].stop()
        self.cluster.committed("node_remove", {"nid": 13}, 60)
        del_node = self.cluster.nodes.pop(13)
        self.addCleanup(shutil.rmtree, del_node.folder, True)
        # Two nodes: one member, so that one failure less is needed for a majority.
        self.cluster.members([11])
        self.create()
        self.all_there()
        eventually(lambda: not etcd_processes(self.cluster.nodes[12]), 30, "the member of node 12 ending")

    def test_all_stop_and_start_in_any_order(self):
        self.create()
        order = [11, 12, 13]
        for node_id in order:
            self.assertEqual(0, self.cluster.nodes[node_id].stop())
        random.shuffle(order)
        print(f"    order {order}", file=sys.stderr)
        # Alone it reads and says what it waits for; nothing is changed, nothing hangs.
        first = self.cluster.nodes[order[0]]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(os.path.join(first.folder, "notify"))
            systemd.settimeout(30)
            first.env.update(NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="400000")
            self.cluster.start_node(order[0])
            while "no master is known: the cluster's store does not answer" not in systemd.recv(4096).decode():
                pass
        self.assertEqual(0, first.job("node_list")["result_code"])
        self.assertEqual("NoQuorum", first.job("user_create", user(99))["result_name"])
        for node_id in order[1:]:
            self.cluster.start_node(node_id)
        self.create()
        self.all_there()
        self.assertNotIn("[[u99]]", first.exaconf())

    def kill_all(self):
        for node in self.cluster.nodes.values():
            node.kill()
            kill_etcd(node)

    def command(self, node_id, option, check=True):
        node = self.cluster.nodes[node_id]
        return node.run("confd", "--root", node.root, option, check=check)

    def test_most_members_are_lost_for_good_and_one_goes_on_from_its_data(self):
        self.create()
        refused = self.command(11, "--recover-store", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertIn("stop it first", refused.stderr)
        self.kill_all()
        shutil.rmtree(self.cluster.nodes[12].path("data/etcd"))
        said = self.command(11, "--recover-store").stdout
        self.assertIn("from its own data", said)
        self.assertEqual([], etcd_processes(self.cluster.nodes[11]))
        self.assertIn("data/etcd.removed", self.command(13, "--forget-store").stdout)
        for node_id in (11, 12, 13):
            self.cluster.start_node(node_id)
        self.create(60)
        self.cluster.members([11, 12, 13], 90)
        self.cluster.healthy()
        self.all_there(30)
        # It bears a failure again.
        self.cluster.nodes[11].stop()
        self.create()
        self.all_there()

    def test_a_member_of_the_lost_store_that_comes_back_is_added_anew(self):
        self.create()
        self.kill_all()
        shutil.rmtree(self.cluster.nodes[12].path("data/etcd"))
        self.command(11, "--recover-store")
        for node_id in (11, 13, 12):  # 13 with its old data
            self.cluster.start_node(node_id)
        self.create(60)
        self.cluster.members([11, 12, 13], 90)
        self.assertTrue(self.cluster.nodes[13].path("data/etcd.removed").exists())
        self.all_there(30)

    def test_all_data_of_the_store_is_lost_and_exaconf_is_the_backup(self):
        self.create()
        revision = self.cluster.nodes[12].revision()
        self.kill_all()
        for node in self.cluster.nodes.values():
            shutil.rmtree(node.path("data/etcd"))
        said = self.command(12, "--recover-store").stdout
        self.assertIn("it had no data", said)
        self.assertIn(f"revision {revision}, as in", said)
        for node_id in (11, 12, 13):
            if node_id != 12:
                self.assertIn("has no data", self.command(node_id, "--forget-store").stdout)
            self.cluster.start_node(node_id)
        self.create(60)
        self.cluster.members([11, 12, 13], 90)
        self.all_there(30)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
