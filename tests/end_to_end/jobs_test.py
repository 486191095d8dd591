#!/usr/bin/env python3
"""What the jobs do, through the network: users and groups, settings, nodes, logs; and what remains of a job: its record, its file,
revisions, history."""
import concurrent.futures
import crypt
import datetime
import os
import pathlib
import platform
import re
import time
import unittest
import xmlrpc.client

import yaml

from node import Node, eventually


class WithNode(unittest.TestCase):
    settings = None

    @classmethod
    def setUpClass(cls):
        cls.node = Node(settings=cls.settings).start()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def ok(self, name, params=None, user="admin", password=None, **options):
        """The output of a job that succeeds."""
        result = self.node.rpc(user=user, password=password).job_exec(name, {"params": params or {}, **options})
        self.assertEqual((result["result_code"], result["result_desc"]), (0, "Success"), result)
        return result.get("result_output")

    def fails(self, error, name, params=None, user="admin", password=None, **options):
        result = self.node.rpc(user=user, password=password).job_exec(name, {"params": params or {}, **options})
        self.assertEqual(result["result_name"], error, result)
        return result["result_desc"]

    def can_log_in(self, user, password):
        try:
            return self.node.rpc(user=user, password=password).user_state()["user"] == user
        except xmlrpc.client.ProtocolError as error:
            self.assertEqual(error.errcode, 401)
            return False

    def new_user(self, name, number, password="First:pass wörd@1", **more):
        self.ok("user_create", {"username": name, "userid": number, "group": "exausers", "login_enabled": True, "password": password, **more})
        return password


