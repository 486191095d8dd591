#!/usr/bin/python3
"""The checks of the fault suite find what they are for: each violation, made by hand, is named."""
import pathlib
import sys
import tempfile
import types
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "end_to_end")]
from checks import check_left, check_revisions, check_terms  # noqa: E402
from load import Call, Chain, next_value  # noqa: E402

USER = "load0"


class Past:
    """Three acknowledged changes, revisions 5 to 7, as a load and a witness saw them."""

    def __init__(self):
        self.chain = Chain(None, USER, 0)
        self.texts, self.history = {4: {"C4": {USER: self.chain.values[-1]}}}, {4: ("C4", 40)}
        for number in (5, 6, 7):
            value = next_value(self.chain.values)
            self.chain.values.append(value)
            self.chain.calls.append(Call(float(number), number + 0.5, 11, value, "ok", revision=number))
            self.texts[number] = {f"C{number}": {USER: value}}
            self.history[number] = (f"C{number}", number * 10)

    def violations(self):
        return check_revisions(types.SimpleNamespace(everything=lambda: [self.chain]), types.SimpleNamespace(history=self.history, texts=self.texts))

    def value(self, number):
        return self.chain.values[number - 3]


class Revisions(unittest.TestCase):
    def expect(self, past, *words):
        found = past.violations()
        for word in words:
            self.assertTrue(any(word in problem for problem in found), (word, found))

    def test_a_good_past_has_none(self):
        self.assertEqual([], Past().violations())

    def test_one_write_for_several_revisions_is_fine(self):
        past = Past()
        del past.texts[6], past.history[6]
        self.assertEqual([], past.violations())

    def test_a_lost_revision(self):
        past = Past()
        past.texts[7] = {"C7": {USER: past.value(6)}}
        self.expect(past, "the last acknowledged value of load0 is not in force")

    def test_a_revision_lost_in_between_and_back(self):
        past = Past()
        past.texts[6] = {"C6": {USER: past.value(5)}}
        self.expect(past, "revision 6 has value number 2 of load0, not one of 3 to 3")

    def test_a_change_that_had_failed(self):
        past = Past()
        past.texts[6] = {"C6": {USER: "another"}}
        self.expect(past, "that no call acknowledged: another")

    def test_two_texts(self):
        past = Past()
        past.texts[6]["OTHER"] = past.texts[6]["C6"]
        self.expect(past, "revision 6 has 2 texts", "and C6 in the store")

    def test_a_text_that_was_never_agreed_on(self):
        past = Past()
        del past.history[6]
        self.expect(past, "revision 6 was on a node and never in the store")

    def test_the_store_out_of_order(self):
        past = Past()
        past.history[6] = ("C6", 80)
        self.expect(past, "not in the order of their numbers")

    def test_acknowledged_twice_or_backwards(self):
        past = Past()
        past.chain.calls[2].revision = 6
        self.expect(past, "revision 6 was acknowledged twice", "by a call that began after 6 was")


class Terms(unittest.TestCase):
    def violations(self, lines, kills=(), day=22):
        with tempfile.TemporaryDirectory() as folder:
            nodes = {}
            for node_id in (11, 12):
                logs = pathlib.Path(folder, str(node_id), "logs/logd")
                logs.mkdir(parents=True)
                (logs / "ConfD.log").write_text("".join(f"2026-11-{day}T10:{line}\n" for at, line in lines if at == node_id))
                nodes[node_id] = types.SimpleNamespace(path=lambda name, node_id=node_id: pathlib.Path(folder, str(node_id), name))
            return check_terms(types.SimpleNamespace(nodes=nodes, began=1795341600), kills)  # 10:00:00 of that day

    def test_one_after_the_other(self):
        self.assertEqual([], self.violations([
            (11, "00:10.000000Z NOTICE node 11 is master now (term 3)"),
            (11, "00:30.000000Z NOTICE node 11 is not master any more (term 3, acted as one until 9500 ms ago)"),
            (12, "00:21.000000Z NOTICE node 12 is master now (term 7)")]))

    def test_a_clock_that_is_days_off_says_the_same(self):
        lines = [(11, "00:10.000000Z NOTICE node 11 is master now (term 3)"), (12, "00:21.000000Z NOTICE node 12 is master now (term 7)")]
        kills = [(11, 1795341620.0)]  # 10:00:20
        self.assertEqual([], self.violations(lines, kills, day=25))
        self.assertEqual(1, len(self.violations(lines, [(11, 1795341622.0)], day=21)))

    def test_two_at_once(self):
        found = self.violations([
            (11, "00:10.000000Z NOTICE node 11 is master now (term 3)"),
            (11, "00:30.000000Z NOTICE node 11 is not master any more (term 3, acted as one until 5000 ms ago)"),
            (12, "00:21.000000Z NOTICE node 12 is master now (term 7)")])
        self.assertEqual(1, len(found), found)
        self.assertIn("node 11 acted as master (term 3)", found[0])

    def test_a_master_nobody_saw_the_end_of(self):
        self.assertEqual(1, len(self.violations([(11, "00:10.000000Z NOTICE node 11 is master now (term 3)"),
                                                 (12, "00:21.000000Z NOTICE node 12 is master now (term 7)")])))

    def test_logs_that_tell_nothing(self):
        self.assertEqual(["the logs tell of no master"], self.violations([(11, "00:10.000000Z NOTICE confd stops")]))

    def test_terms_that_go_back(self):
        found = self.violations([(11, "00:10.000000Z NOTICE node 11 is master now (term 9)"),
                                 (11, "00:11.000000Z NOTICE node 11 is not master any more (term 9, acted as one until 0 ms ago)"),
                                 (12, "00:21.000000Z NOTICE node 12 is master now (term 7)")])
        self.assertIn("term 7 of node 12 came after term 9 of node 11", found[0])


class Left(unittest.TestCase):
    def test_files_and_processes(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("EXAConf", ".EXAConf.17.1", "confd.sock"):
                pathlib.Path(folder, name).touch()
            found = check_left(types.SimpleNamespace(nodes={11: types.SimpleNamespace(root=folder)}), ["17 1 S confd"])
        self.assertEqual({"left on node 11: .EXAConf.17.1", "left on node 11: confd.sock", "left running: 17 1 S confd"}, set(found))


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
