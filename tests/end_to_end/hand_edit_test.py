#!/usr/bin/env python3
"""EXAConf edited by hand while confd runs, and while it does not: what is taken, what is refused, and what stays in force."""
import crypt
import re
import subprocess
import time
import unittest

from event_stream import EventStream
from node import Node, eventually

TWO_SECONDS = 2.0  # the promise for an edit that says COMMIT


class HandEdit(unittest.TestCase):
    def setUp(self):
        self.node = Node(settings="login:\n  first_delay_ms: 0\n").start()
        self.addCleanup(self.node.__exit__)
        self.path = self.node.path("etc/EXAConf")

    def edit(self, old, new, commit=True):
        """As an editor does: the file is written anew in one go."""
        text = self.node.exaconf()
        self.assertIn(old, text)
        text = text.replace(old, new, 1)
        if commit:
            text = re.sub(r"Checksum = \w+", "Checksum = COMMIT", text, count=1)
        new_file = self.path.with_name("editor's own file")
        new_file.write_text(text)
        new_file.rename(self.path)
        return text

    def setting(self, key):
        result = self.node.job("settings_list", {"sections": {"Global": [key]}})
        return result["result_output"]["Global"].get(key)

    def log_lines(self, text):
        return [line for line in self.node.log().splitlines() if text in line]

    def test_an_edit_with_commit_is_in_force_within_two_seconds(self):
        revision = self.node.revision()
        began = time.monotonic()
        self.edit("NameServers = ", "NameServers = 8.8.8.8")
        eventually(lambda: self.setting("NameServers") == "8.8.8.8", what="the edit in force")
        self.assertLess(time.monotonic() - began, TWO_SECONDS)
        self.assertEqual(self.node.revision(), revision + 1)
        self.assertRegex(self.node.exaconf(), r"Checksum = [0-9a-f]{32}")
        self.assertEqual(self.setting("Revision"), str(revision + 1))
        eventually(lambda: self.log_lines(f"was taken as revision {revision + 1}"), what="the news in the log")
        self.assertIn(f"Revision = {revision}", self.node.read("etc/EXAConf.0"))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.node.job("group_create", {"groupname": "next", "groupid": 4000})["result_revision"], revision + 2)
        self.assertIn("8.8.8.8", self.node.exaconf())

    def test_a_subscriber_hears_of_a_taken_edit(self):
        rpc = self.node.rpc()
        subscription = rpc.subscribe({"stages": False})
        revision = self.node.revision()
        self.edit("NameServers = ", "NameServers = 8.8.8.8")
        with EventStream(self.node, subscription) as stream:
            kind, data, _, _ = stream.next()
        self.assertEqual((kind, data["revision"]), ("revision", revision + 1))

    def test_an_edit_in_place_with_sed(self):
        subprocess.run(["sed", "-i", "-e", "s/^    NameServers = .*/    NameServers = 9.9.9.9/", "-e", "s/Checksum = .*/Checksum = commit/", self.path], check=True)
        eventually(lambda: self.setting("NameServers") == "9.9.9.9", what="the edit in force")

    def test_an_edit_without_commit_is_refused_and_told_once(self):
        revision = self.node.revision()
        edited = self.edit("NameServers = ", "NameServers = 6.6.6.6", commit=False)
        stored = re.search(r"Checksum = (\w+)", edited).group(1)
        eventually(lambda: self.log_lines("Integrity check failed"), what="the refusal in the log")
        line = self.log_lines("Integrity check failed")[0]
        self.assertRegex(line, rf"ERR +EXAConf: Integrity check failed! The stored checksum '{stored}' does not match the actual checksum '[0-9a-f]{{32}}'\. "
                               r"Set checksum to 'COMMIT' if you made intentional changes\.")
        # The last good revision serves; the edit is looked at again and again, and told of once.
        for _ in range(20):
            self.assertEqual(self.setting("NameServers"), "")
        looked = time.monotonic() + 2
        eventually(lambda: time.monotonic() > looked, what="several looks at the file")
        self.assertEqual(len(self.log_lines("Integrity check failed")), 1)
        self.assertEqual(self.setting("Revision"), str(revision))
        self.assertEqual(self.node.exaconf(), edited)

    def test_a_job_after_a_refused_edit_keeps_the_edit_aside(self):
        revision = self.node.revision()
        good = self.node.exaconf()
        edited = self.edit("NameServers = ", "NameServers = 6.6.6.6", commit=False)
        eventually(lambda: self.log_lines("Integrity check failed"), what="the refusal in the log")
        result = self.node.job("group_create", {"groupname": "after", "groupid": 4001})
        self.assertEqual((result["result_name"], result["result_revision"]), ("OK", revision + 1))
        self.assertNotIn("6.6.6.6", self.node.exaconf())
        self.assertEqual(self.node.read("etc/EXAConf.refused"), edited)
        self.assertEqual(self.node.read("etc/EXAConf.0"), good)

    def test_a_refused_edit_that_is_given_its_commit(self):
        revision = self.node.revision()
        self.edit("NameServers = ", "NameServers = 6.6.6.6", commit=False)
        eventually(lambda: self.log_lines("Integrity check failed"), what="the refusal in the log")
        self.edit("NameServers", "NameServers")
        eventually(lambda: self.setting("NameServers") == "6.6.6.6", what="the edit in force")
        self.assertEqual(self.node.revision(), revision + 1)

    def test_a_refused_edit_that_is_undone(self):
        good = self.node.exaconf()
        self.edit("NameServers = ", "NameServers = 6.6.6.6", commit=False)
        eventually(lambda: self.log_lines("Integrity check failed"), what="the refusal in the log")
        self.path.write_text(good)
        revision = self.node.revision()
        self.assertEqual(self.node.job("group_create", {"groupname": "after", "groupid": 4001})["result_revision"], revision + 1)

    def test_a_job_that_comes_right_after_an_edit_is_put_on_top_of_it(self):
        revision = self.node.revision()
        self.edit("NameServers = ", "NameServers = 7.7.7.7")
        result = self.node.job("group_create", {"groupname": "on_top", "groupid": 4050})
        self.assertEqual((result["result_name"], result["result_revision"]), ("OK", revision + 2))
        self.assertIn("NameServers = 7.7.7.7", self.node.exaconf())
        self.assertIn("[[on_top]]", self.node.exaconf())

    def test_jobs_and_an_edit_at_the_same_moment(self):
        # Whoever comes first: no job that said OK is lost, and no revision stands for two texts.
        rpc = self.node.rpc()
        ids = [rpc.job_start("group_create", {"params": {"groupname": f"busy{i}", "groupid": 4100 + i}}) for i in range(10)]
        self.edit("NameServers = ", "NameServers = 7.7.7.7")
        ids += [rpc.job_start("group_create", {"params": {"groupname": f"busy{i}", "groupid": 4100 + i}}) for i in range(10, 20)]
        results = []
        for job_id in ids:
            self.assertIs(rpc.job_wait(job_id, {"timeout": 20}), True)
            results.append(rpc.job_result(job_id))
        self.assertLessEqual({result["result_name"] for result in results}, {"OK", "Conflict"})
        revisions = [result["result_revision"] for result in results if result["result_code"] == 0]
        self.assertEqual(len(revisions), len(set(revisions)))
        eventually(lambda: not re.search("Checksum = COMMIT", self.node.exaconf()), what="the edit looked at")

    def test_broken_syntax_is_refused(self):
        revision = self.node.revision()
        self.edit("[Groups]", "[Groups", commit=True)
        eventually(lambda: [line for line in self.log_lines(" ERR ") if "line" in line], what="the refusal in the log")
        self.assertEqual(self.setting("Revision"), str(revision))
        self.assertEqual(self.node.job("group_create", {"groupname": "after", "groupid": 4001})["result_revision"], revision + 1)
        self.assertIn("[Groups\n", self.node.read("etc/EXAConf.refused"))

    def test_a_valid_text_that_breaks_a_rule_is_refused(self):
        self.edit("Networks = private", "Networks = public")
        eventually(lambda: [line for line in self.log_lines(" ERR ") if "Networks" in line], what="the refusal in the log")
        self.assertEqual(self.setting("Networks"), "private")

    def test_a_file_that_was_removed_is_put_back(self):
        text = self.node.exaconf()
        self.path.unlink()
        eventually(self.path.exists, what="the file is put back")
        self.assertEqual(self.node.exaconf(), text)
        eventually(lambda: self.log_lines("was removed"), what="the news in the log")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_a_user_added_by_hand_can_log_in(self):
        hashed = crypt.crypt("by hand", "$6$salt$")
        self.edit("[Users]\n", f"[Users]\n    [[manual]]\n        ID = 4200\n        Group = exaadm\n        LoginEnabled = True\n        Passwd = {hashed}\n")
        eventually(lambda: "manual" in self.node.job("user_list")["result_output"], what="the edit in force")
        self.assertEqual(self.node.rpc(user="manual", password="by hand").user_state()["groups"], ["exaadm"])


