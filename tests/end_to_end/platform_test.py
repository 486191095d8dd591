#!/usr/bin/python3
"""Platform providers with real daemons: nodes made, started, stopped and removed on this machine; an operator's program as hook."""
import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
import unittest

from managed import ManagedCluster, etcd_processes
from node import Node, eventually

LOCAL = "platform:\n  provider: local\n"


class MadeNode:
    """A node that confd made: its root only."""

    def __init__(self, root):
        self.root = str(root)

    def path(self, name):
        return pathlib.Path(self.root, name)

    def pid(self):
        """Of its confd, None when none runs."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self.path("run/confd.pid").read_text())
            if self.root.encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return None

    def end(self):
        for pid in [self.pid(), *etcd_processes(self)]:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.pid() is None and not etcd_processes(self), 20, "a node ending")


class Local(unittest.TestCase):
    def setUp(self):
        self.cluster = ManagedCluster(1, settings=LOCAL)
        self.addCleanup(self.cluster.__exit__)
        self.first = self.cluster.nodes[11]
        self.made = {node_id: MadeNode(pathlib.Path(self.first.folder, f"n{node_id}")) for node_id in (12, 13)}
        for node in self.made.values():
            self.addCleanup(node.end)
        self.cluster.__enter__()

    def overview(self):
        envelope = self.first.job("infra_overview_get")
        self.assertEqual(envelope["result_code"], 0, envelope)
        return envelope["result_output"]

    def states(self):
        return {node: shown["state"] for node, shown in self.overview()["nodes"].items()}

    def run_job(self, name, params, seconds=120):
        return self.cluster.committed(name, params, seconds)[1]

    def refused(self, name, params, text):
        envelope = self.first.job(name, params)
        self.assertNotEqual(envelope["result_code"], 0)
        self.assertIn(text, envelope["result_desc"])

    def test_nodes_come_stop_start_and_go(self):
        self.assertEqual(self.overview()["provider"], "local")
        self.assertEqual(self.run_job("infra_instances_add", {"nid": 11, "num_nodes": 2})["result_output"], [12, 13])
        self.assertEqual(self.states(), {"11": "running", "12": "running", "13": "running"})
        self.assertNotIn("State", self.first.exaconf())
        self.assertEqual(self.first.job("node_state")["result_output"]["13"], "online")
        before = {node_id: node.pid() for node_id, node in self.made.items()}
        for node_id, pid in before.items():
            self.assertEqual(os.getpgid(pid), pid, "leads its own group")
            self.assertEqual(pathlib.Path(f"/proc/{pid}/status").read_text().split("PPid:")[1].split()[0], "1")
        record = self.first.rpc().job_info(self.first.rpc().job_history({"limit": 10, "job": "infra_instances_add"})[0]["job_id"])
        self.assertNotIn("12.", str(record["commands"][1]["arguments"]["join"]), "no token on record")

        # The others outlive the confd that started them, and are found again.
        self.first.kill()
        self.cluster.start_node(11)
        eventually(lambda: 11 in self.cluster.masters() or self.hand_back(), 60, "node 11 being master again")
        self.assertEqual({node_id: node.pid() for node_id, node in self.made.items()}, before)
        self.assertEqual(self.states(), {"11": "running", "12": "running", "13": "running"})

        # Neither the majority nor the master.
        self.refused("infra_instances_stop", {"nids": [12, 13]}, "can't be stopped")
        self.refused("infra_instances_stop", {"nids": [11]}, "it is master")

        self.run_job("infra_instances_stop", {"nids": [13], "timeout": 60})
        self.assertIsNone(self.made[13].pid())
        self.assertEqual(etcd_processes(self.made[13]), [])
        self.assertEqual(self.states()["13"], "stopped")
        self.run_job("infra_instances_start", {"nids": [12, 13]})
        self.assertNotEqual(self.made[13].pid(), before[13])
        self.assertEqual(self.made[12].pid(), before[12], "one that runs is not started again")

        # A node that was killed is stopped, whoever has its process id now.
        os.kill(self.made[13].pid(), signal.SIGKILL)
        self.made[13].path("run/confd.pid").write_text(f"{os.getpid()}\n")
        eventually(lambda: self.first.job("node_state")["result_output"]["13"] == "offline", 30, "node 13 offline")
        self.assertEqual(self.states()["13"], "stopped")
        self.run_job("infra_instances_start", {"nids": [13]})

        self.run_job("infra_instances_remove", {"nids": [13]})
        self.assertFalse(pathlib.Path(self.made[13].root).exists())
        self.assertNotIn("[Node : 13]", self.first.exaconf())
        self.assertEqual(self.states(), {"11": "running", "12": "running"})
        self.run_job("node_suspend", {"nid": 12})
        # Refused as long as the store still runs on 11 and 12: of two nodes only the first shall have it.
        eventually(lambda: self.first.job("nodes_terminate", {"nids": [12]})["result_code"] == 0, 60, "node 12 being terminated")
        self.assertEqual(self.states()["12"], "stopped")
        self.assertEqual(self.overview()["nodes"]["12"]["node_state"], "suspended")

    def hand_back(self):
        """Master is one of the made nodes: their confd answers the local socket as root."""
        for node in self.made.values():
            self.first.run("confd_client", "--root", node.root, "master_change", "nids: [11]", check=False)
        return False


HOOK = """#!/bin/sh
action=$1
cat > FOLDER/$action.json
echo "$action: at work" >&2
case $action in
  nodes) echo '{"nodes": {"11": {"state": "running", "machine": "vm-1"}}}' ;;
  update_resources) echo "no such resource" >&2; exit 4 ;;
  update_firewall) exit 0 ;;
  add_nodes|update_system)
    trap 'kill $!; echo ended > FOLDER/ended; exit 1' TERM
    echo begun > FOLDER/begun
    [ ! -e FOLDER/wait ] || { sleep 300 & wait; } ;;
  *) exit 3 ;;
