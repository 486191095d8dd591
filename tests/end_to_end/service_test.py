#!/usr/bin/env python3
"""confd as a service of a machine: making a node, checking it, starting, stopping, signals, systemd, files and their modes."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from node import PROGRAMS, TOP, UNVERIFIED, Node, eventually, free_port

SAMPLES = TOP / "tests/exaconf/samples"


def confd(*arguments, check=True, env=None):
    done = subprocess.run([PROGRAMS / "confd", *map(str, arguments)], capture_output=True, text=True, timeout=60, env=env)
    if check and done.returncode != 0:
        raise AssertionError(f"confd {arguments} ended with {done.returncode}: {done.stderr}")
    return done


def as_root(root, body):
    """One call at the local socket, where the user who runs the test is root."""
    class Connection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(20)
            self.sock.connect(os.path.join(root, "run/confd.sock"))
    connection = Connection("localhost")
    try:
        connection.request("POST", "/rest", json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="confd-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.root = os.path.join(self.folder, "root")

    def started(self, *arguments, env=None, address="127.0.0.1"):
        """A confd on self.root; ended when the test ends."""
        port = free_port(address)
        process = subprocess.Popen([PROGRAMS / "confd", "--root", self.root, "--listen", address, "--port", str(port), *arguments], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def ready():
            if process.poll() is not None:
                raise AssertionError(process.stderr.read())
            connection = http.client.HTTPSConnection(address, port, context=UNVERIFIED, timeout=5)
            try:
                connection.request("GET", "/is_master")
                return connection.getresponse().status == 200
            except OSError:
                return False
            finally:
                connection.close()
        eventually(ready, 20, "confd answering")
        return process


class CommandLine(InFolder):
    def test_version_and_help(self):
        self.assertRegex(confd("--version").stdout, r"^confd \d+\.\d+\.\d+\n$")
        text = confd("--help").stdout
        self.assertEqual(confd("-h").stdout, text)
        for option in ("--root", "--node", "--listen", "--port", "--init", "--node-id", "--private-net", "--from", "--admin-password-file", "--check", "--version", "--help"):
            self.assertIn("  " + option, text)
        self.assertIn("(default", text)

    def test_wrong_use_is_2_and_says_what(self):
        for arguments, text in ((["--colour"], "--colour"), (["--port", "many"], "many"), (["--port", "70000"], "65535"), (["--root"], "--root"), (["start"], "start"),
                                (["--version=1"], "--version"), (["--root="], "--root"), (["--node-id", "3", "--init"], "--node-id")):
            done = confd(*arguments, check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(text, done.stderr)

    def test_the_settings_sample_is_the_one_that_is_packaged(self):
        self.assertEqual(confd("--settings-sample").stdout, (TOP / "packaging/confd.yaml.sample").read_text())


class MakingANode(InFolder):
    def test_all_by_default(self):
        output = confd("--root", self.root, "--init").stdout
        self.assertIn("127.0.0.11", output)
        password = pathlib.Path(self.root, "etc/admin.password")
        self.assertIn(str(password), output)
        self.assertEqual(password.stat().st_mode & 0o777, 0o600)
        self.assertRegex(password.read_text(), r"^\S{16,}\n$")
        text = pathlib.Path(self.root, "etc/EXAConf").read_text()
        self.assertNotIn(password.read_text().strip(), text)
        self.assertRegex(text, r"(?m)^\[Node : 11\]")
        self.assertRegex(text, r"(?m)^ *PrivateNet = 127\.0\.0\.11/8$")
        self.assertEqual(confd("--root", self.root, "--check").returncode, 0)
        again = confd("--root", self.root, "--init", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("is there already", again.stderr)
        self.assertEqual(pathlib.Path(self.root, "etc/EXAConf").read_text(), text)

    def test_the_certificate_has_the_addresses_of_the_node(self):
        confd("--root", self.root, "--init", "--node-id", "12", "--private-net", "127.5.6.7/8")
        shown = subprocess.run(["openssl", "x509", "-in", os.path.join(self.root, "etc/ssl/ssl.crt"), "-noout", "-text"], capture_output=True, text=True, check=True).stdout
        for word in ("IP Address:127.5.6.7", "DNS:localhost", "DNS:n12", "id-ecPublicKey", "P-256"):
            self.assertIn(word, shown)

    def test_sizes_and_what_they_must_be(self):
        confd("--root", self.root, "--init", "--device-size", "3 GiB", "--data-volume-size", "1 GiB", "--archive-volume-size", "512 MiB")
        self.assertEqual(pathlib.Path(self.root, "data/storage/dev.1").stat().st_size, 3 << 30)
        text = pathlib.Path(self.root, "etc/EXAConf").read_text()
        self.assertIn("Size = 1 GiB", text)
        self.assertIn("Size = 512 MiB", text)
        for arguments, word in ((["--device-size", "huge"], "huge"), (["--private-net", "nonsense"], "nonsense"), (["--from", "/nowhere"], "/nowhere"),
                                (["--admin-password-file", "/nowhere"], "/nowhere"), (["--node-id", "300"], "--private-net")):
            other = os.path.join(self.folder, "other")
            done = confd("--root", other, "--init", *arguments, check=False)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(word, done.stderr)
            self.assertFalse(os.path.exists(os.path.join(other, "etc/EXAConf")))

    def test_the_modes_of_the_files(self):
        with Node() as node:
            node.job("group_create", {"groupname": "g", "groupid": 4000})
            node.rpc().user_login()
            node.rpc().job_start("db_list")
            for path in pathlib.Path(node.root).rglob("*"):
                relative, mode = path.relative_to(node.root), path.stat().st_mode & 0o777
                if path.is_socket():
                    self.assertEqual((str(relative), mode), ("run/confd.sock", 0o666))
                elif path.is_dir():
                    self.assertEqual(mode, 0o755 if str(relative) == "run" else 0o700, relative)
                elif str(relative) == "run/confd.pid":
                    self.assertEqual((mode, int(path.read_text())), (0o644, node.process.pid))
                else:
                    self.assertEqual(mode, 0o600, relative)


class FromAnExistingFile(InFolder):
    def take(self, sample):
        """What becomes of one sample: made, checked, booted, asked."""
        root = os.path.join(self.folder, sample.stem)
        listed = sorted(os.listdir("/"))
        done = confd("--root", root, "--init", "--from", sample, check=False)
        nodes = len(re.findall(r"(?m)^ *\[Node *: *\d+\]", sample.read_text(errors="replace")))
        if done.returncode != 0:
            return sample, nodes, done.stderr, None
        confd("--root", root, "--check")
        port = free_port("127.0.0.1")
        process = subprocess.Popen([PROGRAMS / "confd", "--root", root, "--listen", "127.0.0.1", "--port", str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        try:
            def answers():
                if process.poll() is not None:
                    raise AssertionError(f"{sample}: {process.stderr.read()}")
                try:
                    return as_root(root, {"method": "job_exec", "job": "node_list"})
                except OSError:
                    return None
            answer = eventually(answers, 30, f"{sample} answering")
            for job in ("user_list", "group_list", "bucketfs_list", "db_list", "settings_list", "node_state"):
                status, result = as_root(root, {"method": "job_exec", "job": job})
                assert result["result_code"] == 0, (sample, job, result)
            changed = as_root(root, {"method": "job_exec", "job": "general_settings", "params": {"params": {"changes": {"Global": {"NameServers": "4.4.4.4"}}}}})[1]
            assert sorted(os.listdir("/")) == listed, "something was made outside the root"
            return sample, nodes, done.stdout, (answer, changed)
        finally:
            process.kill()
            process.wait()
            process.stderr.close()

    def test_every_sample_boots_or_is_refused_with_the_reason(self):
        oracle = {}
        for line in (SAMPLES / "ORACLE.tsv").read_text().splitlines()[1:]:
            fields = line.split("\t")
            oracle[fields[0]] = fields[6]
        samples = sorted(SAMPLES.glob("*.conf"))
        booted = 0
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for sample, nodes, text, answers in pool.map(self.take, samples):
                with self.subTest(sample=sample.name):
                    if answers is None:
                        if oracle[sample.name] == "ok":
                            self.assertNotEqual(nodes, 1, text)
                            self.assertIn(f"has {nodes} nodes; this version of confd serves clusters of one node", text)
                        self.assertIn(sample.name, text)
                        continue
                    booted += 1
                    (status, result), changed = answers
                    self.assertEqual((status, result["result_code"], len(result["result_output"])), (200, 0, 1))
                    self.assertEqual(changed["result_name"], "OK", changed)
        self.assertGreater(booted, 30)

    def test_a_cluster_of_more_nodes_is_refused_at_the_start_too(self):
        confd("--root", self.root, "--init")
        path = pathlib.Path(self.root, "etc/EXAConf")
        text = path.read_text()
        second = text[text.index("[Node : 11]"):].split("\n\n")[0].replace("Node : 11", "Node : 12").replace("127.0.0.11/8", "127.0.0.12/8").replace("Name = n11", "Name = n12")
        path.write_text(re.sub(r"Checksum = \w+", "Checksum = COMMIT", text) + "\n" + second + "\n")
        for arguments in ([], ["--check"]):
            done = confd("--root", self.root, *arguments, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("2 nodes", done.stderr)

    def test_an_existing_user_admin_keeps_his_password(self):
        confd("--root", self.root, "--init")
        copy = os.path.join(self.folder, "copy")
        confd("--root", copy, "--init", "--from", os.path.join(self.root, "etc/EXAConf"), "--node-id", "11", "--private-net", "127.9.9.9/8")
        hashes = [re.search(r"(?m)^ *Passwd = (\S+)", pathlib.Path(root, "etc/EXAConf").read_text()).group(1) for root in (self.root, copy)]
        self.assertEqual(hashes[0], hashes[1])
        self.assertIn("127.9.9.9/8", pathlib.Path(copy, "etc/EXAConf").read_text())
        self.assertFalse(os.path.exists(os.path.join(copy, "etc/admin.password")), "a password that does not work must not be left there")
        refused = confd("--root", os.path.join(self.folder, "third"), "--init", "--from", os.path.join(self.root, "etc/EXAConf"), "--node-id", "12", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("11", refused.stderr)

    def test_a_certificate_outside_the_root_is_used_and_never_made(self):
        confd("--root", self.root, "--init")
        elsewhere = os.path.join(self.folder, "certificates")
        os.mkdir(elsewhere)
        for name in ("ssl.key", "ssl.crt", "ssl.ca"):
            shutil.copy(os.path.join(self.root, "etc/ssl", name), elsewhere)
        text = pathlib.Path(self.root, "etc/EXAConf").read_text().replace("/exa/etc/ssl/", elsewhere + "/")
        given = os.path.join(self.folder, "given")
        pathlib.Path(given).write_text(re.sub(r"Checksum = \w+", "Checksum = COMMIT", text))
        second = os.path.join(self.folder, "second")
        self.assertIn(elsewhere, confd("--root", second, "--init", "--from", given).stdout)
        self.assertFalse(os.path.exists(os.path.join(second, "etc/ssl/ssl.key")))
        confd("--root", second, "--check")
        before = pathlib.Path(elsewhere, "ssl.crt").read_text()
        renewed = confd("--root", second, "--renew-certificate", check=False)
        self.assertEqual(renewed.returncode, 1)
        self.assertIn(elsewhere, renewed.stderr)
        self.assertEqual(pathlib.Path(elsewhere, "ssl.crt").read_text(), before)
        shutil.rmtree(elsewhere)
        third = os.path.join(self.folder, "third")
        confd("--root", third, "--init", "--from", given)
        self.assertFalse(os.path.exists(elsewhere))
        confd("--root", third, "--check")


class OneInstance(unittest.TestCase):
    def test_a_second_confd_on_the_same_root_does_not_start(self):
        with Node() as node:
            done = confd("--root", node.root, "--port", "0", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("Another confd serves this root", done.stderr)
            self.assertEqual(node.get("/is_master")[0], 200)
            self.assertEqual(as_root(node.root, {"method": "user_state"})[1]["user"], "root")
            # Neither --check nor a second --init disturbs it.
            confd("--root", node.root, "--check")

    def test_the_lock_goes_with_the_process(self):
        with Node() as node:
            node.kill()
            self.assertTrue(node.path("run/confd.sock").exists())
            node.start()
            self.assertEqual(as_root(node.root, {"method": "user_state"})[0], 200)
            self.assertEqual(int(node.read("run/confd.pid")), node.process.pid)

    def test_an_address_that_is_taken(self):
        with Node() as node:
            other = Node(address=node.address)
            self.addCleanup(other.__exit__)
            done = confd("--root", other.root, "--port", node.port, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{node.address} port {node.port}: Address already in use", done.stderr)

    def test_an_address_this_machine_does_not_have(self):
        node = Node()
        self.addCleanup(node.__exit__)
        done = confd("--root", node.root, "--listen", "198.51.100.7", "--port", "0", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("198.51.100.7", done.stderr)

    def test_more_addresses_than_one(self):
        node = Node()
        self.addCleanup(node.__exit__)
        done = confd("--root", node.root, "--listen", "here", "--port", "0", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("here", done.stderr)
        node.process = subprocess.Popen([PROGRAMS / "confd", "--root", node.root, "--listen", "127.0.0.1", f"--listen={node.address}", "--port", str(node.port)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        node.wait_until_ready()
        connection = http.client.HTTPSConnection("127.0.0.1", node.port, context=UNVERIFIED, timeout=10)
        connection.request("GET", "/master")
        self.assertEqual(connection.getresponse().read().decode(), node.address)
        connection.close()


class Signals(unittest.TestCase):
    def test_sigterm_and_sigint_end_it_with_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Node() as node:
                node.process.send_signal(number)
                self.assertEqual(node.process.wait(timeout=20), 0)
                node.process = None
                self.assertFalse(node.path("run/confd.pid").exists())
                self.assertIn("confd has stopped", node.log())

    def test_sigterm_lets_a_running_job_end(self):
        with Node() as node:
            pipe = node.path("logs/logd/Slow.log")
            os.mkfifo(pipe)
            results = []
            caller = threading.Thread(target=lambda: results.append(node.job("log_collect", {"services": ["Slow"]})))
            caller.start()
            eventually(lambda: node.rpc().job_history({"state": "running"}), what="the job running")
            node.process.send_signal(signal.SIGTERM)
            eventually(lambda: "confd stops" in node.log(), what="the end beginning")
            with self.assertRaises(OSError):
                eventually(lambda: node.get("/is_master") and False, 10, "no new connections")
            self.assertIsNone(node.process.poll())
            with open(pipe, "w") as writer:
                writer.write("2026-11-22T01:02:03.123456Z INFO   a line\n")
            caller.join(20)
            self.assertEqual(node.process.wait(timeout=20), 0)
            node.process = None
            self.assertEqual(results[0]["result_name"], "OK")

    def test_sigterm_does_not_wait_for_ever(self):
        with Node(settings="scheduler:\n  stop_seconds: 0\n") as node:
            rpc = node.rpc()
            stopped = rpc.job_start("db_list")
            self.assertTrue(stopped)
            self.assertEqual(node.stop(20), 0)

    def test_sighup_reads_the_log_level_and_the_certificate_again(self):
        with Node() as node:
            def served():
                return ssl.get_server_certificate((node.address, node.port))
            before = served()
            confd("--root", node.root, "--renew-certificate")
            self.assertEqual(served(), before)
            node.write("etc/confd.yaml", "log:\n  level: warn\n")
            node.process.send_signal(signal.SIGHUP)
            eventually(lambda: served() != before, what="the new certificate")
            self.assertEqual(served().strip(), node.read("etc/ssl/ssl.crt").strip())
            node.job("db_list")
            node.job("user_info", {"username": "nobody-there"})
            text = eventually(lambda: node.log() if "nobody-there" in node.log() else None, what="the warning in the log")
            self.assertNotIn("db_list submitted", text)

    def test_a_read_job_is_one_line_and_its_stages_are_lines_at_debug(self):
        def lines(node, job):
            found = lambda: [line for line in node.log().splitlines() if f" job {job['result_jobid']} " in line]
            return eventually(lambda: found() if any(" finished" in line for line in found()) else None, what="the lines of the job")
        with Node() as node:
            one = lines(node, node.job("db_list"))
            self.assertEqual(len(one), 1, one)
            self.assertRegex(one[0], r"^\S+Z INFO   job 11\.\d+ db_list finished by admin(, [a-z]+ after \d+ us){3}$")
            refused = lines(node, node.job("user_info", {"username": "nobody-there"}))
            self.assertEqual(len(refused), 1, refused)
            self.assertRegex(refused[0], r" WARN   job 11\.\d+ user_info finished by admin(, [a-z]+ after \d+ us)+: \w+: .*nobody-there")
            changed = node.job("user_modify", {"username": "admin", "login_enabled": True})
            self.assertEqual(changed["result_code"], 0, changed)
            stages = [re.search(r"user_modify (\w+)", line).group(1) for line in lines(node, changed)]
            self.assertEqual(stages[:4], ["submitted", "scheduled", "executed", "finished"])
            node.write("etc/confd.yaml", "log:\n  level: debug\n")
            node.process.send_signal(signal.SIGHUP)
            def all_stages():
                return [re.search(r"db_list (\w+)", line).group(1) for line in lines(node, node.job("db_list"))]
            eventually(lambda: all_stages() == ["submitted", "scheduled", "executed", "finished"], what="a line for each stage")

    def test_sighup_with_something_broken_keeps_what_was(self):
        with Node() as node:
            before = ssl.get_server_certificate((node.address, node.port))
            node.write("etc/confd.yaml", "log:\n  level: loud\n")
            node.write("etc/ssl/ssl.crt", "no certificate")
            node.process.send_signal(signal.SIGHUP)
            eventually(lambda: "the certificate stays" in node.log(), what="the reason in the log")
            self.assertIn("the log level stays", node.log())
            self.assertIn("`log: level`", node.log())
            self.assertEqual(ssl.get_server_certificate((node.address, node.port)), before)


class Systemd(unittest.TestCase):
    def test_readiness_status_watchdog_and_stop_are_told(self):
        node = Node()
        self.addCleanup(node.__exit__)
        address = os.path.join(node.folder, "notify")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(address)
        listener.settimeout(20)
        heard = []

        def hear(word):
            while not any(word in message for message in heard):
                heard.append(listener.recv(4096).decode())
            return next(message for message in heard if word in message)
        node.start(env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"})
        ready = hear("READY=1")
        self.assertRegex(ready, rf"STATUS=serving {node.address}:{node.port}, revision \d+, 0 job\(s\) running")
        for _ in range(3):
            heard.clear()
            self.assertIn("STATUS=", hear("WATCHDOG=1"))
        heard.clear()
        node.process.send_signal(signal.SIGHUP)
        hear("RELOADING=1")
        hear("READY=1")
        node.process.send_signal(signal.SIGTERM)
        hear("STOPPING=1")
        self.assertEqual(node.process.wait(timeout=20), 0)
        node.process = None


class Settings(unittest.TestCase):
    def test_an_error_names_the_key(self):
        node = Node()
        self.addCleanup(node.__exit__)
        for text, words in (("log:\n  level: loud\n", ["`log: level`", "info"]), ("log:\n  colour: red\n", ["`log: colour`", "confd.yaml.sample"]), ("paint:\n  colour: red\n", ["paint"]),
                            ("http:\n  threads: many\n", ["`http: threads`"]), ("http:\n  threads: 0\n", ["`http: threads`", "1"]), ("http: 3\n", ["`http`"]), ("- a\n", ["confd.yaml"]),
                            ("log: [\n", ["confd.yaml"]), ("cluster:\n  store: paper\n", ["`cluster: store`", "local"]), ("cluster:\n  store: etcd\n", ["`cluster: endpoints`"])):
            node.write("etc/confd.yaml", text)
            for arguments in ([], ["--check"]):
                done = confd("--root", node.root, "--port", "0", *arguments, check=False)
                self.assertEqual(done.returncode, 1, text)
                for word in words:
                    self.assertIn(word, done.stderr)

    def test_an_empty_file_the_sample_and_the_sample_uncommented(self):
        sample = (TOP / "packaging/confd.yaml.sample").read_text()
        uncommented = re.sub(r"(?m)^  # (\w+: \S+)$", r"  \1", sample)
        self.assertGreater(uncommented.count("\n  l"), 1)
        node = Node()
        self.addCleanup(node.__exit__)
        for text in ("", "# nothing\n", sample, uncommented):
            node.write("etc/confd.yaml", text)
            confd("--root", node.root, "--check")


class BrokenCertificate(unittest.TestCase):
    def test_it_says_what_to_do(self):
        node = Node()
        self.addCleanup(node.__exit__)
        other = Node()
        self.addCleanup(other.__exit__)
        good = node.read("etc/ssl/ssl.crt")
        for broken in ("", "no certificate", good[:200], other.read("etc/ssl/ssl.crt"), None):
            if broken is None:
                node.path("etc/ssl/ssl.crt").unlink()
            else:
                node.write("etc/ssl/ssl.crt", broken)
            for arguments in ([], ["--check"]):
                done = confd("--root", node.root, "--port", "0", *arguments, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("--renew-certificate", done.stderr)
        confd("--root", node.root, "--renew-certificate")
        node.start()
        self.assertEqual(node.path("etc/ssl/ssl.key").stat().st_mode & 0o777, 0o600)

    def test_a_root_that_is_none(self):
        done = confd("--root", "/nowhere/at/all", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--init", done.stderr)
        self.assertEqual(confd("--root", "/nowhere/at/all", "--check", check=False).returncode, 1)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
