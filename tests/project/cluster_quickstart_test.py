#!/usr/bin/env python3
"""packaging/quickstart --nodes 3: a cluster out of nothing, a killed master, all in seconds, and nothing left afterwards."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CONFD_BINARY_DIR", TOP / "build")).resolve()
DEMO = BUILD / "demo3"


def quickstart(*arguments):
    return subprocess.run([TOP / "packaging/quickstart", *arguments], cwd="/", capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
                          env={**os.environ, "CONFD_BINARY_DIR": str(BUILD)})


def is_taken(address, port):
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def processes():
    """Command lines that name our folder."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(DEMO) in line and "cluster_tour" not in line:
            found.append(line)
    return found


class ClusterQuickstart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if DEMO.exists() and processes():
            raise unittest.SkipTest("somebody looks at the demo cluster")
        for address in ("127.0.0.11", "127.0.0.12", "127.0.0.13"):
            if is_taken(address, 20003) or is_taken(address, 2379):
                raise unittest.SkipTest(f"{address} is taken, by another demo node perhaps")
        shutil.rmtree(DEMO, ignore_errors=True)
        cls.addClassCleanup(shutil.rmtree, DEMO, True)
        cls.addClassCleanup(quickstart, "stop")
        start = time.monotonic()
        cls.first = quickstart("--nodes", "3")
        cls.took = time.monotonic() - start

    def test_1_it_makes_a_cluster_and_kills_its_master(self):
        self.assertEqual(0, self.first.returncode, self.first.stdout + self.first.stderr)
        for expected in ("--init --store managed", "node_add nid: 12", "--make-token 13", "--join 127.0.0.11:20003", "The store has three members",
                         "'13': online", "curl -k https://127.0.0.13:20003/master\n127.0.0.11", "node 11 is killed", "as all do", "quickstart stop"):
            self.assertIn(expected, self.first.stdout)
        self.assertEqual(3, len(re.findall(r"tour\d+ is there", self.first.stdout)))
        self.assertEqual([], list(DEMO.glob("*.token")))
        print(f"\n    from nothing in {self.took:.1f} s; " + re.search(r"Without a master.*? s\.", self.first.stdout).group(0))

    def test_2_a_second_run_takes_seconds(self):
        start = time.monotonic()
        again = quickstart("--nodes=3")
        self.assertEqual(0, again.returncode, again.stdout + again.stderr)
        self.assertIn("are there already", again.stdout)
        self.assertLess(time.monotonic() - start, 60)

    def test_3_stop_leaves_no_process(self):
        self.assertEqual(6, len(processes()))  # confd and etcd of each
        self.assertIn("have stopped", quickstart("stop").stdout)
        self.assertEqual([], processes())
        # And they come back as they were.
        again = quickstart("--nodes", "3")
        self.assertEqual(0, again.returncode, again.stdout + again.stderr)

    def test_other_numbers_of_nodes_are_refused(self):
        self.assertEqual(2, quickstart("--nodes", "4").returncode)
        self.assertEqual(2, quickstart("--nodes").returncode)


if __name__ == "__main__":
    unittest.main(verbosity=2)
