#!/usr/bin/env python3
"""The files of archive volumes by FTP, FTPS and SFTP: curl, rclone, OpenSSH's sftp and clients that die, against a real daemon."""
import ftplib
import io
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import unittest

from archive_access_test import MIB, Door, create, set_ports
from node import Node, UNVERIFIED, eventually, free_port

KINDS = ("ftp", "ftps", "sftp")
try:
    import OpenSSL  # noqa: F401
    import paramiko
    import pyftpdlib  # noqa: F401
except ImportError as missing:
    raise SystemExit(f"{missing}: packaging/install-packages test") from None


class SecureFTP(ftplib.FTP_TLS):
    """With the session of the control connection on the data connection, as most clients do."""

    def ntransfercmd(self, cmd, rest=None):
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        return self.context.wrap_socket(connection, session=self.sock.session), size


class Doors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().start()
        create(cls.node, "files", "256 MiB")
        cls.ports = {kind: free_port(cls.node.address) for kind in ("http", *KINDS)}
        set_ports(cls.node, "files", **{kind + "_port": port for kind, port in cls.ports.items()})
        cls.http = Door(cls.node, cls.ports["http"]).waited()
        eventually(lambda: cls.http.get("").status == 200, 60, "the volume answers")
        for kind in KINDS:
            eventually(lambda kind=kind: Door(cls.node, cls.ports[kind]).opens(), 60, f"{kind} open")

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def ftp(self, kind="ftp", user="admin", password=None):
        client = ftplib.FTP(timeout=60, encoding="utf-8") if kind == "ftp" else SecureFTP(timeout=60, encoding="utf-8", context=ssl._create_unverified_context())
        self.addCleanup(client.close)
        client.connect(self.node.address, self.ports[kind])
        client.login(user, self.node.password if password is None else password)
        if kind == "ftps":
            client.prot_p()
        return client

    def sftp(self, user="admin", password=None, port=None):
        transport = paramiko.Transport((self.node.address, port or self.ports["sftp"]))
        self.addCleanup(transport.close)
        transport.connect(username=user, password=self.node.password if password is None else password)
        return paramiko.SFTPClient.from_transport(transport)

    def fetch(self, client, path):
        content = io.BytesIO()
        client.retrbinary("RETR " + path, content.write)
        return content.getvalue()

    # -- files
    def test_ftp_and_ftps_files(self):
        for kind in ("ftp", "ftps"):
            client, content = self.ftp(kind), os.urandom(3 * MIB + 5)
            client.mkd(f"/{kind}")
            client.cwd(f"/{kind}")
            self.assertTrue(client.storbinary("STOR new ü", io.BytesIO(content)).startswith("226"))
            self.assertTrue(self.http.get(f"{kind}/new ü").body == content)
            self.assertTrue(self.fetch(client, "new ü") == content)
            self.assertEqual(client.size("new ü"), len(content))
            part = io.BytesIO()
            client.retrbinary("RETR new ü", part.write, rest=3 * MIB)
            self.assertEqual(part.getvalue(), content[3 * MIB:])
            client.storbinary("STOR new ü", io.BytesIO(b"shorter"))
            client.rename("new ü", "moved")
            self.assertEqual(client.nlst(), ["moved"])
            listed = []
            client.retrlines("LIST", listed.append)
            self.assertRegex(listed[0], r"^-rw-------.* 7 .* moved$")
            self.assertEqual(dict(client.mlsd())["moved"]["size"], "7")
            # As other clusters name it: the volume's own name before the path.
            self.assertEqual(self.fetch(client, f"/v0002/{kind}/moved"), b"shorter")
            with self.assertRaises(ftplib.error_perm):
                client.storbinary("APPE moved", io.BytesIO(b"more"))
            with self.assertRaises(ftplib.error_perm):
                client.rmd(f"/{kind}")
            client.delete("moved")
            client.rmd(f"/{kind}")
            with self.assertRaises(ftplib.error_perm):
                client.cwd(f"/{kind}")
            client.quit()

    def test_sftp_files(self):
        client, content = self.sftp(), os.urandom(3 * MIB + 5)
        client.mkdir("/sftp")
        with client.open("/sftp/new", "wb") as file:
            file.set_pipelined(True)
            file.write(content)
        self.assertTrue(self.http.get("sftp/new").body == content)
        with client.open("/sftp/new", "rb") as file:
            self.assertTrue(file.read() == content)
            file.seek(1000)
            self.assertEqual(file.read(10), content[1000:1010])
        self.assertEqual(client.stat("/sftp/new").st_size, len(content))
        client.rename("/sftp/new", "/sftp/moved")
        self.assertEqual(client.listdir("/sftp"), ["moved"])
        with self.assertRaises(OSError):
            client.open("/sftp/moved", "ab")
        with self.assertRaises(OSError):
            client.rmdir("/sftp")
        client.remove("/sftp/moved")
        client.rmdir("/sftp")
        with self.assertRaises(FileNotFoundError):
            client.stat("/sftp")

    def test_curl(self):
        source = pathlib.Path(self.node.folder, "curl.data")
        source.write_bytes(os.urandom(MIB))
        for kind, options in (("ftp", ()), ("ftps", ("--ssl-reqd",))):
            def curl(*more):
                return subprocess.run(["curl", "-sS", "-k", "-K", "-", "--max-time", "120", *options, *more], input=f'user = "admin:{self.node.password}"\n'.encode(),
                                      capture_output=True, timeout=150, check=True).stdout
            url = f"ftp://{self.node.address}:{self.ports[kind]}/by-curl/{kind}/file"
            curl("--ftp-create-dirs", "-T", str(source), url)
            self.assertTrue(curl(url) == source.read_bytes())
            self.assertEqual(curl("-r", "10-19", url), source.read_bytes()[10:20])
            self.assertIn(b"file", curl(url[:-4]))

    def test_rclone(self):
        obscured = subprocess.run(["rclone", "obscure", "-"], input=self.node.password, capture_output=True, text=True, check=True).stdout.strip()
        common = f"host = {self.node.address}\nuser = admin\npass = {obscured}\n"
        config = pathlib.Path(self.node.folder, "rclone.conf")
        config.write_text(f"[ftp]\ntype = ftp\nport = {self.ports['ftp']}\n{common}"
                          f"[ftps]\ntype = ftp\nexplicit_tls = true\nno_check_certificate = true\nport = {self.ports['ftps']}\n{common}"
                          f"[sftp]\ntype = sftp\nset_modtime = false\nshell_type = none\nport = {self.ports['sftp']}\n{common}")
        config.chmod(0o600)
        tree = pathlib.Path(self.node.folder, "tree")
        for number in range(8):
            file = tree / f"folder {number % 3}" / f"file {number} ä"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(os.urandom(number * 400_000))
        for kind in KINDS:
            def rclone(*arguments):
                done = subprocess.run(["rclone", "--config", config, "--retries", "1", "--low-level-retries", "2", *arguments], capture_output=True, text=True, timeout=180)
                self.assertEqual(done.returncode, 0, (kind, arguments, done.stderr))
                return done.stdout
            there = f"{kind}:by-rclone/{kind}"
            rclone("copy", "--size-only", str(tree), there)
            rclone("check", "--download", str(tree), there)
            rclone("moveto", there + "/folder 1/file 1 ä", there + "/renamed")
            self.assertIn("renamed\n", rclone("lsf", there))
            rclone("purge", there)
            self.assertEqual(self.http.get(f"by-rclone/{kind}/").status, 404)

    @unittest.skipUnless(shutil.which("sftp"), "no OpenSSH client here")
    def test_openssh(self):
        source = pathlib.Path(self.node.folder, "sftp.data")
        source.write_bytes(os.urandom(2 * MIB))
        ask = pathlib.Path(self.node.folder, "askpass")
        ask.write_text("#!/bin/sh\ncat \"$CONFD_TEST_PASSWORD\"\n")
        ask.chmod(0o700)
        environment = dict(os.environ, SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force", CONFD_TEST_PASSWORD=os.path.join(self.node.folder, "password"))
        batch = f"mkdir by-openssh\nput {source} by-openssh/file\nrename by-openssh/file by-openssh/moved\nls -l by-openssh\nget by-openssh/moved {source}.back\n"
        done = subprocess.run(["sftp", "-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=no",
                               "-o", "PreferredAuthentications=password", "-P", str(self.ports["sftp"]), f"admin@{self.node.address}"],
                              input=batch, env=environment, capture_output=True, text=True, timeout=120)
        self.assertTrue(os.path.exists(f"{source}.back"), (done.stdout, done.stderr))
        self.assertTrue(pathlib.Path(f"{source}.back").read_bytes() == source.read_bytes())
        self.assertIn("moved", done.stdout)

    # -- who may
    def test_wrong_logins(self):
        for kind in ("ftp", "ftps"):
            with self.assertRaises(ftplib.error_perm):
                self.ftp(kind, password="wrong")
        with self.assertRaises(paramiko.AuthenticationException):
            self.sftp(password="wrong")
        clear = ftplib.FTP(timeout=60)
        self.addCleanup(clear.close)
        clear.connect(self.node.address, self.ports["ftps"])
        with self.assertRaises(ftplib.error_perm):
            clear.login("admin", self.node.password)

    def test_rights(self):
        result = self.node.job("user_create", {"username": "friend", "userid": 2100, "group": "exausers", "password": "Secret-of-friend", "login_enabled": True})
        self.assertEqual(result["result_code"], 0, result)
        self.http.put("guarded", b"of admin")
        ftp, sftp = self.ftp(user="friend", password="Secret-of-friend"), self.sftp("friend", "Secret-of-friend")
        for refused in (lambda: self.fetch(ftp, "guarded"), lambda: ftp.storbinary("STOR guarded", io.BytesIO(b"mine")), lambda: ftp.delete("guarded")):
            with self.assertRaises((ftplib.error_perm, ftplib.error_temp)):
                refused()
        for refused in (lambda: sftp.open("guarded").read(), lambda: sftp.putfo(io.BytesIO(b"mine"), "guarded"), lambda: sftp.remove("guarded")):
            with self.assertRaises(OSError):
                refused()
        self.assertEqual(self.http.get("guarded").body, b"of admin")

    def test_the_inner_port_lets_nobody_else_in(self):
        # The listening sockets of confd on 127.0.0.1 are the doors' own.
        listening = subprocess.run(["ss", "-ltnpH", "src", "127.0.0.1"], capture_output=True, text=True, check=True).stdout
        ports = [int(line.split()[3].rsplit(":", 1)[1]) for line in listening.splitlines() if f"pid={self.node.process.pid}," in line]
        self.assertGreaterEqual(len(ports), len(KINDS))
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + self.http.login.encode() +
                                   b"\r\nX-Confd-Door: guessed\r\nX-Confd-Client: 10.0.0.1\r\n\r\n")
                self.assertTrue(b"".join(iter(lambda: connection.recv(4096), b"")).startswith(b"HTTP/1.1 403"))

    def test_no_secret_is_seen(self):
        self.ftp().nlst()
        self.sftp().listdir("/")
        for arguments in self.door_arguments().values():
            self.assertRegex(arguments, r"^/usr/bin/python3 \S+/(ftp|sftp)_door\.py $")
        logs = self.node.log() + "".join(file.read_text() for file in self.node.path("logs/archive_access").iterdir())
        self.assertNotIn(self.node.password, logs)
        self.assertEqual(self.node.path("etc/archive_access/sftp_host_key").stat().st_mode & 0o777, 0o600)

    # -- what goes wrong
    def uploads(self):
        return [file for file in self.node.path("data/storage").rglob("incoming/*")]

    def test_broken_uploads_leave_the_old_file(self):
        self.http.put("broken", b"old")

        def reset(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        for kind, end in (("ftp", "reset"), ("ftps", "reset"), ("ftp", "killed"), ("ftps", "killed"), ("sftp", "cut")):
            with self.subTest(kind=kind, end=end):
                if kind == "sftp":
                    client = self.sftp()
                    file = client.open("broken", "wb")
                    file.write(b"n" * 600_000)
                    eventually(self.uploads, 30, "the upload")
                    client.get_channel().get_transport().sock.close()
                elif end == "reset":
                    client = self.ftp(kind)
                    client.voidcmd("TYPE I")
                    data = client.transfercmd("STOR broken")
                    data.sendall(b"n" * 600_000)
                    eventually(self.uploads, 30, "the upload")
                    reset(data)
                    self.assertRegex(self.last_answer(client), "^4")
                else:
                    self.killed_upload(kind)
                eventually(lambda: not self.uploads(), 60, "the end of the upload")
                self.assertEqual(self.http.get("broken").body, b"old")

    def last_answer(self, client):
        try:
            return client.getresp()
        except ftplib.error_temp as error:
            return str(error)

    def killed_upload(self, kind):
        """A client that is killed in the middle: the kernel closes its connections in good order."""
        fifo = os.path.join(self.node.folder, "fifo")
        if not os.path.exists(fifo):
            os.mkfifo(fifo)
        config = os.path.join(self.node.folder, "curl.config")
        pathlib.Path(config).write_text(f'user = "admin:{self.node.password}"\n')
        client = subprocess.Popen(["curl", "-sS", "-k", "-K", config, *(("--ssl-reqd",) if kind == "ftps" else ()), "-T", "-",
                                   f"ftp://{self.node.address}:{self.ports[kind]}/broken"], stdin=subprocess.PIPE)
        client.stdin.write(b"n" * 600_000)
        client.stdin.flush()
        eventually(self.uploads, 30, "the upload")
        client.send_signal(signal.SIGKILL)
        client.wait(timeout=30)
        client.stdin.close()

    def test_a_full_volume_is_told(self):
        create(self.node, "small", "32 MiB")
        ports = {kind: free_port(self.node.address) for kind in ("ftp", "sftp")}
        set_ports(self.node, "small", **{kind + "_port": port for kind, port in ports.items()})
        for port in ports.values():
            eventually(Door(self.node, port).opens, 60, "the port")
        content = io.BytesIO(os.urandom(40 * MIB))
        client = ftplib.FTP(timeout=60)
        self.addCleanup(client.close)
        client.connect(self.node.address, ports["ftp"])
        client.login("admin", self.node.password)
        with self.assertRaises((ftplib.Error, OSError)):
            client.storbinary("STOR big", content)
        content.seek(0)
        sftp = self.sftp(port=ports["sftp"])
        with self.assertRaises(OSError):
            with sftp.open("big", "wb") as file:
                while piece := content.read(32768):
                    file.write(piece)
        self.assertEqual(sftp.listdir("/"), [])
        set_ports(self.node, "small", ftp_port=0, sftp_port=0)
        for port in ports.values():
            eventually(lambda port=port: not Door(self.node, port).opens(), 30, "the port closed")

    # -- the programs
    def door_arguments(self):
        """{pid: arguments} of the programs that this confd started."""
        found = {}
        for folder in pathlib.Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and f"\nPPid:\t{self.node.process.pid}\n" in (folder / "status").read_text():
                    arguments = (folder / "cmdline").read_text().replace("\0", " ")
                    if "_door.py" in arguments:
                        found[int(folder.name)] = arguments
            except OSError:
                continue
        return found

    def test_a_server_that_dies_comes_back(self):
        before = self.door_arguments()
        self.assertEqual(len(before), len(KINDS))
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        for kind in KINDS:
            def works(kind=kind):
                try:
                    return self.sftp().listdir("/") is not None if kind == "sftp" else self.ftp(kind).nlst() is not None
                except (OSError, EOFError, ftplib.Error, paramiko.SSHException):
                    return False
            eventually(works, 60, f"{kind} is back")
        self.assertFalse(set(before) & set(self.door_arguments()))

    def test_they_end_with_confd(self):
        for end in ("stop", "kill"):
            node = Node().start()
            self.addCleanup(node.__exit__)
            create(node, "files")
            ports = {kind: free_port(node.address) for kind in KINDS}
            set_ports(node, "files", **{kind + "_port": port for kind, port in ports.items()})
            for port in ports.values():
                eventually(Door(node, port).opens, 60, "the port")
            getattr(node, end)()
            for port in ports.values():
                eventually(lambda port=port: not Door(node, port, user="x", password="x").opens(), 30, "the port closed")


if __name__ == "__main__":
    unittest.main()