esac
"""


class Hook(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="confd-hook-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.hook = os.path.join(self.folder, "hook")
        with open(os.open(self.hook, os.O_WRONLY | os.O_CREAT, 0o700), "w") as file:
            file.write(HOOK.replace("FOLDER", self.folder))
        self.settings = f"platform:\n  provider: hook\n  hook: {self.hook}\n"

    def chief(self, node):
        """update_system is for the group root alone."""
        made = node.job("user_create", {"username": "chief", "userid": 3100, "group": "root", "login_enabled": True, "password": "Chief-password1"})
        self.assertEqual(made["result_code"], 0, made)
        return node.rpc(user="chief", password="Chief-password1")

    def there(self, name):
        return os.path.exists(os.path.join(self.folder, name))

    def test_a_hook_does_what_jobs_ask_for(self):
        with Node(settings=self.settings) as node:
            rules = [{"CidrIp": "10.0.0.0/8", "FromPort": 22, "ToPort": 22, "IpProtocol": "tcp"}]
            done = node.job("infra_firewall_update", {"ingress_rules": rules})
            self.assertEqual((done["result_code"], done["result_desc"]), (0, "Success"))
            self.assertIn('"CidrIp":"10.0.0.0/8"', pathlib.Path(self.folder, "update_firewall.json").read_text())
            command = node.rpc().job_info(done["result_jobid"])["commands"][0]
            self.assertEqual((command["command"], command["output"]["log"]), ("platform.update_firewall", "update_firewall: at work\n"))
            refused = node.job("infra_resources_update", {"node_platform_config": {}})
            self.assertEqual(refused["result_name"], "WrongState")
            self.assertIn("refused: no such resource", refused["result_desc"])
            self.assertEqual(node.job("infra_overview_get")["result_output"]["nodes"]["11"]["machine"], "vm-1")
            self.assertEqual(node.job("infra_instances_start", {"nids": [11]})["result_code"], 0)  # it runs already
            self.assertEqual(self.chief(node).job_exec("update_system", {"params": {"target": "2026.1"}})["result_desc"], "Success")
            self.assertIn('"target":"2026.1"', pathlib.Path(self.folder, "update_system.json").read_text())
            self.assertEqual(node.job("infra_overview_get")["result_output"]["update"]["nodes"]["11"]["state"], "updated")

    def test_without_a_provider_the_setting_is_named(self):
        with Node() as node:
            chief = self.chief(node)
            before = node.exaconf()
            for job, params in (("infra_resources_update", {"node_platform_config": {}}), ("infra_instances_start", {"nids": [11]}), ("update_system", {})):
                refused = chief.job_exec(job, {"params": params})
                self.assertEqual(refused["result_name"], "Unsupported")
                self.assertIn("`platform: ", refused["result_desc"])
            self.assertEqual(node.job("infra_overview_get")["result_output"]["provider"], "none")
            self.assertEqual(node.exaconf(), before)

    def test_confd_dies_while_a_node_is_updated(self):
        pathlib.Path(self.folder, "wait").touch()
        with Node(settings=self.settings) as node:
            job_id = self.chief(node).job_start("update_system", {"params": {"target": "2026.1"}})
            eventually(lambda: self.there("begun"), 20, "the hook at work")
            node.kill()
            eventually(lambda: self.there("ended"), 20, "the hook being told to end")
            os.remove(os.path.join(self.folder, "wait"))
            node.start()
            self.assertEqual(node.rpc().job_result(job_id)["result_name"], "Interrupted")
            self.assertEqual(node.job("infra_overview_get")["result_output"]["update"]["nodes"]["11"]["state"], "updating")
            again = node.rpc(user="chief", password="Chief-password1").job_exec("update_system", {"params": {"target": "2026.1"}})
            self.assertEqual(again["result_desc"], "Success")
            self.assertIn("goes on with the update", str(node.rpc().job_info(again["result_jobid"])["warnings"]))

    def test_confd_dies_while_nodes_are_made(self):
        pathlib.Path(self.folder, "wait").touch()
        cluster = ManagedCluster(1, settings=self.settings)
        self.addCleanup(cluster.__exit__)
        cluster.__enter__()
        node = cluster.nodes[11]
        job_id = node.rpc().job_start("infra_instances_add", {"params": {"nid": 11, "num_nodes": 1}})
        eventually(lambda: self.there("begun"), 30, "the hook at work")
        node.kill()
        cluster.start_node(11)
        cluster.master()
        self.assertIn("[Node : 12]", node.exaconf())

        def result():
            return node.rpc().job_result(job_id)
        eventually(lambda: result()["result_name"] == "Interrupted", 30, "the job being interrupted")
        self.assertIn("changes of EXAConf and its commands may have been carried out in part", result()["result_desc"])
        token = pathlib.Path(self.folder, "add_nodes.json").read_text().split('"12":"12.')[1].split('"')[0]
        self.assertNotIn(token, "".join(path.read_text(errors="replace") for path in pathlib.Path(node.root, "spool").rglob("*") if path.is_file()))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
