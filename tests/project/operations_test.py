#!/usr/bin/env python3
"""docs/operations.md is true: all its commands run, in order, on the cluster of packaging/quickstart --nodes 3."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from cluster_quickstart_test import BUILD, DEMO, TOP, is_taken, processes, quickstart


class Operations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for address in ("127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"):
            if is_taken(address, 20003) or is_taken(address, 2379):
                raise unittest.SkipTest(f"{address} is taken, by another demo node perhaps")
        shutil.rmtree(DEMO, ignore_errors=True)
        cls.addClassCleanup(shutil.rmtree, DEMO, True)
        cls.addClassCleanup(quickstart, "stop")
        made = quickstart("--nodes", "3")
        if made.returncode != 0:
            raise AssertionError(made.stdout + made.stderr)

    def test_every_block_runs(self):
        blocks = re.findall(r"<!-- run -->\n```sh\n(.*?)```", (TOP / "docs/operations.md").read_text(), re.S)
        self.assertGreaterEqual(len(blocks), 8)
        # One shell for all of them: what a block defines the next ones use.
        marked = "".join(f"echo '-- block {number}'\n{block}" for number, block in enumerate(blocks, 1))
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(BUILD, os.path.join(folder, "build"))
            with open(os.path.join(folder, "output"), "w+") as output:
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", marked], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=400,
                                      env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent"})
                output.seek(0)
                text = output.read()
        self.assertEqual(0, done.returncode, text[-3000:])
        self.assertEqual(6, len(processes()), processes())
        self.assertNotIn("n14", "".join(processes()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
