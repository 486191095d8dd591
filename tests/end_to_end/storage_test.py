#!/usr/bin/env python3
"""Volumes on real devices: made, shown, enlarged, deleted, through kill -9 of confd, on one node and on three."""
import unittest

from cluster import Cluster
from node import Node, eventually

GIB = 1 << 30


class Storage:
    """What a test asks of a node's storage; `node`: who carries the jobs out."""

    def __init__(self, node):
        self.node = node

    def job(self, name, params=None):
        return self.node.rpc("/RPC2").job_exec(name, {"params": params or {}})

    def done(self, name, params=None):
        result = self.job(name, params)
        assert result["result_code"] == 0, (name, result)
        return result.get("result_output")

    def volumes(self):
        return {volume["name"]: volume for volume in self.done("st_volume_list")}

    def state(self, name):
        return self.done("st_volume_info", {"vname": name})["state"]

    def wait_for(self, name, state, seconds=30):
        eventually(lambda: self.job("st_volume_info", {"vname": name}).get("result_output", {}).get("state") == state, seconds, f"volume {name} {state}")

    def free_sectors(self, node_id=11):
        return self.done("st_device_info", {"node_id": node_id, "devname": "dev.1"})["num_free_sectors"]


class OneNode(unittest.TestCase):
    def setUp(self):
        self.node = Node().start()
        self.addCleanup(self.node.__exit__)
        self.storage = Storage(self.node)
        for name in ("DataVolume1", "ArchiveVolume1"):
            self.storage.wait_for(name, "ONLINE")

    def owner(self):
        """admin may delete what belongs to him."""
        return ["admin", "exausers"]

    def create(self, name, size="256 MiB", **more):
        return self.storage.done("st_volume_create", {"name": name, "type": "data", "disk": "disk1", "size": size, "nodes": [11], "redundancy": 1,
                                                      "owner": self.owner(), **more})

    def test_the_volumes_of_a_new_node_have_their_space(self):
        volumes = self.storage.volumes()
        self.assertEqual([(name, volume["id"], volume["size"]) for name, volume in volumes.items()],
                         [("DataVolume1", "0", "4 GiB"), ("ArchiveVolume1", "1", "2 GiB")])
        self.assertEqual(volumes["DataVolume1"]["segments"][0],
                         {"end_block": "1048575", "index": "0", "nid": 0, "partitions": [], "phys_nid": 11, "sid": "0", "start_block": "0",
                          "state": "ONLINE", "type": "MASTER", "vid": "0"})
        nodes = self.storage.done("st_node_list")
        self.assertEqual((nodes["0"]["name"], nodes["0"]["state"]), ("n11", "ONLINE"))
        device = self.storage.done("st_device_info", {"node_id": 11, "devname": "dev.1"})
        self.assertEqual((device["num_data_sectors"] - device["num_free_sectors"]) * device["sector_size"], 6 * GIB)

    def test_a_volume_takes_space_grows_and_gives_it_back(self):
        before = self.storage.free_sectors()
        self.assertEqual(self.create("work"), {"vid": 2})
        self.assertEqual(before - self.storage.free_sectors(), 65536)
        self.storage.done("st_volume_enlarge", {"vname": "work", "blocks_per_node": 64})
        self.assertEqual(before - self.storage.free_sectors(), 65600)
        self.storage.done("st_volume_shrink", {"vname": "work", "blocks_per_node": 128})
        self.assertEqual(before - self.storage.free_sectors(), 65472)
        self.assertEqual(self.storage.volumes()["work"]["state"], "ONLINE")
        self.storage.done("st_volume_delete", {"vname": "work"})
        self.assertEqual(self.storage.free_sectors(), before)
        self.assertNotIn("work", self.storage.volumes())

    def test_a_volume_that_does_not_fit_is_refused_with_what_is_free(self):
        result = self.storage.job("st_volume_create", {"name": "big", "type": "data", "disk": "disk1", "size": "1 TiB", "nodes": [11], "redundancy": 1})
        self.assertEqual(result["result_name"], "Busy")
        self.assertRegex(result["result_desc"], r"node 11 needs 1 TiB on disk1 and has 1\.9\d* GiB free")

    def test_volumes_outlive_confd(self):
        self.create("work")
        self.storage.done("st_volume_add_label", {"vname": "work", "label": "kept"})
        before = self.storage.volumes()
        self.node.kill()
        self.node.start()
        self.assertEqual(self.storage.volumes(), before)

    def test_locked_volumes_and_settings(self):
        self.create("work")
        self.storage.done("st_volume_lock", {"vname": "work"})
        self.assertEqual(self.storage.state("work"), "LOCKED")
        self.storage.done("st_volume_unlock", {"vid": 2})
        self.storage.done("st_volume_set_io_status", {"vname": "work", "app_io": False, "int_io": True})
        info = self.storage.done("st_volume_info", {"vid": 2})
        self.assertEqual((info["state"], info["app_io_enabled"], info["block_size"]), ("ONLINE", False, "4 KiB"))

    def test_a_device_that_is_disabled_locks_its_volumes(self):
        self.storage.done("st_device_disable", {"node": 11, "devname": "dev.1"})
        self.assertEqual(self.storage.state("DataVolume1"), "LOCKED")
        self.storage.done("st_device_enable", {"node": 11, "devname": "dev.1"})
        self.assertEqual(self.storage.state("DataVolume1"), "ONLINE")

    def test_what_a_killed_create_took_is_given_back(self):
        before = self.storage.free_sectors()
        self.node.stop()
        # Dies when the job has allocated, before EXAConf is changed.
        self.node.start(env={"CONFD_FAILPOINT_KILL": "scheduler.executed"})
        with self.assertRaises(Exception):
            self.create("lost")
        self.node.process.wait(timeout=30)
        self.node.process = None
        self.node.start()
        eventually(lambda: self.storage.free_sectors() == before, 30, "the space of the killed job")
        self.assertNotIn("lost", self.storage.volumes())
        self.assertEqual(self.create("next"), {"vid": 2})


class ThreeNodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(3).__enter__()
        cls.storage = Storage(cls.cluster.master())

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__()

    def committed(self, name, params):
        return self.cluster.committed(name, params)[1].get("result_output")

    def create(self, name, redundancy=2, nodes=(11, 12, 13), size="96 MiB"):
        return self.committed("st_volume_create", {"name": name, "type": "archive", "disk": "disk1", "size": size, "nodes": list(nodes),
                                                   "redundancy": redundancy, "owner": ["admin", "exausers"]})

    def current(self):
        return Storage(self.cluster.master())

    def test_a_redundant_volume_survives_a_node_and_heals(self):
        self.create("ring")
        storage = self.current()
        storage.wait_for("ring", "ONLINE")
        segments = storage.volumes()["ring"]["segments"]
        self.assertEqual([(s["index"], s["phys_nid"], s["type"]) for s in segments],
                         [("0", 11, "MASTER"), ("1", 12, "MASTER"), ("2", 13, "MASTER"), ("0", 12, "REDUNDANT"), ("1", 13, "REDUNDANT"), ("2", 11, "REDUNDANT")])
        away = next(i for i in (12, 13) if self.cluster.nodes[i] is not storage.node)
        self.cluster.nodes[away].kill()
        storage.wait_for("ring", "DEGRADED")
        info = storage.volumes()["ring"]
        self.assertIn({"id": away, "unrecovered_segments": 2}, info["nodes_list"])
        self.assertEqual(len([s for s in info["segments"] if s["type"] == "DEPUTY"]), 1)
        self.cluster.start_node(away)
        storage.wait_for("ring", "ONLINE")

    def test_a_node_that_was_away_when_a_volume_was_deleted_gives_its_space_back(self):
        storage = self.current()
        away = next(i for i in (12, 13) if self.cluster.nodes[i] is not storage.node)
        before = storage.free_sectors(away)
        self.create("gone")
        self.assertLess(storage.free_sectors(away), before)
        self.cluster.nodes[away].kill()
        storage.wait_for("gone", "DEGRADED")
        self.committed("st_volume_delete", {"vname": "gone"})
        self.cluster.start_node(away)

        def freed():
            result = storage.job("st_device_info", {"node_id": away, "devname": "dev.1"})
            return result["result_code"] == 0 and result["result_output"]["num_free_sectors"] == before
        eventually(freed, 60, "the space on the node that was away")

    def test_a_suspended_node_locks_what_lies_on_it(self):
        storage = self.current()
        self.create("two", nodes=(12, 13))
        self.committed("st_node_suspend", {"nid": 13})
        info = storage.done("st_volume_info", {"vname": "two"})
        self.assertEqual((info["state"], info["unlock_conditions"]), ("LOCKED", ["node 13 is resumed"]))
        states = {node["phys_nid"]: node["state"] for node in storage.done("st_node_list").values()}
        self.assertEqual(states, {11: "ONLINE", 12: "ONLINE", 13: "SUSPENDED"})
        self.committed("st_node_resume", {"nid": 13})
        self.assertEqual(storage.state("two"), "ONLINE")

    def test_copies_are_added_and_taken_away(self):
        self.create("plain", redundancy=1, nodes=(11, 12))
        self.committed("st_volume_increase_redundancy", {"vname": "plain", "delta": 1})
        storage = self.current()
        self.assertEqual(storage.state("plain"), "RECOVERING")
        self.committed("st_volume_decrease_redundancy", {"vname": "plain", "delta": 1})
        self.assertEqual(storage.state("plain"), "ONLINE")
        self.assertEqual(len(storage.volumes()["plain"]["segments"]), 2)

    def test_a_node_is_appended(self):
        self.create("grows", redundancy=1, nodes=(11, 12), size="64 MiB")
        self.committed("st_volume_append_node", {"vname": "grows", "node_num": 1, "node_ids": [13]})
        info = self.current().done("st_volume_info", {"vname": "grows"})
        self.assertEqual((info["size"], info["state"], info["volume_nodes"]), ("96 MiB", "ONLINE", [11, 12, 13]))


if __name__ == "__main__":
    unittest.main()
