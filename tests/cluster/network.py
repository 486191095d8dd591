"""A network of its own for each node of a test cluster: network namespaces on one bridge, links that can be cut, small disks.

The whole test runs in new network, mount and process namespaces (`enter()` starts it there again), so nothing of it is seen or
left outside, whatever kills it. Without the rights for that the test runs on 127.0.0.0/8 and cuts no links.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

INSIDE = "CONFD_TEST_NAMESPACES"
PORTS = (2379, 2380)
CONFD_PORT = 20003


def done(*command, text=None):
    result = subprocess.run([str(part) for part in command], input=text, capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {result.stderr.strip()}")
    return result.stdout


def enter():
    """Starts this program again in namespaces of its own and ends with its exit code. Returns inside them (True), or where they can't be had (False)."""
    if INSIDE in os.environ:
        done("mount", "--make-rprivate", "/")
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        done("mount", "-t", "tmpfs", "none", "/run/netns")
        done("ip", "link", "set", "lo", "up")
        return True
    missing = [program for program in ("unshare", "nsenter", "ip", "nft") if not shutil.which(program)]
    if missing:
        print(f"no links are cut: {' and '.join(missing)} not installed (packaging/packages-test)", flush=True)
        return False
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    probe = subprocess.run([*command, "sh", "-c", "mount -t tmpfs none /run && ip link add confd0 type bridge && nft add table ip confd"],
                           capture_output=True, text=True, timeout=60)
    if probe.returncode != 0:
        print(f"no links are cut: that takes root, or the right to make network namespaces ({probe.stderr.strip()})", flush=True)
        return False
    sys.stdout.flush()
    return_code = subprocess.run([*command, sys.executable, *sys.argv], env=dict(os.environ, **{INSIDE: "1"})).returncode
    sys.exit(return_code if return_code >= 0 else 128 - return_code)


class Network:
    """A place for Cluster: node N is 10.77.0.N in the namespace nN; the test itself is 10.77.0.1."""
    net = "10.77.0"

    def __init__(self, disk_megabytes=400):
        self.disk_megabytes = disk_megabytes
        self.folder = tempfile.mkdtemp(prefix="confd-network-")
        self.disks = {}
        done("ip", "link", "add", "hub", "type", "bridge")
        done("ip", "address", "add", f"{self.net}.1/24", "dev", "hub")
        done("ip", "link", "set", "hub", "up")

    def node(self, node_id):
        name = f"n{node_id}"
        done("ip", "netns", "add", name)
        done("ip", "link", "add", f"v{node_id}", "type", "veth", "peer", "name", "eth0", "netns", name)
        done("ip", "link", "set", f"v{node_id}", "master", "hub", "up")
        done("ip", "-n", name, "address", "add", f"{self.net}.{node_id}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            done("ip", "-n", name, "link", "set", device, "up")
        return {"address": f"{self.net}.{node_id}", "port": CONFD_PORT, "parent": self.disk(node_id)}

    def disk(self, node_id):
        """A file system of its own for a node's root: ext4 in a file, or in memory where there are no loop devices."""
        folder = pathlib.Path(self.folder, str(node_id))
        folder.mkdir()
        image = f"{folder}.ext4"
        try:
            with open(image, "wb") as file:
                file.truncate(self.disk_megabytes << 20)
            done("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", image)
            done("mount", "-o", "loop", image, folder)
        except OSError:
            done("mount", "-t", "tmpfs", "-o", f"size={self.disk_megabytes}m", "none", folder)
        self.disks[node_id] = folder
        return folder

    def prefix(self, node_id):
        return ("nsenter", f"--net=/run/netns/n{node_id}")

    def ports(self, _):
        return PORTS

    def rules(self, node_id, rules):
        """These packets are dropped on node_id from now on; none: all links are whole again."""
        text = "add table ip confd\ndelete table ip confd\n"
        if rules:
            text += "table ip confd {\n"
            for hook in ("input", "output"):
                text += f"chain {hook} {{\ntype filter hook {hook} priority 0\n" + "".join(f"{rule} drop\n" for at, rule in rules if at == hook) + "}\n"
            text += "}\n"
        done(*self.prefix(node_id), "nft", "-f", "-", text=text)

    # Rules: packets of node_id to and from others, and to a port of theirs.
    def to(self, number):
        return "output", f"ip daddr {self.net}.{number}"

    def of(self, number):
        return "input", f"ip saddr {self.net}.{number}"

    def to_stores(self, node_id):
        """Also to the member on the same node."""
        return [("output", f"ip daddr {self.net}.0/24 tcp dport {PORTS[0]}"), ("input", f"ip saddr {self.net}.{node_id} tcp dport {PORTS[0]}")]

    def fill(self, node_id):
        """Not a byte is left on the node's disk."""
        with open(self.disks[node_id] / "filler", "wb") as file:
            size = 64 << 20
            while size >= 1024:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError:
                    size //= 2

    def free(self, node_id):
        (self.disks[node_id] / "filler").unlink()

    def close(self):
        for folder in self.disks.values():
            with contextlib.suppress(OSError):
                done("umount", folder)
        shutil.rmtree(self.folder, ignore_errors=True)


class SlowDisk:
    """A cgroup in which few writes a second reach the disk: for etcd, whose calls no library can hold up."""

    def __init__(self, path):
        self.group = None
        number = os.stat(path).st_dev
        device = f"{os.major(number)}:{os.minor(number)}"
        old, new = pathlib.Path("/sys/fs/cgroup/blkio"), pathlib.Path("/sys/fs/cgroup")
        with contextlib.suppress(OSError):
            if old.is_dir():
                self.limit, self.off, self.on = "blkio.throttle.write_iops_device", f"{device} 0", device + " {}"
            else:
                self.limit, self.off, self.on = "io.max", f"{device} wiops=max", device + " wiops={}"
                old = new
                if "io" not in (new / "cgroup.subtree_control").read_text():
                    return
            for left in old.glob("confd-test-*"):  # of a test that was killed, not of one that begins
                with contextlib.suppress(OSError):
                    if time.time() - left.stat().st_mtime > 3600:
                        left.rmdir()
            group = old / f"confd-test-{os.urandom(4).hex()}"
            group.mkdir()
            self.group = group
            self.writes(1000)
            (group / self.limit).write_text(self.off)

    def take(self, pid):
        (self.group / "cgroup.procs").write_text(str(pid))

    def writes(self, a_second):
        (self.group / self.limit).write_text(self.on.format(a_second) if a_second else self.off)

    def close(self):
        if self.group:
            with contextlib.suppress(OSError):
                self.group.rmdir()