class UsersAndGroups(WithNode):
    settings = "login:\n  first_delay_ms: 0\n"

    def test_the_life_of_a_user(self):
        self.ok("group_create", {"groupname": "analysts", "groupid": 4001})
        self.ok("user_create", {"username": "alice", "userid": 4100, "group": 4001, "login_enabled": False, "password": "Secret-4100",
                                "additional_groups": ["exausers", "exausers", "analysts"], "authorized_keys": ["ssh-ed25519 AAAAC3 alice@home"]})
        info = self.ok("user_info", {"username": "alice"})
        self.assertEqual(info, {"id": 4100, "group": "analysts", "login_enabled": False, "additional_groups": ["exausers"], "authorized_keys": ["ssh-ed25519 AAAAC3 alice@home"]})
        self.assertEqual(self.ok("user_info", {"userid": 4100}), info)
        self.ok("user_modify", {"username": "alice", "group": "exadbadm", "additional_groups": ["analysts"], "authorized_keys": []})
        self.assertEqual(self.ok("user_list")["alice"], {"id": 4100, "group": "exadbadm", "login_enabled": False, "additional_groups": ["analysts"]})
        self.assertIn("alice", self.fails("Busy", "group_delete", {"groupname": "analysts"}))
        self.ok("user_delete", {"username": "alice"})
        self.fails("NotFound", "user_info", {"username": "alice"})
        self.ok("group_delete", {"groupname": "analysts"})
        self.assertNotIn("analysts", self.ok("group_list"))

    def test_the_life_of_a_group(self):
        self.ok("group_create", {"groupname": "readers", "groupid": 4002})
        self.assertEqual(self.ok("group_info", {"groupname": "readers"}), {"id": 4002})
        self.assertEqual(self.ok("group_list")["readers"], {"id": 4002})
        self.assertIn("exists", self.fails("Exists", "group_create", {"groupname": "readers", "groupid": 4003}))
        self.assertIn("'readers'", self.fails("Exists", "group_create", {"groupname": "others", "groupid": 4002}))
        self.ok("group_delete", {"groupname": "readers"})
        self.fails("NotFound", "group_info", {"groupname": "readers"})
        self.fails("NotFound", "group_delete", {"groupname": "readers"})

    def test_what_can_not_be_made_or_removed(self):
        self.assertIn("built in", self.fails("WrongState", "user_delete", {"username": "root"}))
        self.assertIn("built in", self.fails("WrongState", "group_delete", {"groupname": "exaadm"}))
        self.assertIn("'nogroup'", self.fails("NotFound", "user_create", {"username": "zoe", "userid": 4200, "group": "nogroup", "login_enabled": True, "password": "x"}))
        self.fails("Exists", "user_create", {"username": "zoe", "userid": 0, "group": "exausers", "login_enabled": True, "password": "x"})
        for name in ("", "with blank", "[[x]]", "a/b", "1st", "a" * 33, "x\ny", "ünal", "x#y", "x = y"):
            self.assertIn("'username'", self.fails("BadParameter", "user_create", {"username": name, "userid": 4201, "group": "exausers", "login_enabled": True, "password": "x"}))
        for number in (-1, 2**31, 55555):
            self.assertIn("'userid'", self.fails("BadParameter", "user_create", {"username": "zoe", "userid": str(number), "group": "exausers", "login_enabled": True, "password": "x"}))

    def test_a_new_user_can_log_in_at_once(self):
        password = self.new_user("bert", 4300)
        self.assertTrue(self.can_log_in("bert", password))
        self.assertFalse(self.can_log_in("bert", "First"))

    def test_a_user_may_change_his_own_password_and_no_other(self):
        password = self.new_user("carl", 4301)
        self.ok("user_passwd", {"username": "carl", "password": "Second-4301"}, user="carl", password=password)
        self.assertTrue(self.can_log_in("carl", "Second-4301"))
        self.assertFalse(self.can_log_in("carl", password))
        self.fails("Forbidden", "user_passwd", {"username": "admin", "password": "mine now"}, user="carl", password="Second-4301")
        self.fails("Forbidden", "user_modify", {"username": "carl", "group": "exaadm"}, user="carl", password="Second-4301")

    def test_a_password_change_ends_remembered_logins_and_tokens_at_once(self):
        password = self.new_user("dora", 4302)
        token = self.node.rpc(user="dora", password=password).user_login()["token"]

        def with_token():
            return self.node.http("POST", "/rest", '{"method": "user_state"}', {"Authorization": "Bearer " + token}, login=None)[0]
        self.assertEqual(with_token(), 200)
        self.assertTrue(self.can_log_in("dora", password))
        self.ok("user_passwd", {"username": "dora", "password": "Second-4302"})
        self.assertFalse(self.can_log_in("dora", password))
        self.assertEqual(with_token(), 401)

    def test_a_login_that_is_switched_off_ends_at_once(self):
        password = self.new_user("emil", 4303)
        token = self.node.rpc(user="emil", password=password).user_login()["token"]
        self.ok("user_modify", {"username": "emil", "login_enabled": False})
        self.assertFalse(self.can_log_in("emil", password))
        self.assertEqual(self.node.http("POST", "/rest", "{}", {"Authorization": "Bearer " + token}, login=None)[0], 401)
        self.ok("user_modify", {"username": "emil", "login_enabled": True})
        self.assertTrue(self.can_log_in("emil", password))

    def test_a_deleted_user_is_out_at_once(self):
        password = self.new_user("fred", 4304)
        token = self.node.rpc(user="fred", password=password).user_login()["token"]
        self.ok("user_delete", {"username": "fred"})
        self.assertFalse(self.can_log_in("fred", password))
        self.new_user("fred", 4304, password="another one")
        self.assertFalse(self.can_log_in("fred", password))
        self.assertEqual(self.node.http("POST", "/rest", "{}", {"Authorization": "Bearer " + token}, login=None)[0], 401)

    def test_empty_and_star_never_log_in(self):
        for number, stored in ((4305, ""), (4306, "*")):
            name = f"locked{number}"
            self.new_user(name, number, password=stored)
            for attempt in ("", "*", "x"):
                self.assertFalse(self.can_log_in(name, attempt))
            self.ok("user_passwd", {"username": name, "password": "Now-I-can"})
            self.assertTrue(self.can_log_in(name, "Now-I-can"))
            self.ok("user_passwd", {"username": name, "password": stored})
            self.assertFalse(self.can_log_in(name, "Now-I-can"))
            self.assertFalse(self.can_log_in(name, stored))

    def test_passwords_given_encoded(self):
        # crypt(3) of "sesame"
        for number, encoded in ((4307, "$6$saltsalt$"), (4308, "$5$saltsalt$")):
            self.new_user(f"encoded{number}", number, password=crypt.crypt("sesame", encoded), encode_passwd=False)
            self.assertTrue(self.can_log_in(f"encoded{number}", "sesame"))

    def test_a_group_gained_or_lost_counts_at_once(self):
        password = self.new_user("gina", 4309)
        self.fails("Forbidden", "user_list", user="gina", password=password)
        self.ok("user_modify", {"username": "gina", "additional_groups": ["exaadm"]})
        self.ok("user_list", user="gina", password=password)
        self.ok("user_modify", {"username": "gina", "additional_groups": []})
        self.fails("Forbidden", "user_list", user="gina", password=password)


