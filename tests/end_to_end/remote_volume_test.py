#!/usr/bin/env python3
"""Remote volumes of each kind with real servers on this machine, through the jobs: added, seen, used with the files that confd makes of them,
removed; and with a wrong password, no space, a server that is gone, silent or slow."""
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from cluster import Cluster
from node import Node, eventually
from remote_servers import ADDRESS, Dav, Ftp, S3, Sftp, Smb, install_s3rver

KINDS = {"s3": S3, "ftp": Ftp, "webdav": Dav, "sftp": Sftp, "smb": Smb}
# What the server says to somebody it does not know.
REFUSALS = {"s3": "InvalidAccessKeyId", "ftp": "530", "webdav": "401", "sftp": "unable to authenticate", "smb": "logon is invalid"}


class RemoteVolumes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        install_s3rver()
        cls.folder = tempfile.mkdtemp(prefix="confd-remote-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.servers = {}
        for kind, server in KINDS.items():
            cls.servers[kind] = server(cls.folder)
            cls.addClassCleanup(cls.servers[kind].kill)
        cls.node = Node().start()
        cls.addClassCleanup(cls.node.__exit__)
        for server in cls.servers.values():
            server.wait()

    def add(self, kind, folder="dir", **more):
        server = self.servers[kind]
        return self.node.job("remote_volume_add", {"vol_type": kind, "url": server.url(folder), "username": server.username, "password": server.password,
                                                   "remote_volume_name": kind, **more})

    def added(self, kind, folder="dir", **more):
        result = self.add(kind, folder, **more)
        self.assertEqual(result["result_desc"], "Success", self.servers.get(kind) and self.servers[kind].log())
        self.addCleanup(self.node.job, "remote_volume_remove", {"remote_volume_name": more.get("remote_volume_name", kind)})
        return result

    def state(self, name):
        """(states, reasons of the job file, seconds it took)"""
        start = time.monotonic()
        result = self.node.job("remote_volume_state", {"remote_volume_name": name})
        took = time.monotonic() - start
        self.assertEqual(result["result_desc"], "Success")
        commands = self.node.rpc().job_info(result["result_jobid"])["commands"]
        return result["result_output"], [command["output"].get("reason") for command in commands], took

    def refused(self, result, name, part):
        self.assertEqual(result["result_name"], name, result)
        self.assertIn(part, result["result_desc"])
        self.assertNotIn("result_output", result)

    def volume_file(self, user="admin"):
        found = list(self.node.path("etc/remote_volumes").glob(f"{user}.*.conf"))
        self.assertEqual(len(found), 1, found)
        return found[0]

    def rclone(self, *arguments, text=None):
        return subprocess.run(["/usr/bin/rclone", "--config", str(self.volume_file()), *arguments], input=text, capture_output=True, text=True, timeout=30,
                              env={"PATH": "/usr/bin:/bin", "HOME": self.folder})

    def everything_written(self):
        """All that confd wrote for people and for itself, but for EXAConf and the files that hold the secrets."""
        texts = []
        for folder in ("spool/jobs", "logs"):
            for path in self.node.path(folder).rglob("*"):
                if path.is_file():
                    texts.append(path.read_text(errors="replace"))
        return "\n".join(texts)

    def test_a_volume_of_each_kind(self):
        for kind, server in self.servers.items():
            with self.subTest(kind=kind):
                if kind == "sftp":  # the key of the server is known from here on, and checked
                    shutil.copy(server.folder / "known_hosts", self.node.path("etc/remote_volumes/known_hosts"))
                result = self.added(kind, options="timeout=20, verbose")
                path = str(self.node.path("etc/remote_volumes")) + "/admin."
                self.assertEqual(result["result_output"][0][:2], [kind, "admin"])
                self.assertTrue(result["result_output"][0][2].startswith(path), result)
                self.assertIn("result_revision", result)
                self.assertEqual(server.files(), [], "the probe left something")
                self.assertEqual(self.state(kind)[:2], (["Online"], [None]))
                info = self.node.job("remote_volume_info", {"remote_volume_name": kind})["result_output"]
                self.assertEqual((info["type"], info["url"], info["username"], info["password"], info["options"]),
                                 (kind, server.url("dir"), server.username, server.password, "timeout=20, verbose"))
                self.assertEqual(int(info["vid"]), 10001 + list(KINDS).index(kind))
                # The file of its owner is for rclone itself.
                eventually(lambda k=kind: f"[{k}]\n" in self.volume_file().read_text(), 10, "the owner's file")
                self.assertEqual(self.volume_file().stat().st_mode & 0o777, 0o600)
                self.assertEqual(self.rclone("rcat", f"{kind}:db/file", text="hello").returncode, 0)
                self.assertEqual(self.rclone("cat", f"{kind}:db/file").stdout, "hello")
                self.assertEqual([name.rsplit("/", 1)[-1].split("._S3rver")[0] for name in server.files()][:1], ["file"])
        details = self.node.job("remote_volume_list_details")["result_output"]
        self.assertEqual(sorted(volume["name"] for volume in details), sorted(KINDS))
        written = self.everything_written()
        for server in self.servers.values():
            # S3's are the name of the program as well.
            if not isinstance(server, S3):
                secret = server.password.splitlines()[len(server.password.splitlines()) // 2]
                self.assertNotIn(secret, written, "a password is on record")
        self.assertEqual(list(self.node.path("run/rclone").iterdir()), [])

    def test_a_wrong_password_is_refused_with_the_servers_reason(self):
        text = self.node.exaconf()
        for kind in self.servers:
            with self.subTest(kind=kind):
                wrong = {"username": "nobody-here"} if kind in ("s3", "sftp") else {"password": "not the password"}
                self.refused(self.add(kind, **wrong), "IoError", REFUSALS[kind])
                # Taken without a try it is seen by its state.
                self.added(kind, check_access=False, **wrong)
                states, reasons, _ = self.state(kind)
                self.assertEqual(states, ["Connection problem"])
                self.assertIn(REFUSALS[kind], reasons[0])
                self.node.job("remote_volume_remove", {"remote_volume_name": kind})
        self.assertEqual([line for line in self.node.exaconf().splitlines() if "Revision" not in line and "Checksum" not in line],
                         [line for line in text.splitlines() if "Revision" not in line and "Checksum" not in line])

    def test_an_sftp_server_with_another_key_is_not_believed(self):
        known = self.node.path("etc/remote_volumes/known_hosts")
        server = self.servers["sftp"]
        known.parent.mkdir(exist_ok=True)
        other = (server.folder / "user.pub").read_text().split()[:2]
        known.write_text(f"[{ADDRESS}]:{server.port} {' '.join(other)}\n")
        self.addCleanup(known.unlink)
        self.refused(self.add("sftp"), "IoError", "knownhosts: key mismatch")
        self.added("sftp", options=["noverifypeer"])

    def test_what_is_not_there_is_unmounted(self):
        for kind, url in (("s3", self.servers["s3"].url("").replace("/backup/", "/nothing/")), ("smb", self.servers["smb"].url("").replace("/backup/", "/nothing/")),
                          ("file", f"file://{self.folder}/nothing")):
            with self.subTest(kind=kind):
                server = self.servers.get(kind)
                login = {"username": server.username, "password": server.password} if server else {}
                params = {"vol_type": kind, "url": url, "remote_volume_name": "absent", **login}
                self.refused(self.node.job("remote_volume_add", params), "NotFound", "Unmounted")
                self.assertEqual(self.node.job("remote_volume_add", {**params, "check_access": False})["result_desc"], "Success")
                states, reasons, _ = self.state("absent")
                self.assertEqual(states, ["Unmounted"], reasons)
                self.assertTrue(reasons[0])
                self.node.job("remote_volume_remove", {"remote_volume_name": "absent"})

    def test_a_folder_of_the_node(self):
        folder = pathlib.Path(self.folder, "mounted")
        folder.mkdir()
        result = self.node.job("remote_volume_add", {"vol_type": "file", "url": f"file://{folder}", "remote_volume_name": "mounted"})
        self.addCleanup(self.node.job, "remote_volume_remove", {"remote_volume_name": "mounted"})
        self.assertEqual(result["result_desc"], "Success")
        self.assertEqual((self.state("mounted")[0], list(folder.iterdir())), (["Online"], []))
        folder.rmdir()
        self.assertEqual(self.state("mounted")[0], ["Unmounted"])
        self.assertFalse(folder.exists())

    def test_a_full_server_is_told(self):
        self.refused(self.add("ftp", "full"), "IoError", "a file can't be written")
        self.assertNotIn("RemoteVolume", self.node.exaconf())

    def test_a_server_that_is_gone_silent_or_back(self):
        def walk(kind):
            server = self.servers[kind]
            server.pause()
            try:
                states, reasons, took = self.state(kind)
            finally:
                server.resume()
            self.assertEqual(states, ["Connection problem"], reasons)
            self.assertTrue(reasons[0])
            self.assertLess(took, 10)
            server.kill()
            try:
                states, reasons, took = self.state(kind)
            finally:
                server.start()
                server.wait()
            self.assertEqual(states, ["Connection problem"], reasons)
            self.assertIn("connection refused", reasons[0])
            self.assertLess(took, 10)
            self.assertEqual(self.state(kind)[:2], (["Online"], [None]))

        for kind in self.servers:
            self.added(kind, folder="", options="timeout=1", check_access=False)
        with ThreadPoolExecutor(len(self.servers)) as pool:
            ends = {kind: pool.submit(walk, kind) for kind in self.servers}
        for kind, end in ends.items():
            with self.subTest(kind=kind):
                end.result()

    def test_no_secret_is_an_argument_of_a_program(self):
        self.added("ftp", options="timeout=3", check_access=False)
        server = self.servers["ftp"]
        server.pause()
        try:
            job_id = self.node.rpc().job_start("remote_volume_state", {"params": {"remote_volume_name": "ftp"}})
            seen = []

            def running():
                for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    except OSError:
                        continue
                    if line.startswith("/usr/bin/rclone") and self.node.root in line:
                        seen.append(line)
                return seen
            eventually(running, 10, "rclone running")
            eventually(lambda: self.node.rpc().job_info(job_id)["ended"], 20, "the end of the job")
        finally:
            server.resume()
        self.assertTrue(all(server.password not in line for line in seen), seen)

    def test_a_job_that_waits_for_a_silent_server_can_be_stopped(self):
        self.added("ftp", options="timeout=60", check_access=False)
        server = self.servers["ftp"]
        server.pause()
        try:
            job_id = self.node.rpc().job_start("remote_volume_state", {"params": {"remote_volume_name": "ftp"}})
            eventually(lambda: self.node.rpc().job_info(job_id)["stage"] == "scheduled", 10, "the job running")
            self.node.rpc().job_stop(job_id)
            eventually(lambda: self.node.rpc().job_info(job_id)["ended"], 10, "the end of the job")
        finally:
            server.resume()
        self.assertEqual(self.node.rpc().job_info(job_id)["result"]["result_name"], "Stopped")


class RemoteVolumesOfACluster(unittest.TestCase):
    def test_every_node_tries_and_has_the_files(self):
        folder = tempfile.mkdtemp(prefix="confd-remote-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        server = Ftp(folder)
        self.addCleanup(server.kill)
        server.wait()
        with Cluster() as cluster:
            master = cluster.master()
            _, result = cluster.committed("remote_volume_add", {"vol_type": "ftp", "url": server.url("dir"), "username": server.username, "password": server.password})
            self.assertEqual(result["result_output"][0][0], "r0001")
            self.assertEqual(master.job("remote_volume_state", {"remote_volume_name": "r0001"})["result_output"], ["Online"] * 3)
            for node in cluster.nodes.values():
                def has_file(node=node):
                    found = list(node.path("etc/remote_volumes").glob("*.conf"))
                    return len(found) == 1 and "[r0001]" in found[0].read_text() and found[0].stat().st_mode & 0o777 == 0o600
                eventually(has_file, 10, f"the file on node {node.node_id}")
            other = next(node for node in cluster.nodes.values() if node is not master)
            other.kill()
            wanted = ["Unmounted" if cluster.nodes[i] is other else "Online" for i in cluster.ids]
            eventually(lambda: master.job("remote_volume_state", {"remote_volume_name": "r0001"})["result_output"] == wanted, 20, f"states {wanted}")
            cluster.committed("remote_volume_remove", {"remote_volume_name": "r0001"})
            for i in cluster.running():
                eventually(lambda i=i: not list(cluster.nodes[i].path("etc/remote_volumes").glob("*.conf")), 10, "the file being gone")
        self.assertEqual(server.files(), [])


if __name__ == "__main__":
    unittest.main(warnings="ignore")
