#!/usr/bin/python3
"""The example hook for Terraform: its files with a terraform that only keeps what it is called with, and, where Terraform is installed,
with the real one (the resource it uses is built in: nothing is downloaded)."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "packaging/examples/platform-terraform"
REAL = shutil.which("terraform")
FAKE = """#!/bin/sh
echo "$@" >> "$PWD/called"
echo "$TF_VAR_join" >> "$PWD/joins"
[ ! -e "$PWD/slow" ] || { trap 'echo interrupted >> "$PWD/called"; kill $!; exit 1' INT; sleep 300 & echo > "$PWD/begun"; wait; }
[ ! -e "$PWD/broken" ] || { echo "Error: no such zone" >&2; exit 1; }
"""
NODES = [{"nid": 12, "name": "n12", "private_ip": "10.0.0.12"}, {"nid": 13, "name": "n13", "private_ip": "10.0.0.13"}]
JOIN = {"address": "10.0.0.11", "tokens": {"12": "12.secret", "13": "13.secret"}}


class Example(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="confd-terraform-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("hook", "main.tf"):
            shutil.copy(EXAMPLE / name, self.folder / name)
        self.tools = self.folder / "bin"
        self.tools.mkdir()
        self.environment = {"PATH": f"{self.tools}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder)}

    def start(self, action, **request):
        process = subprocess.Popen([self.folder / "hook", action], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=self.environment)
        process.stdin.write(json.dumps({"action": action, "protocol": 1, "cluster": "cl4", **request}))
        process.stdin.close()
        process.stdin = None
        return process

    def hook(self, action, code=0, **request):
        process = self.start(action, **request)
        output, errors = process.communicate(timeout=120)
        self.assertEqual(process.returncode, code, errors)
        return json.loads(output) if output else None, errors

    def wanted(self):
        return json.loads((self.folder / "nodes.auto.tfvars.json").read_text())["nodes"]

    def states(self):
        return {node: shown["state"] for node, shown in self.hook("nodes", nodes=[])[0]["nodes"].items()}


class WithAnyTerraform(Example):
    def setUp(self):
        super().setUp()
        tool = self.tools / "terraform"
        tool.write_text(FAKE)
        tool.chmod(0o755)

    def test_nodes_come_stop_start_change_and_go(self):
        self.hook("add_nodes", nodes=NODES, join=JOIN, cloud_zone="eu-central-1", source=11)
        self.assertEqual(self.wanted()["12"], {"name": "n12", "private_ip": "10.0.0.12", "running": True, "zone": "eu-central-1", "settings": {}})
        self.hook("stop_nodes", nodes=NODES[1:])
        self.assertEqual(self.states(), {"12": "running", "13": "stopped"})
        self.hook("start_nodes", nodes=NODES[1:])
        self.hook("update_nodes", nodes=NODES[:1], node_platform_config={"InstanceType": "r5d.large"})
        self.assertEqual(self.wanted()["12"]["settings"], {"InstanceType": "r5d.large"})
        self.hook("remove_nodes", nodes=NODES[:1])
        self.hook("remove_nodes", nodes=NODES[:1])  # asked for again
        self.assertEqual(self.states(), {"13": "running"})
        self.assertEqual(self.hook("nodes", nodes=[{"nid": 11}])[0]["nodes"]["11"], {"state": "unknown"})
        self.assertEqual((self.folder / "called").read_text(), "apply -auto-approve -no-color\n" * 6)

    def test_tokens_are_in_no_file_of_the_hook_and_in_no_argument(self):
        _, errors = self.hook("add_nodes", nodes=NODES, join=JOIN)
        self.assertEqual(json.loads((self.folder / "joins").read_text()), JOIN)
        self.assertNotIn("secret", errors + (self.folder / "called").read_text() + json.dumps(self.wanted()))

    def test_what_terraform_refuses_fails_the_action(self):
        (self.folder / "broken").touch()
        self.assertIn("terraform apply ended with 1", self.hook("add_nodes", 1, nodes=NODES, join=JOIN)[1])

    def test_what_it_does_not_know(self):
        self.hook("update_firewall", 3, ingress_rules=[])
        self.assertIn("node 12 was not made by this hook", self.hook("start_nodes", 1, nodes=NODES[:1])[1])

    def test_terraform_is_interrupted_when_confd_gives_up(self):
        (self.folder / "slow").touch()
        process = self.start("add_nodes", nodes=NODES, join=JOIN)
        deadline = time.monotonic() + 20
        while not (self.folder / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("interrupted", (self.folder / "called").read_text())


@unittest.skipUnless(REAL, "Terraform is not installed")
class WithRealTerraform(Example):
    def test_main_tf_is_what_the_hook_needs(self):
        done = subprocess.run([REAL, "init", "-no-color"], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.hook("add_nodes", nodes=NODES, join=JOIN)
        self.hook("stop_nodes", nodes=NODES[1:])
        self.hook("remove_nodes", nodes=NODES[:1])
        shown = subprocess.run([REAL, "show", "-json"], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60).stdout
        resources = json.loads(shown)["values"]["root_module"]["resources"]
        self.assertEqual([(resource["index"], resource["values"]["input"]["running"]) for resource in resources], [("13", False)])
        self.assertNotIn("secret", (self.folder / "terraform.tfstate").read_text())


if __name__ == "__main__":
    unittest.main()
