#!/usr/bin/env python3
"""Remote volumes on real servers that are slow, stop in the middle of a transfer, or are full: through the jobs, each with a clear result
and none past its time."""
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from node import Node, eventually
from remote_servers import Dav, S3, Sftp, Smb, install_s3rver
from slow_link import SlowLink

# FTP's data goes over ports of its own: a link in front of one port is not in its way. A full FTP server is in remote_volume_test.py.
KINDS = {"s3": S3, "webdav": Dav, "sftp": Sftp, "smb": Smb}
GENEROUS = 120  # seconds; a node has 7 for a volume with timeout=2


def can_mount():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True, timeout=30).returncode == 0


def on_small_disk(server):
    """The same server, its data on a file system of 256 KiB that only it sees."""
    class OnSmallDisk(server):
        def command(self):
            script = 'mount -t tmpfs -o size=256k none "$0" && exec "$@"'
            return ["unshare", "-m", "sh", "-c", script, self.data, *super().command()]

        def inside(self, *command):
            return subprocess.run(["nsenter", "-t", str(self.process.pid), "-m", *map(str, command)], capture_output=True, text=True, timeout=30)

        def fill(self):
            self.inside("dd", "if=/dev/zero", f"of={self.data}/filler", "bs=4096")

        def empty(self):
            self.inside("rm", f"{self.data}/filler")
    OnSmallDisk.__name__ = server.__name__
    return OnSmallDisk


class RemoteVolumeFaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        install_s3rver()
        cls.node = Node().start()
        cls.addClassCleanup(cls.node.__exit__)

    def server(self, kind, wrap=lambda server: server):
        folder = tempfile.mkdtemp(prefix="confd-remote-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        server = wrap(KINDS[kind])(folder)
        self.addCleanup(server.kill)
        return server.wait()

    def add(self, kind, server, port=None, **more):
        """(envelope, seconds it took)"""
        options = "timeout=2, noverifypeer" if kind == "sftp" else "timeout=2"
        url = server.url("dir").replace(f":{server.port}/", f":{port or server.port}/")
        start = time.monotonic()
        result = self.node.job("remote_volume_add", {"vol_type": kind, "url": url, "username": server.username, "password": server.password,
                                                     "remote_volume_name": kind, "options": options, **more})
        return result, time.monotonic() - start

    def added(self, kind, server, port=None):
        """Until it is: on a machine that is busy with other things the time of one call may not do."""
        def done():
            result, took = self.add(kind, server, port)
            self.assertLess(took, GENEROUS)
            return result["result_code"] == 0
        eventually(done, 120, f"{kind} added ({server.log()})")

    def remove(self, kind):
        self.assertEqual(self.node.job("remote_volume_remove", {"remote_volume_name": kind})["result_desc"], "Success")

    def state(self, kind):
        """(state, its reason, seconds it took)"""
        start = time.monotonic()
        result = self.node.job("remote_volume_state", {"remote_volume_name": kind})
        took = time.monotonic() - start
        [command] = self.node.rpc().job_info(result["result_jobid"])["commands"]
        return result["result_output"][0], command["output"].get("reason"), took

    def link(self, server, **how):
        link = SlowLink(server.port, **how)
        self.addCleanup(link.close)
        return link

    def each_kind(self, check):
        """All kinds at once: most of the time is waiting."""
        with ThreadPoolExecutor(len(KINDS)) as pool:
            ends = {kind: pool.submit(check, kind) for kind in KINDS}
        for kind, end in ends.items():
            with self.subTest(kind=kind):
                end.result()
        self.assertEqual(list(self.node.path("run/rclone").iterdir()), [], "configurations of programs that have ended")

    def assert_not_added(self, kind, result, took, names=("IoError", "Timeout")):
        self.assertIn(result["result_name"], names, result)
        self.assertIn("node 11", result["result_desc"])
        self.assertLess(took, GENEROUS)
        self.assertNotIn(f"[RemoteVolume : {kind}]", self.node.exaconf())

    def test_a_slow_server_is_waited_for(self):
        def check(kind):
            server = self.server(kind)
            link = self.link(server, delay=0.03)

            self.added(kind, server, link.port)
            self.assertGreater(link.sent, 4096, "the try did not go over the link")
            self.remove(kind)
        self.each_kind(check)

    def test_a_server_that_is_too_slow_is_given_up_in_time(self):
        def check(kind):
            server = self.server(kind)
            link = self.link(server, delay=1.5)  # never silent for 2 s, and never through within the call
            self.assert_not_added(kind, *self.add(kind, server, link.port))
            self.assertEqual(self.add(kind, server, link.port, check_access=False)[0]["result_desc"], "Success")
            state, reason, took = self.state(kind)
            self.assertEqual(state, "Connection problem", reason)
            self.assertTrue(reason)
            self.assertLess(took, GENEROUS)
            self.remove(kind)
        self.each_kind(check)

    def test_a_transfer_that_stalls_is_ended_and_nothing_is_added(self):
        def check(kind):
            server = self.server(kind)

            def bytes_of_a_try():
                counting = self.link(server)
                return counting.sent if self.add(kind, server, counting.port)[0]["result_code"] == 0 else None
            sent = eventually(bytes_of_a_try, 120, f"{kind} added ({server.log()})")
            self.remove(kind)
            # What a try sends is a file of 4 KiB and words around it: more than half way it is in the file, or between it and its end.
            link = self.link(server, stall_after=sent * 6 // 10)
            self.assert_not_added(kind, *self.add(kind, server, link.port))
            self.assertTrue(link.stalled.is_set())
            # The server itself is well.
            self.added(kind, server)
            self.remove(kind)
        self.each_kind(check)

    @unittest.skipUnless(can_mount(), "needs a mount namespace of its own")
    def test_a_full_server_is_told_and_taken_when_it_has_room(self):
        def check(kind):
            server = self.server(kind, on_small_disk)
            server.fill()
            result, took = self.add(kind, server)
            self.assert_not_added(kind, result, took, ["IoError"])
            self.assertIn("a file can't be written", result["result_desc"])
            if kind == "s3":  # a full disk ends s3rver; it starts with an empty one
                server.process.wait(30)
                server.start()
                server.wait()
            else:
                server.empty()
            self.added(kind, server)
            eventually(lambda: self.state(kind)[0] == "Online", 120, f"{kind} Online")
            self.remove(kind)
        self.each_kind(check)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
