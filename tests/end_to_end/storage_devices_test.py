#!/usr/bin/python3
"""Devices of a node with a real daemon: taken into use at the first start, kept, refused, and what confd --fsck says of them."""
import os
import pathlib
import unittest

from node import Node, eventually

MIB = 1 << 20


class StorageDevices(unittest.TestCase):
    def setUp(self):
        self.node = Node(init=("--device-size", "64 MiB", "--data-volume-size", "16 MiB", "--archive-volume-size", "8 MiB"))
        self.addCleanup(self.node.__exit__, None, None, None)
        self.device = pathlib.Path(self.node.path("data/storage/dev.1"))

    def fsck(self, *options):
        done = self.node.run("confd", "--root", self.node.root, "--fsck", *options, check=False)
        return done.returncode, done.stdout + done.stderr

    def log(self):
        return pathlib.Path(self.node.path("logs/logd/ConfD.log")).read_text()

    def start_and_end(self):
        self.node.start()
        self.node.kill()

    def test_the_first_start_takes_the_blank_device_into_use(self):
        code, text = self.fsck()
        self.assertEqual(code, 0, text)
        self.assertIn("device dev.1 is blank", text)
        self.assertEqual(self.device.read_bytes(), bytes(64 * MIB))

        self.start_and_end()
        self.assertIn("device dev.1 of disk disk1 was blank and is taken into use: 52 MiB, 52 MiB free", self.log())
        self.assertEqual(self.device.read_bytes()[:8], b"confdDEV")
        self.assertEqual(self.device.stat().st_size, 64 * MIB)
        code, text = self.fsck()
        self.assertEqual(code, 0, text)
        self.assertIn("device dev.1 of disk disk1: ", text)
        self.assertTrue(text.endswith("Clean\n"), text)

        before = self.device.read_bytes()[24:48]
        self.start_and_end()
        self.assertEqual(self.device.read_bytes()[32:48], before[8:], "the device kept its uuid")

    def test_a_device_that_is_not_there_is_never_made(self):
        self.device.unlink()
        self.start_and_end()
        self.assertFalse(self.device.exists())
        self.assertIn("device dev.1 is offline", self.log())
        code, text = self.fsck()
        self.assertEqual(code, 1, text)
        self.assertIn("problem: device dev.1 can't be used", text)

    def test_foreign_content_is_left_alone(self):
        with open(self.device, "r+b") as file:
            file.seek(1080)
            file.write(b"\x53\xef")
        before = self.device.read_bytes()
        self.start_and_end()
        self.assertEqual(self.device.read_bytes(), before)
        self.assertIn("holds something that is not confd's", self.log())
        self.assertEqual(self.fsck()[0], 1)

    def test_a_device_that_comes_back_is_in_use_again(self):
        self.start_and_end()
        away = self.device.with_name("away")
        self.device.rename(away)
        self.node.start()
        eventually(lambda: "device dev.1 is offline" in self.log(), 10, "the device being missed")
        away.rename(self.device)
        eventually(lambda: self.log().count("device dev.1 of disk disk1 is in use") == 1, 20, "the device being back")

    def test_a_torn_copy_of_the_superblock_is_repaired(self):
        self.start_and_end()
        with open(self.device, "r+b") as file:
            file.seek(2 * MIB + 100)
            file.write(b"rust")
        code, text = self.fsck()
        self.assertEqual(code, 1, text)
        self.assertIn("one copy of its superblock is not valid (copy 1: the superblock has a wrong checksum)", text)
        code, text = self.fsck("--repair")
        self.assertEqual(code, 0, text)
        self.assertIn("repaired: ", text)
        self.assertEqual(self.fsck()[0], 0)

    def test_fsck_refuses_beside_a_running_confd(self):
        self.node.start()
        code, text = self.fsck()
        self.assertEqual(code, 2, text)
        self.assertIn("while no confd runs", text)

    def test_files_of_no_segment_are_a_problem(self):
        self.start_and_end()
        stray = self.device.with_name("dev.1.d") / "77" / "0.1"
        stray.mkdir(parents=True)
        (stray / "file").write_bytes(os.urandom(8192))
        code, text = self.fsck()
        self.assertEqual(code, 1, text)
        self.assertIn(f"{stray} holds 8 KiB of files that belong to no segment", text)


if __name__ == "__main__":
    unittest.main()