class Settings(WithNode):
    def test_settings_are_read_and_changed(self):
        self.assertEqual(self.ok("settings_list", {"sections": {"Global": ["NameServers", "XMLRPCPort"]}}), {"Global": {"NameServers": "", "XMLRPCPort": "20003"}})
        self.ok("general_settings", {"changes": {"Global": {"NameServers": "4.4.4.4", "SearchDomains": "power.inet"}}})
        self.assertEqual(self.ok("settings_list", {"sections": {"Global": ["NameServers", "SearchDomains"]}})["Global"], {"NameServers": "4.4.4.4", "SearchDomains": "power.inet"})
        self.assertIn("NameServers = 4.4.4.4", self.node.exaconf())

    def test_whole_sections_and_all(self):
        everything = self.ok("settings_list")
        self.assertIn("Node : 11", everything)
        self.assertEqual(self.ok("settings_list", {"sections": {"SSL": []}})["SSL"], everything["SSL"])
        self.assertEqual(everything["SSL"]["CertVerify"], "none")

    def test_secrets_are_not_shown(self):
        text = repr(self.ok("settings_list"))
        for key in ("AuthenticationToken", "Passwd", "SyncKey", "ReadPasswd", "WritePasswd"):
            secret = re.search(rf"^ *{key} = (\S+)$", self.node.exaconf(), re.M).group(1)
            self.assertNotIn(secret, text)

    def test_what_is_not_to_be_changed(self):
        before = self.node.exaconf()
        for changes in ({"Global": {"Revision": "99"}}, {"Global": {"AuthenticationToken": "mine"}}, {"Users": {"admin": "x"}}, {"Global": {"XMLRPCPort": "many"}},
                        {"Global": {"XMLRPCPort": 70000}}, {"Nowhere": {"a": "b"}}, {"Global": "text"}):
            self.assertIn("changes", self.fails("BadParameter", "general_settings", {"changes": changes}))
        self.fails("NotFound", "settings_list", {"sections": {"Nowhere": []}})
        self.assertEqual(self.node.exaconf(), before)


