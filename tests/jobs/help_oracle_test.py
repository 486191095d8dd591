"""job_help of every job is what Python makes of its job_desc (spec/rpc.md section 3). Run by ctest with jobs_doc."""
import json
import pprint
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)
TYPES = ("str", "int", "bool", "tuple", "dict", "object", "list")


def python_help(desc):
    return (f"Description: {desc[0]!r}\n"
            f"Mandatory parameters:\n{pprint.pformat(desc[1], indent=4)}\n"
            f"Optional parameters:\n{pprint.pformat(desc[2], indent=4)}\n"
            f"Substitute parameters:\n{pprint.pformat(desc[3], indent=4)}\n"
            f"Allowed users:{desc[4]!r}\n"
            f"Allowed groups:{desc[5]!r}")


class JobHelp(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        text = subprocess.run([PROGRAM, "--json"], check=True, capture_output=True, text=True).stdout
        cls.jobs = json.loads(text)

    def test_there_are_jobs(self):
        self.assertGreaterEqual(len(self.jobs), 21)

    def test_help_is_what_python_prints(self):
        for job in self.jobs:
            with self.subTest(job["name"]):
                self.assertEqual(job["help"], python_help(job["desc"]))

    def test_desc_is_what_the_documentation_generator_reads(self):
        for job in self.jobs:
            with self.subTest(job["name"]):
                desc = job["desc"]
                self.assertEqual(len(desc), 12)
                self.assertIsInstance(desc[0], str)
                for params in (desc[1], desc[2]):
                    for name, param in (params or {}).items():
                        self.assertIsInstance(param["desc"], str, name)
                        self.assertTrue(any(word in param["type"] for word in TYPES), param["type"])
                self.assertTrue(all(isinstance(example, dict) for example in desc[6]))


if __name__ == "__main__":
    unittest.main()
