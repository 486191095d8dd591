"""Real servers for remote volumes, on 127.0.0.1 with ports of their own: each is one process of this test (smbd: a group of them), keeps its
files in a folder of the test, and can be paused, resumed and killed.

    server = Ftp(folder)
    server.url("dir")  ->  "ftp://127.0.0.1:40123/dir"
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys

from node import TOP, PROGRAMS, eventually, free_port

ADDRESS = "127.0.0.1"
USER, PASSWORD = "tester", "pa ss'w#or`d%"
NPM = PROGRAMS.parent / "npm"
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": os.environ.get("HOME", "/"), "PYTHONDONTWRITEBYTECODE": "1"}


class Server:
    """`folder`: its own, made here; files of clients are in `data` below it."""
    username, password = USER, PASSWORD

    def __init__(self, folder, *arguments):
        self.folder = pathlib.Path(folder, type(self).__name__.lower())
        self.data = self.folder / "data"
        self.data.mkdir(parents=True)
        self.port = free_port(ADDRESS)
        self.arguments = arguments
        self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([str(part) for part in self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=CLEAN,
                                            start_new_session=True)

    def wait(self):
        def listens():
            if self.process.poll() is not None:
                raise AssertionError(f"{type(self).__name__} ended: {self.log()}")
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex((ADDRESS, self.port)) == 0
        eventually(listens, 30, f"{type(self).__name__} listening")
        return self

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def signal(self, number):
        """To it and to what it started: all are of its session, which is this object's own."""
        os.killpg(self.process.pid, number)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait(30)

    def files(self):
        return sorted(str(path.relative_to(self.data)) for path in self.data.rglob("*") if path.is_file())


class S3(Server):
    """s3rver of npm. It knows one key, and looks at the key's name only: version 4 signatures are not checked."""
    username, password = "S3RVER", "S3RVER"

    def command(self):
        return ["/usr/bin/env", "node", NPM / "node_modules/s3rver/bin/s3rver.js", "-d", self.data, "-a", ADDRESS, "-p", self.port,
                "--configure-bucket", "backup"]

    def url(self, path):
        return f"http://{ADDRESS}:{self.port}/backup/{path}"

    def files(self):
        return sorted(name for name in super().files() if not name.startswith("uploads/"))


class Ftp(Server):
    """pyftpdlib; a file whose name holds `full` finds no space."""

    def command(self):
        return ["/usr/bin/python3", __file__, "ftp", self.port, self.data]

    def url(self, path):
        return f"ftp://{ADDRESS}:{self.port}/{path}"


class Dav(Server):
    """rclone's own WebDAV server, since the volume's client is rclone too, behind nothing."""

    def command(self):
        return ["/usr/bin/rclone", "--config", "", "serve", "webdav", "--addr", f"{ADDRESS}:{self.port}", "--user", USER, "--pass", PASSWORD, self.data]

    def url(self, path):
        return f"http://{ADDRESS}:{self.port}/{path}"


class Sftp(Server):
    """OpenSSH's sshd; the user who runs the test logs in with a key."""

    def __init__(self, folder):
        self.username = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        super().__init__(folder)

    def command(self):
        for name in ("host", "user"):
            if not (self.folder / name).exists():
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True)
        self.password = (self.folder / "user").read_text()
        (self.folder / "known_hosts").write_text(f"[{ADDRESS}]:{self.port} " + " ".join((self.folder / "host.pub").read_text().split()[:2]) + "\n")
        config = self.folder / "sshd_config"
        config.write_text(f"Port {self.port}\nListenAddress {ADDRESS}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
                          f"PasswordAuthentication no\nAuthorizedKeysFile {self.folder}/user.pub\nSubsystem sftp internal-sftp\n")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # where sshd of Debian locks itself up
        return ["/usr/sbin/sshd", "-D", "-e", "-f", config]

    def url(self, path):
        return f"sftp://{ADDRESS}:{self.port}{self.data}/{path}"


class Smb(Server):
    """Samba's smbd with one share."""

    def __init__(self, folder):
        self.username = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        super().__init__(folder)

    def command(self):
        config, state = self.folder / "smb.conf", self.folder / "state"
        if not config.exists():
            state.mkdir()
            folders = "".join(f"{name} = {state}\n" for name in ("state directory", "lock directory", "cache directory", "private dir", "pid directory"))
            config.write_text(f"[global]\nworkgroup = TEST\nserver role = standalone server\ninterfaces = {ADDRESS}\nbind interfaces only = yes\n"
                              f"smb ports = {self.port}\ndisable netbios = yes\n{folders}ncalrpc dir = {state}/ncalrpc\nlog file = {state}/log\n"
                              f"passdb backend = smbpasswd:{state}/smbpasswd\nload printers = no\nserver min protocol = SMB2\n"
                              f"[backup]\npath = {self.data}\nread only = no\nforce user = {self.username}\n")
            subprocess.run(["smbpasswd", "-c", str(config), "-a", "-s", self.username], input=f"{PASSWORD}\n{PASSWORD}\n", text=True, check=True,
                           capture_output=True, env=CLEAN)
        return ["/usr/sbin/smbd", "-F", "--no-process-group", "-s", config]

    def url(self, path):
        return f"smb://{ADDRESS}:{self.port}/backup/{path}"


def install_s3rver():
    """Once a build folder; a few lines of npm's when the network is down are the test's error."""
    subprocess.run([str(TOP / "packaging/install-npm"), str(NPM)], check=True, timeout=300, stdout=subprocess.DEVNULL)


def serve_ftp(port, folder):
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.filesystems import AbstractedFS
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    class Full:
        """A file on a full disk."""

        def __init__(self, name):
            self.name, self.closed = name, False

        def write(self, _):
            raise OSError(28, "No space left on device")

        def close(self):
            self.closed = True

    class Files(AbstractedFS):
        def open(self, filename, mode):
            if "full" in filename and "r" not in mode:
                return Full(filename)
            return super().open(filename, mode)

    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, folder, perm="elradfmwMT")
    FTPHandler.authorizer, FTPHandler.abstracted_fs = authorizer, Files
    FTPServer((ADDRESS, int(port)), FTPHandler).serve_forever()


if __name__ == "__main__":
    serve_ftp(*sys.argv[2:])