class NodesDatabasesFiles(WithNode):
    def test_the_node_as_it_is(self):
        nodes = self.ok("node_list")
        self.assertEqual(list(nodes), ["11"])
        self.assertEqual((nodes["11"]["private_ip"], nodes["11"]["name"]), (self.node.address, "n11"))
        state = self.ok("node_state")
        self.assertEqual(state["11"], "online")
        booted = next(int(line.split()[1]) for line in open("/proc/stat") if line.startswith("btime"))
        told = datetime.datetime.strptime(state["booted"]["11"], "%a %b %d %H:%M:%S %Y")
        self.assertLess(abs(told.timestamp() - booted), 3)
        info = self.ok("node_info", {"nid": 11})
        self.assertEqual((info["cores"], info["kernel"]), (len(os.sched_getaffinity(0)), platform.release()))
        total = next(int(line.split()[1]) * 1024 for line in open("/proc/meminfo") if line.startswith("MemTotal"))
        self.assertEqual(int(info["memory"]["total"]), total)
        self.assertEqual(len(info["load"]), 3)
        self.assertIn("99", self.fails("NotFound", "node_info", {"nid": 99}))
        self.assertEqual(self.ok("conn_get_remote_nid"), 11)

    def test_what_exaconf_has_of_databases_and_file_services(self):
        self.assertEqual(self.ok("db_list"), [])
        self.assertEqual(self.ok("bucketfs_list"), ["bfsdefault"])
        info = self.ok("bucketfs_info", {"bucketfs_name": "bfsdefault"})
        self.assertEqual((info["name"], info["https_port"], info["sync_period"]), ("bfsdefault", 2581, "30000"))
        self.assertIn(info["buckets"]["default"]["read_passwd"], self.node.exaconf())
        self.assertIn("'nofs'", self.fails("NotFound", "bucketfs_info", {"bucketfs_name": "nofs"}))


class Logs(WithNode):
    def collect(self, **params):
        return self.ok("log_collect", {"services": ["ConfD"], **params})

    def test_events_of_confd_with_filters(self):
        self.fails("NotFound", "user_info", {"username": "nobody-of-that-name"})
        events = eventually(lambda: [event for event in self.collect() if "nobody-of-that-name" in event["text"]], what="the warning in the log")
        self.assertEqual((events[0]["service"], events[0]["node"], events[0]["level"]), ("ConfD", 11, "WARN"))
        levels = {event["level"] for event in self.collect(error_level="WARN")}
        self.assertIn("WARN", levels)
        self.assertLessEqual(levels, {"WARN", "ERR"})
        self.assertIn("INFO", {event["level"] for event in self.collect()})
        times = [event["time"] for event in self.collect()]
        self.assertEqual(times, sorted(times))

    def test_a_time_span(self):
        def local(seconds):
            return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + seconds))
        self.assertEqual(self.collect(start_time="2019-01-04 13:13:00", stop_time="2019-01-04 13:15:00"), [])
        self.assertEqual(self.collect(start_time="2019-01-04 13:13:00", end_time="2019-01-04 13:15:00"), [])
        self.assertGreater(len(self.collect(start_time=local(-3600), stop_time=local(3600))), 0)
        self.assertEqual(self.collect(stop_time=local(-3600)), [])
        self.assertIn("stop_time", self.fails("BadParameter", "log_collect", {"services": ["ConfD"], "start_time": local(0), "stop_time": local(-60)}))
        self.assertIn("start_time", self.fails("BadParameter", "log_collect", {"services": ["ConfD"], "start_time": "yesterday"}))
        self.assertIn("error_level", self.fails("BadParameter", "log_collect", {"services": ["ConfD"], "error_level": "LOUD"}))

    def test_a_tag_goes_on_where_the_last_call_ended(self):
        first = self.collect(tag="reader")
        self.assertGreater(len(first), 0)
        self.fails("NotFound", "user_info", {"username": "after-the-first-call"})
        # A line may be written a moment after the answer.
        second = []
        eventually(lambda: second.extend(self.collect(tag="reader")) or any("after-the-first-call" in event["text"] for event in second), what="the new event")
        seen = {(event["time"], event["text"]) for event in first}
        self.assertFalse([event for event in second if (event["time"], event["text"]) in seen])

    def test_callers_who_share_a_tag_never_get_an_event_twice(self):
        for _ in range(200):
            self.ok("db_list")
        for round_ in range(15):
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda _: self.collect(tag=f"shared{round_}"), range(4)))
            events = [(event["time"], event["text"]) for answer in answers for event in answer]
            self.assertGreater(len(events), 150)
            self.assertEqual(len(events), len(set(events)))

    def test_services_that_have_no_log(self):
        self.assertIn("Cored9", self.fails("NotFound", "log_collect", {"services": ["Cored9"]}))
        self.assertIn("99", self.fails("NotFound", "log_collect", {"services": ["ConfD"], "nodes": [99]}))


