#!/usr/bin/env python3
"""The README is true: quickstart runs, a second time in seconds, and every command it shows works."""
import os
import pathlib
import re
import subprocess
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]


def quickstart(*arguments):
    return subprocess.run([TOP / "packaging/quickstart", *arguments], cwd="/", capture_output=True, text=True, timeout=800,
                          stdin=subprocess.DEVNULL)


@unittest.skipUnless(pathlib.Path(os.environ.get("CONFD_BINARY_DIR", TOP / "build")) == TOP / "build", "quickstart works in build/ only")
class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ran_before = pathlib.Path(TOP, "build/demo/run/confd.pid").exists()
        cls.first = quickstart()

    @classmethod
    def tearDownClass(cls):
        if not cls.ran_before:
            quickstart("stop")

    def test_quickstart_shows_the_tour(self):
        self.assertEqual(self.first.returncode, 0, self.first.stdout + self.first.stderr)
        for expected in ("The master is 127.0.0.11", "'11': 'online'", "user_create:", "Stop it:  packaging/quickstart stop"):
            self.assertIn(expected, self.first.stdout)

    def test_a_second_run_takes_seconds(self):
        start = time.monotonic()
        again = quickstart()
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertLess(time.monotonic() - start, 60)   # seconds, not the minutes of a build; generous for a loaded machine

    def test_every_marked_block_runs(self):
        text = (TOP / "README.md").read_text()
        blocks = re.findall(r"<!-- run -->\n```sh\n(.*?)```", text, re.S)
        self.assertGreaterEqual(len(blocks), 3)
        for block in blocks:
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=TOP, capture_output=True, text=True, timeout=120,
                                  env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent"})
            self.assertEqual(done.returncode, 0, block + done.stdout + done.stderr)

    def test_the_script_it_shows_is_the_script_there_is(self):
        shown = re.search(r"```python\n(.*?)```", (TOP / "README.md").read_text(), re.S).group(1)
        self.assertEqual(shown, (TOP / "packaging/tour.py").read_text())

    def test_its_links_lead_somewhere(self):
        for page in [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name} links to {target}")


if __name__ == "__main__":
    unittest.main()
