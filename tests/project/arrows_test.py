#!/usr/bin/env python3
"""The include arrows of docs/architecture.md, the sizes of files, and a few words that must not be in the sources."""
import pathlib
import re
import subprocess
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
ALLOWED = {
    "base": "base",
    "rpc": "rpc base",
    "exaconf": "exaconf base",
    "auth": "auth exaconf base",
    "cluster": "cluster exaconf rpc base",
    "storage": "storage cluster exaconf base",
    "services": "services storage cluster auth exaconf rpc base",
    "jobs": "jobs services storage cluster auth exaconf base",
    "scheduler": "scheduler jobs cluster auth exaconf base",
    "daemon": "daemon scheduler jobs services storage cluster auth exaconf rpc base",
    "daemon/client": "daemon/client rpc base",
    "daemon/exaconf": "daemon/exaconf auth exaconf base",
}


def sources():
    listed = subprocess.run(["git", "ls-files", "*.h", "*.cpp"], cwd=TOP, capture_output=True, text=True, check=True).stdout.split()
    return [pathlib.Path(name) for name in listed if (TOP / name).exists()]


def folder_of(path):
    for folder in sorted(ALLOWED, key=len, reverse=True):
        if str(path).startswith(folder + "/"):
            return folder
    return None


class Arrows(unittest.TestCase):
    def test_folders_include_only_what_they_may(self):
        wrong = []
        for path in sources():
            folder = folder_of(path)
            if not folder:
                continue
            for number, line in enumerate((TOP / path).read_text().splitlines(), 1):
                included = re.match(r'\s*#include "([^"]+)"', line)
                if not included:
                    continue
                target = folder_of(pathlib.Path(included.group(1)))
                if target is None or target not in ALLOWED[folder].split():
                    wrong.append(f"{path}:{number}: {folder} must not include {included.group(1)}")
        self.assertEqual(wrong, [])

    def test_libraries_link_only_what_they_may(self):
        for folder, allowed in ALLOWED.items():
            cmake = TOP / folder / "CMakeLists.txt"
            if not cmake.exists() or folder.startswith("daemon"):
                continue
            found = re.search(r"confd_library\(\w+(?: DEPENDS ([\w ]+?))?(?: LIBRARIES|\))", cmake.read_text())
            linked = set((found.group(1) or "").split())
            self.assertLessEqual(linked, set(allowed.split()), folder)

    def test_boost_asio_stays_in_rpc(self):
        wrong = [str(path) for path in sources()
                 if re.search(r"#include <boost/(asio|beast)", (TOP / path).read_text()) and not str(path).startswith(("rpc/", "tests/"))]
        self.assertEqual(wrong, [])

    def test_files_stay_small(self):
        wrong = [f"{path}: {len((TOP / path).read_text().splitlines())} lines" for path in sources()
                 if not str(path).startswith("tests/") and len((TOP / path).read_text().splitlines()) > 800]
        self.assertEqual(wrong, [])

    def test_nothing_is_left_open(self):
        wrong = []
        for path in sources():
            for number, line in enumerate((TOP / path).read_text().splitlines(), 1):
                if re.search(r"\b(TODO|FIXME|XXX)\b", line) or (
                        not str(path).startswith("tests/") and re.search(r"\b(system|popen|sleep|usleep|atoi)\(", line)):
                    wrong.append(f"{path}:{number}: {line.strip()}")
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