class Records(WithNode):
    settings = "scheduler:\n  unfetched_seconds: 1\nlogin:\n  first_delay_ms: 0\n"

    def files(self):
        """job id -> folder of its file."""
        return {path.stem: path.parent.name for path in self.node.path("spool/jobs").glob("*/*.yaml")}

    def started(self, name, params=None, **options):
        rpc = self.node.rpc()
        job_id = rpc.job_start(name, {"params": params or {}, **options})
        self.assertIs(rpc.job_wait(job_id, {"timeout": 20}), True)
        return job_id

    def test_ids_count_up(self):
        numbers = [int(self.node.job("db_list")["result_jobid"].split(".")[1]) for _ in range(5)]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + 5)))

    def test_the_file_of_a_job_has_every_item_and_goes_to_the_archive(self):
        job_id = self.started("group_create", {"groupname": "filed", "groupid": 5000, "colour": "red"})
        path = eventually(lambda: next(iter(self.node.path("spool/jobs").glob(f"*/{job_id}.yaml")), None), what="the job's file")
        record = eventually(lambda: next((r for p in self.node.path("spool/jobs").glob(f"*/{job_id}.yaml") for r in [yaml.safe_load(p.read_text())] if r and r.get("ended")), None),
                            what="the end of the job in its file")
        self.assertEqual(oct(path.stat().st_mode & 0o777) if path.exists() else "0o600", "0o600")
        self.assertEqual((record["job_id"], record["job"], record["intent"], record["user"], record["scheduling_mode"]), (job_id, "group_create", "modify", "admin", "locked"))
        self.assertEqual(record["params"], {"groupname": "filed", "groupid": 5000, "colour": "red"})
        self.assertEqual((record["request"]["path"], record["request"]["remote"]), ("/", "127.0.0.1"))
        self.assertIn("decision", record["scheduling"])
        self.assertEqual(list(record["times"]), ["submitted", "scheduled", "executed", "finished", "committed"])
        self.assertEqual(list(record["times"].values()), sorted(record["times"].values()))
        self.assertEqual((record["stage"], record["revision"], record["base_revision"]), ("committed", record["result"]["result_revision"], record["revision"] - 1))
        self.assertIn({"section": "Groups/filed", "key": "ID", "before": None, "after": "5000"}, record["changes"])
        self.assertTrue(any("colour" in warning for warning in record["warnings"]))
        self.node.rpc().job_result(job_id)
        eventually(lambda: self.files().get(job_id) in (None, "archive"), what="a job whose result was fetched in the archive")

    def test_a_job_nobody_asks_for_goes_to_the_archive_too(self):
        job_id = self.node.rpc().job_start("group_create", {"params": {"groupname": "orphan", "groupid": 5001}})
        eventually(lambda: self.files().get(job_id) == "archive", seconds=40, what="the orphan in the archive")
        self.assertEqual(self.node.rpc().job_result(job_id)["result_name"], "OK")

    def test_commands_are_on_record_with_their_results(self):
        info = self.node.rpc().job_info(self.node.job("node_info", {"nid": 11})["result_jobid"])
        command = info["commands"][0]
        self.assertEqual((command["command"], command["node"], command["result_code"]), ("node.report", 11, 0))
        self.assertLessEqual(command["started"], command["ended"])
        self.assertIn("cores", command["output"])

    def test_a_volatile_job_leaves_no_record(self):
        result = self.node.job("db_list", volatile=True)
        self.assertEqual(result["result_name"], "OK")
        kept = self.node.job("db_list")["result_jobid"]
        self.node.stop()
        self.node.start()
        self.assertEqual(self.node.rpc().job_info(result["result_jobid"])["result_name"], "UnknownJobId")
        self.assertEqual(self.node.rpc().job_info(kept)["job"], "db_list")
        self.assertIn("volatile", self.fails("BadParameter", "group_create", {"groupname": "vapour", "groupid": 5002}, volatile=True))
        self.assertNotIn("vapour", self.node.exaconf())

    def test_a_dry_run_changes_nothing_and_shows_what_would_change(self):
        before, stat = self.node.exaconf(), self.node.path("etc/EXAConf").stat()
        output = self.ok("group_create", {"groupname": "planned", "groupid": 5003}, dry_run=True)
        self.assertIs(output["dry_run"], True)
        self.assertIn({"section": "Groups/planned", "key": "ID", "before": None, "after": "5003"}, output["changes"])
        self.assertIn("account:group planned", output["locks"])
        self.fails("NotFound", "group_delete", {"groupname": "planned"}, dry_run=True)
        self.ok("user_passwd", {"username": "admin", "password": "not this one"}, dry_run=True)
        after = self.node.path("etc/EXAConf").stat()
        self.assertEqual((self.node.exaconf(), after.st_ino, after.st_mtime_ns), (before, stat.st_ino, stat.st_mtime_ns))
        self.ok("db_list", dry_run=True)

    def test_every_change_is_a_revision_and_the_last_ten_are_kept(self):
        first = self.node.revision()
        revisions = [self.node.job("group_create", {"groupname": f"step{i}", "groupid": 5100 + i})["result_revision"] for i in range(12)]
        self.assertEqual(revisions, list(range(first + 1, first + 13)))
        self.assertEqual(self.node.revision(), revisions[-1])
        history = [int(re.search(r"Revision = (\d+)", self.node.read(f"etc/EXAConf.{i}")).group(1)) for i in range(10)]
        self.assertEqual(history, [revisions[-1] - 1 - i for i in range(10)])
        self.assertFalse(self.node.path("etc/EXAConf.10").exists())
        self.assertEqual({path.stat().st_mode & 0o777 for path in self.node.path("etc").glob("EXAConf*")}, {0o600})

    def test_a_modify_job_that_changes_nothing_has_no_revision(self):
        before = self.node.exaconf()
        result = self.node.job("user_modify", {"username": "admin", "login_enabled": True})
        self.assertEqual(result["result_name"], "OK")
        self.assertNotIn("result_revision", result)
        self.assertEqual(self.node.exaconf(), before)

    def test_the_history_and_its_filters(self):
        rpc = self.node.rpc()
        self.node.job("user_info", {"username": "missing"})
        self.new_user("hugo", 5200, password="Hugo-5200")
        hugo = self.node.rpc(user="hugo", password="Hugo-5200")
        mine = hugo.job_exec("db_list")["result_jobid"]
        everything = rpc.job_history()
        numbers = [int(row["job_id"].split(".")[1]) for row in everything]
        self.assertEqual(numbers, sorted(numbers, reverse=True))
        self.assertEqual({row["result_name"] for row in rpc.job_history({"state": "failed"})} & {"OK"}, set())
        self.assertEqual({row["job"] for row in rpc.job_history({"job": "user_create"})}, {"user_create"})
        self.assertEqual({row["stage"] for row in rpc.job_history({"state": "committed"})}, {"committed"})
        self.assertEqual([row["job_id"] for row in rpc.job_history({"user": "hugo"})], [mine])
        self.assertEqual([row["job_id"] for row in hugo.job_history()], [mine])
        self.assertEqual(hugo.job_history({"user": "admin"}), [])
        self.assertEqual(len(rpc.job_history({"limit": 2})), 2)
        self.assertEqual(rpc.job_history({"until": "2019-01-01"}), [])
        self.assertEqual(rpc.job_history({"since": "2100-01-01 00:00:00"}), [])
        self.assertEqual(rpc.job_history({"since": "2019-01-01T00:00:00Z", "limit": 3}), everything[:3])
        for wrong in ({"state": "lost"}, {"since": "noon"}, {"limit": 0}, {"colour": "red"}):
            with self.assertRaises(xmlrpc.client.Fault):
                rpc.job_history(wrong)
        self.assertEqual(hugo.job_result(everything[-1]["job_id"])["result_name"], "Forbidden")
        self.assertEqual(hugo.job_info(everything[-1]["job_id"])["result_name"], "Forbidden")
        self.assertEqual(hugo.job_stop(everything[-1]["job_id"])["result_name"], "Forbidden")

    def test_a_job_that_has_ended_can_not_be_stopped(self):
        job_id = self.started("db_list")
        self.assertEqual(self.node.rpc().job_stop(job_id)["result_name"], "WrongState")
        self.assertEqual(self.node.rpc().job_stop("11.99999")["result_name"], "UnknownJobId")

    def test_records_outlive_a_restart(self):
        job_id = self.started("group_create", {"groupname": "lasting", "groupid": 5004})
        before = self.node.rpc().job_info(job_id)
        highest = int(self.node.job("db_list")["result_jobid"].split(".")[1])
        self.node.stop()
        self.node.start()
        self.assertEqual(self.node.rpc().job_info(job_id), before)
        self.assertEqual(self.node.rpc().job_result(job_id)["result_revision"], before["revision"])
        self.assertGreater(int(self.node.job("db_list")["result_jobid"].split(".")[1]), highest)

    def test_no_secret_is_in_a_log_or_a_job_file(self):
        secrets = ["Cl34r-text-1", "Cl34r-text-2", "Cl34r-text-3", "Cl34r-text-4", "Cl34r-text-5"]
        self.new_user("ida", 5201, password=secrets[0])
        self.started("user_passwd", {"username": "ida", "password": secrets[1]})
        self.assertFalse(self.can_log_in("ida", secrets[2]))
        self.node.job("user_passwd", {"username": "nobody", "password": secrets[3]})
        self.node.job("db_list", {"s3_secret_key": secrets[4], "url": f"https://me:{secrets[4]}@there/", "password": {"deep": secrets[4]}})
        token = self.node.rpc().user_login()["token"]
        self.node.http("POST", "/rest", '{"method": "user_state"}', {"Authorization": "Bearer " + token}, login=None)
        self.node.http("POST", "/rest?password=" + secrets[4], '{"method": "job_list"}')
        hashes = re.findall(r"Passwd = (\$\S+)", self.node.exaconf())
        self.assertGreater(len(hashes), 1)
        self.node.stop()
        self.node.start()
        read = 0
        for path in pathlib.Path(self.node.root).rglob("*"):
            if path.is_file() and path.parts[-2] != "storage":
                text = path.read_bytes()
                read += 1
                for secret in [*secrets, self.node.password, token, self.node.basic().split()[1]]:
                    self.assertNotIn(secret.encode(), text, path)
                if path.parent.name != "etc":
                    for secret in hashes:
                        self.assertNotIn(secret.encode(), text, path)
        self.assertGreater(read, 10)
        self.assertNotIn(secrets[0], self.node.output())