class WhileItIsDown(unittest.TestCase):
    def setUp(self):
        self.node = Node().start()
        self.addCleanup(self.node.__exit__)
        self.node.stop()
        self.path = self.node.path("etc/EXAConf")

    def test_an_edit_with_commit_is_taken_at_the_start(self):
        revision = self.node.revision()
        self.path.write_text(re.sub(r"Checksum = \w+", "Checksum = COMMIT", self.node.exaconf()).replace("NameServers = ", "NameServers = 5.5.5.5"))
        self.node.start()
        self.assertEqual(self.node.revision(), revision + 1)
        self.assertEqual(self.node.job("settings_list", {"sections": {"Global": ["NameServers"]}})["result_output"], {"Global": {"NameServers": "5.5.5.5"}})

    def refuses_to_start(self):
        self.node.start(wait=False)
        process, self.node.process = self.node.process, None
        self.assertEqual(process.wait(timeout=30), 1)
        return self.node.output()

    def test_an_edit_without_commit_stops_it_from_starting(self):
        self.node.start()
        self.node.job("group_create", {"groupname": "one_more", "groupid": 4000})
        self.node.stop()
        good = self.node.exaconf()
        self.path.write_text(good.replace("NameServers = ", "NameServers = 5.5.5.5"))
        text = self.refuses_to_start()
        self.assertIn("Integrity check failed! The stored checksum", text)
        self.assertIn("Set checksum to 'COMMIT' if you made intentional changes.", text)
        self.assertIn("EXAConf.0", text)  # the way back
        self.assertIn("Integrity check failed", self.node.log())
        done = self.node.run("confd", "--root", self.node.root, "--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Integrity check failed", done.stderr)
        self.path.write_text(good)
        self.node.start()

    def test_a_missing_or_broken_file(self):
        good = self.node.exaconf()
        self.path.write_text(good.replace("[Groups]", "[Groups"))
        self.assertRegex(self.refuses_to_start(), r"EXAConf.*line \d+")
        self.path.write_text("")
        self.assertIn("Global", self.refuses_to_start())
        self.path.unlink()
        for earlier in self.path.parent.glob("EXAConf.*"):
            earlier.unlink()
        self.assertIn("--init", self.refuses_to_start())

    def test_a_missing_file_of_a_node_that_has_a_history(self):
        self.node.start()
        self.node.job("group_create", {"groupname": "one_more", "groupid": 4000})
        self.node.stop()
        self.path.unlink()
        self.assertIn("EXAConf.0", self.refuses_to_start())
        done = self.node.run("confd", "--root", self.node.root, "--init", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("EXAConf.0", done.stderr)
        self.node.path("etc/EXAConf.0").rename(self.path)
        self.node.start()


if __name__ == "__main__":
    unittest.main(warnings="ignore")
