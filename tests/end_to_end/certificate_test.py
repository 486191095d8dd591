#!/usr/bin/env python3
"""cert_update through the network, with chains made by openssl: what is refused, and that a good one takes the place of the old
without a running request noticing."""
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from event_stream import EventStream
from node import Node, eventually


class Authority:
    """A certificate authority in a folder, made with openssl."""

    def __init__(self, folder):
        self.folder = folder
        self.key, self.certificate = self.make_root("root")
        self.count = 0

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, cwd=self.folder, timeout=60)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout

    def read(self, name):
        return pathlib.Path(self.folder, name).read_text()

    def make_root(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "3650", "-subj", f"/CN=Test {name}")
        return self.read(f"{name}.key"), self.read(f"{name}.crt")

    def issue(self, names, algorithm=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), root="root", not_before=None, not_after=None):
        """(key, certificate) of a server."""
        self.count += 1
        name = f"server{self.count}"
        self.openssl("req", "-newkey", *algorithm, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=n11")
        pathlib.Path(self.folder, "index.txt").write_text("")
        pathlib.Path(self.folder, "ca.cnf").write_text(
            f"[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nnew_certs_dir = .\nserial = serial\ndefault_md = sha256\npolicy = p\nx509_extensions = e\n[p]\ncommonName = supplied\n"
            f"[e]\nbasicConstraints = CA:FALSE\nextendedKeyUsage = serverAuth\n" + (f"subjectAltName = {names}\n" if names else ""))
        pathlib.Path(self.folder, "serial").write_text(f"{4096 + self.count:X}\n")
        self.openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", f"{root}.crt", "-keyfile", f"{root}.key", "-in", f"{name}.csr", "-out", f"{name}.crt",
                     *(["-startdate", not_before] if not_before else []), *(["-enddate", not_after] if not_after else ["-days", "90"]))
        return self.read(f"{name}.key"), self.read(f"{name}.crt")


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="confd-test-ca-")
        cls.authority = Authority(cls.folder)
        cls.node = Node().start()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()
        shutil.rmtree(cls.folder)

    def served(self):
        return ssl.get_server_certificate((self.node.address, self.node.port)).strip()

    def names(self):
        return f"IP:{self.node.address},DNS:n11"

    def update(self, key, chain, **more):
        return self.node.job("cert_update", {"key": key, "cert": chain, **more})

    def refused(self, error, words, *arguments, **more):
        before = self.served(), self.node.read("etc/ssl/ssl.key")
        result = self.update(*arguments, **more)
        self.assertEqual(result["result_name"], error, result)
        self.assertIn(words, result["result_desc"])
        self.assertEqual((self.served(), self.node.read("etc/ssl/ssl.key")), before)

    def test_a_good_chain_is_served_at_once_and_after_a_restart(self):
        for algorithm in (("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("rsa:2048",)):
            key, certificate = self.authority.issue(self.names(), algorithm)
            result = self.update(key, certificate + self.authority.certificate)
            self.assertEqual((result["result_code"], result["result_desc"]), (0, "Success"))
            self.assertNotIn("result_revision", result)
            self.assertEqual(self.served(), certificate.strip())
            self.assertEqual(self.node.read("etc/ssl/ssl.crt"), certificate + self.authority.certificate)
            self.assertEqual(self.node.path("etc/ssl/ssl.key").stat().st_mode & 0o777, 0o600)
        self.node.stop()
        self.node.start()
        self.assertEqual(self.served(), certificate.strip())

    def test_a_client_that_trusts_the_authority_needs_no_exception(self):
        key, certificate = self.authority.issue(self.names())
        self.assertEqual(self.update(key, certificate + self.authority.certificate, verify_cert=True)["result_name"], "OK")
        context = ssl.create_default_context(cadata=self.authority.certificate)
        with context.wrap_socket(socket.create_connection((self.node.address, self.node.port), timeout=10), server_hostname=self.node.address) as connection:
            self.assertIn(connection.version(), ("TLSv1.2", "TLSv1.3"))

    def test_what_is_under_way_goes_on(self):
        pipe = self.node.path("logs/logd/Slow.log")
        os.mkfifo(pipe)
        self.addCleanup(pipe.unlink)
        rpc = self.node.rpc()
        job_id = rpc.job_start("log_collect", {"params": {"services": ["Slow"]}})
        eventually(lambda: rpc.job_info(job_id)["stage"] == "scheduled", what="the job running")
        answers = []
        waiting = self.node.rpc()
        waiting.job_list()  # the connection is there before the change
        waiter = threading.Thread(target=lambda: answers.append(waiting.job_wait(job_id, {"timeout": 30})))
        waiter.start()
        subscription = rpc.subscribe({"stages": False})
        with EventStream(self.node, subscription) as stream:
            key, certificate = self.authority.issue(self.names())
            self.assertEqual(self.update(key, certificate + self.authority.certificate)["result_name"], "OK")
            self.assertEqual(self.served(), certificate.strip())
            self.assertTrue(waiter.is_alive())
            revision = self.node.job("group_create", {"groupname": "meanwhile", "groupid": 7000})["result_revision"]
            self.assertEqual(stream.next()[1]["revision"], revision)
            with open(pipe, "w") as writer:
                writer.write("2026-11-22T01:02:03.123456Z INFO   a line\n")
            waiter.join(30)
        self.assertEqual(answers, [True])
        self.assertEqual(waiting.job_result(job_id)["result_name"], "OK")

    def test_one_certificate_alone(self):
        key, certificate = self.authority.issue(self.names())
        self.refused("JobError", "Only one cert in the give cert.", key, certificate)

    def test_the_key_of_another_certificate(self):
        _, certificate = self.authority.issue(self.names())
        key, _ = self.authority.issue(self.names())
        self.refused("BadParameter", "key", key, certificate + self.authority.certificate)

    def test_out_of_its_dates(self):
        key, certificate = self.authority.issue(self.names(), not_before="20200101000000Z", not_after="20210101000000Z")
        self.refused("BadParameter", "2021", key, certificate + self.authority.certificate)
        key, certificate = self.authority.issue(self.names(), not_before="20900101000000Z", not_after="20910101000000Z")
        self.refused("BadParameter", "2090", key, certificate + self.authority.certificate)

    def test_a_chain_that_does_not_hold_together(self):
        key, certificate = self.authority.issue(self.names())
        _, stranger = self.authority.make_root("stranger")
        self.refused("BadParameter", "sign", key, certificate + stranger)
        self.refused("BadParameter", "", key, self.authority.certificate + certificate)

    def test_what_is_no_certificate_or_key(self):
        key, certificate = self.authority.issue(self.names())
        chain = certificate + self.authority.certificate
        self.refused("BadParameter", "'key'", "no key", chain)
        self.refused("BadParameter", "'cert'", key, "no certificate")
        self.refused("BadParameter", "'ca'", key, chain, ca="no certificate")
        weak, weak_certificate = self.authority.issue(self.names(), ("rsa:1024",))
        self.refused("BadParameter", "1024", weak, weak_certificate + self.authority.certificate)

    def test_a_uri_name_is_a_warning(self):
        key, certificate = self.authority.issue(self.names() + ",URI:https://n11.example/")
        result = self.update(key, certificate + self.authority.certificate)
        self.assertEqual(result["result_name"], "OK", result)
        warnings = self.node.rpc().job_info(result["result_jobid"])["warnings"]
        self.assertTrue(any("URI" in warning for warning in warnings), warnings)

    def test_the_rules_of_the_web_when_asked_for(self):
        key, certificate = self.authority.issue("")
        self.refused("BadParameter", "", key, certificate + self.authority.certificate, verify_cert=True)
        result = self.update(key, certificate + self.authority.certificate)
        self.assertEqual(result["result_name"], "OK", result)

    def test_a_dry_run_checks_and_changes_nothing(self):
        key, certificate = self.authority.issue(self.names())
        before = self.served()
        result = self.node.job("cert_update", {"key": key, "cert": certificate + self.authority.certificate}, dry_run=True)
        self.assertEqual(result["result_name"], "OK", result)
        self.assertEqual(self.served(), before)
        self.assertEqual(self.node.job("cert_update", {"key": key, "cert": certificate}, dry_run=True)["result_name"], "JobError")

    def test_the_key_is_in_no_record(self):
        key, certificate = self.authority.issue(self.names())
        result = self.update(key, certificate + self.authority.certificate)
        secret = key.splitlines()[1]
        self.assertNotIn(secret, repr(self.node.rpc().job_info(result["result_jobid"])))
        self.node.stop()
        self.node.start()
        for path in pathlib.Path(self.node.root).rglob("*"):
            if path.is_file() and path.name not in ("dev.1", "ssl.key"):
                self.assertNotIn(secret, path.read_text(errors="replace"), path)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