class LongJobs(WithNode):
    """log_collect of a service whose log is a FIFO takes until the test writes to it: a job that is as long as the test wants."""
    settings = "scheduler:\n  running_read_jobs: 1\n"

    def setUp(self):
        self.pipe = self.node.path("logs/logd/Slow.log")
        os.mkfifo(self.pipe, 0o600)
        self.addCleanup(self.pipe.unlink)
        self.rpc = self.node.rpc()
        self.job_id = self.rpc.job_start("log_collect", {"params": {"services": ["Slow"]}})
        eventually(lambda: self.rpc.job_info(self.job_id)["stage"] == "scheduled", what="the job running")

    def let_it_end(self, text="2026-11-22T01:02:03.123456Z INFO   a slow line\n"):
        with open(self.pipe, "w") as pipe:
            pipe.write(text)

    def test_a_job_that_has_not_finished(self):
        self.assertIs(self.rpc.job_finished(self.job_id), False)
        before = time.monotonic()
        self.assertIs(self.rpc.job_wait(self.job_id, {"timeout": 0.3}), False)
        self.assertGreaterEqual(time.monotonic() - before, 0.29)
        self.assertIs(self.rpc.job_wait(self.job_id, {"timeout": 0}), False)
        unfinished = self.rpc.job_result(self.job_id)
        self.assertEqual((unfinished["result_code"], unfinished["result_name"], unfinished["result_jobid"]), (5, "NotFinished", self.job_id))
        self.assertEqual([row["job_id"] for row in self.rpc.job_history({"state": "running"})], [self.job_id])
        self.let_it_end()
        self.assertIs(self.rpc.job_wait(self.job_id, {"timeout": 20}), True)
        self.assertEqual(self.rpc.job_result(self.job_id)["result_code"], 0)

    def test_modify_jobs_and_waits_answer_beside_it(self):
        self.ok("group_create", {"groupname": "meanwhile", "groupid": 6000})
        self.assertEqual(self.node.get("/is_master")[0], 200)
        self.let_it_end()
        self.assertIs(self.rpc.job_wait(self.job_id, {"timeout": 20}), True)

    def test_a_queued_job_says_why_it_waits_and_can_be_stopped(self):
        queued = self.rpc.job_start("db_list")
        info = self.rpc.job_info(queued)
        self.assertEqual(info["stage"], "submitted")
        self.assertIn("1", info["scheduling"]["decision"])
        eventually(lambda: any(path.parent.name == "queue" for path in self.node.path("spool/jobs").glob(f"*/{queued}.yaml")), what="the file in queue/")
        eventually(lambda: any(path.parent.name == "run" for path in self.node.path("spool/jobs").glob(f"*/{self.job_id}.yaml")), what="the file in run/")
        self.assertEqual(self.rpc.job_stop(queued)["result_name"], "OK")
        self.assertIs(self.rpc.job_wait(queued, {"timeout": 20}), True)
        stopped = self.rpc.job_result(queued)
        self.assertEqual(stopped["result_name"], "Stopped")
        self.assertTrue(any("admin" in warning for warning in self.rpc.job_info(queued)["warnings"]))
        self.let_it_end()
        self.assertIs(self.rpc.job_wait(self.job_id, {"timeout": 20}), True)

    def test_a_running_job_is_asked_to_stop(self):
        older = self.node.path("logs/logd/Slow.1.log")
        older.write_text("")
        self.addCleanup(older.unlink)
        self.let_it_end("2100-01-01T00:00:00.000000Z INFO   of a later time\n")
        self.rpc.job_wait(self.job_id, {"timeout": 20})
        job_id = self.rpc.job_start("log_collect", {"params": {"services": ["Slow"], "default_interval": "100w"}})
        eventually(lambda: self.rpc.job_info(job_id)["stage"] == "scheduled", what="the job running")
        self.assertEqual(self.rpc.job_stop(job_id)["result_name"], "OK")
        self.let_it_end("2100-01-01T00:00:00.000000Z INFO   of a later time\n")
        self.assertIs(self.rpc.job_wait(job_id, {"timeout": 20}), True)
        self.assertEqual(self.rpc.job_result(job_id)["result_name"], "Stopped")

    def test_many_waiting_modify_jobs_keep_their_revisions(self):
        ids = [self.rpc.job_start("user_passwd", {"params": {"username": "exadefusr", "password": f"Wait-{i}"}}) for i in range(20)]
        self.assertIs(self.rpc.job_wait(ids[-1], {"timeout": 30}), True)
        results = []
        for job_id in ids:
            self.assertIs(self.rpc.job_wait(job_id, {"timeout": 30}), True)
            results.append(self.rpc.job_result(job_id))
        self.assertEqual({result["result_name"] for result in results}, {"OK"})
        revisions = [result["result_revision"] for result in results]
        self.assertEqual(revisions, sorted(set(revisions)))
        self.let_it_end()
        self.assertIs(self.rpc.job_wait(self.job_id, {"timeout": 20}), True)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
