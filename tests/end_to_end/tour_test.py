#!/usr/bin/env python3
"""The public way of using the interface: the tour of the README, the calls of the public articles."""
import pathlib
import subprocess
import unittest

from node import TOP, Node


class Tour(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().start()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def test_the_script_of_the_readme(self):
        password = pathlib.Path(self.node.folder, "password")
        done = subprocess.run(["/usr/bin/python3", TOP / "packaging/tour.py", f"{self.node.address}:{self.node.port}", "admin", password],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("'11': 'online'", done.stdout)
        self.assertIn("'result_desc': 'Success'", done.stdout)
        self.assertIn("'committed'", done.stdout)
        self.assertNotIn("tour", self.node.exaconf())


if __name__ == "__main__":
    unittest.main()
