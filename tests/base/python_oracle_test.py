"""Our YAML, JSON and Python-literal codecs against the real ones, on seeded random values.

Run by ctest with the path of codec_probe; needs Debian's python3-yaml.
CONFD_ORACLE_VALUES and CONFD_ORACLE_SEED change number and seed.
"""
import json
import math
import os
import pprint
import random
import subprocess
import sys
import unittest

import yaml

PROBE = sys.argv.pop(1)
VALUES = int(os.environ.get("CONFD_ORACLE_VALUES", "20000"))
SEED = int(os.environ.get("CONFD_ORACLE_SEED", "20261122"))

NASTY = [
    "", " ", "  ", "\n", "\t", "a", "yes", "No", "ON", "off", "y", "n", "true", "False", "null", "Null", "~", "none", "None",
    "=", "<<", "<", "-", "--", "---", "...", "--- a", "... b", "?", "? a", ":", ": a", "a:", "a: b", "a:b", "a #b", "a#b",
    "#a", "'", '"', "''", "it's", 'say "hi"', "both ' and \"", "\\", "a\\b", "%a", "@a", "`a", "&a", "*", "*a", "!a", "!", "|", ">",
    "[", "]", "{", "}", "[]", "{}", "[a]", "{a: b}", ",", "a, b", "0", "1", "-1", "+1", "007", "08", "0o17", "0x1F", "0b11",
    "1_000", "1.5", "1e5", "1.5e+10", "1.5e10", ".5", ".", "5.", "-.5", ".inf", "-.INF", ".nan", "1:30", "1:30.5", "10:99", "-1:30",
    "1:2:3", "190:20:30", "0:0", "0.0", "1.2.3", "8.29.12", "2025-12-31", "2025-1-1", "2025-04-17 14:56", "2025-04-17 14:56:01",
    "2025-04-17T14:56:01.5Z", "2025-04-17 14:56:01 +02:00", "202504171456", "10 GiB", "EXASolution-2025:/opt/exasol/udf/*", "BucketFS : bfs",
    "TEST #1--Tag: 5", "{< -}", "{< /path/file}", "Xy9=", "a==", " lead", "trail ", "a  b", "a\nb", "a\n\nb", "a \nb", "a\n b", "a\n",
    "\na", "a\r\nb", "a\rb", "tab\there", "bell\x07", "nul\x00", "del\x7f", "nel\x85x", "ls\u2028x", "ps\u2029x", "bom\ufeffx", "grün",
    "\u00a0", "日本語", "😀", "\U0010ffff", "\ufffd", "\ufffe", "e\u0301", "\u200b", "\xad", "\U000e0001", "x" * 79, "x" * 81, "x" * 122, "x" * 123,
    "x" * 128, "word " * 30, ("word " * 30).strip(), "two  blanks " * 12, "'quoted' " * 15, "é " * 60, "a\nb " * 30, "\\ \" " * 30,
    "long: " + "y" * 100 + " z " + "y" * 40, "-x=1", "+Cr/x", "https://b.s3.eu-central-1.amazonaws.com/", "DOM\\USER", "a,b", "0_", "0x_", "0b_", "_1",
    "1__0", "+.inf", "+.nan", "-", "- a", "-a", "?a", ":a", "::", "a::b", "a :b", "a ?b", "a?b", "key with spaces",
]


def random_text(rng):
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(NASTY)
    if kind < 0.6:
        return rng.choice(NASTY) + rng.choice(["", " ", "\n"]) + rng.choice(NASTY)
    if kind < 0.7:
        return " ".join("".join(rng.choices("abcdefghij", k=rng.randint(1, 14))) for _ in range(rng.randint(1, 40)))
    if kind < 0.8:
        return "".join(rng.choices(" \n'\"\\:#-ab\tü,[]{}", k=rng.randint(0, 120)))
    if kind < 0.9:
        return "".join(rng.choices("0123456789.:_-+exXabfoTZ ", k=rng.randint(1, 12)))
    return "".join(chr(rng.choice([rng.randint(0x20, 0x7E), rng.randint(0, 0xFF), rng.randint(0x100, 0xD7FF),
                                   rng.randint(0xE000, 0x10FFFF)])) for _ in range(rng.randint(0, 60)))


def random_number(rng):
    if rng.random() < 0.5:
        return rng.choice([0, 1, -1, 255, 2**31, -2**31, 2**63 - 1, -2**63, rng.randint(-10**6, 10**6)])
    return rng.choice([0.0, -0.0, 0.1, 1e16, 1e15, 123456789012345680.0, 1e-4, 1e-5, 1.5e300, 5e-324, 1.7976931348623157e308,
                       rng.random(), rng.uniform(-1e9, 1e9), rng.random() * 10.0**rng.randint(-300, 300)])


def random_value(rng, depth=0):
    kind = rng.random()
    if depth < 5 and kind < 0.5 - 0.08 * depth:
        size = rng.choice([0, 1, 1, 2, 3, 6])
        if rng.random() < 0.5:
            return [random_value(rng, depth + 1) for _ in range(size)]
        return {random_text(rng): random_value(rng, depth + 1) for _ in range(size)}
    if kind < 0.85:
        return random_text(rng)
    if kind < 0.95:
        return random_number(rng)
    return rng.choice([None, True, False])


class SafeLoader(yaml.SafeLoader):
    """safe_load with what base/yaml.h promises otherwise: timestamps stay strings, keys are strings as written."""

    def construct_mapping(self, node, deep=False):
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


SafeLoader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
SafeLoader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)


class Oracle(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        rng = random.Random(SEED)
        cls.values = [random_value(rng) for _ in range(VALUES)] + NASTY + [{k: k for k in NASTY}, [[[]], [[1, [2]], {"a": [[]]}]]]
        cls.rng = rng

    def ask(self, requests):
        text = "".join(json.dumps({"op": op, "value": value}) + "\n" for op, value in requests)
        run = subprocess.run([PROBE], input=text.encode(), stdout=subprocess.PIPE, check=True, timeout=240)
        answers = [json.loads(line) for line in run.stdout.decode().split("\n")[:-1]]
        self.assertEqual(len(answers), len(requests))
        return answers

    def compare(self, op, expected):
        wrong = 0
        for value, got in zip(self.values, self.ask([(op, value) for value in self.values])):
            want = expected(value)
            if got != want:
                wrong += 1
                if wrong == 1:
                    first = f"seed {SEED}, {op} of {value!r}\n  ours:   {got!r}\n  Python: {want!r}"
        self.assertEqual(wrong, 0, first if wrong else "")

    def test_yaml_dump(self):
        self.compare("dump_yaml", lambda v: yaml.dump(v, Dumper=NoAliases, default_flow_style=False))

    def test_yaml_dump_in_order(self):
        self.compare("dump_yaml_in_order", lambda v: yaml.dump(v, Dumper=NoAliases, default_flow_style=False, sort_keys=False))

    def test_repr(self):
        self.compare("repr", repr)

    def test_pformat(self):
        self.compare("pformat", lambda v: pprint.pformat(v, indent=4))

    def test_json_round_trip(self):
        self.compare("json", lambda v: v)

    def test_json_indented(self):
        self.compare("json_indented", lambda v: json.dumps(v, indent=2, ensure_ascii=False))

    def test_printable_characters(self):
        text = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)
        self.assertEqual(self.ask([("repr", text)])[0], repr(text))

    def test_yaml_load_of_dumps(self):
        texts, values = [], []
        for value in self.values[::4]:
            for options in ({"default_flow_style": False}, {"default_flow_style": True}, {},
                            {"default_flow_style": False, "allow_unicode": True, "width": 40},
                            {"default_style": "|"}, {"default_style": ">", "width": 20}):
                if self.rng.random() < 0.4:
                    texts.append(yaml.dump(value, Dumper=NoAliases, **options))
        self.check_loads(texts)

    def test_yaml_load_of_damaged_dumps(self):
        texts = []
        for value in self.values[::2]:
            text = yaml.dump(value, Dumper=NoAliases, default_flow_style=self.rng.choice([True, False, None]), allow_unicode=True)
            for _ in range(self.rng.randint(1, 3)):
                at = self.rng.randint(0, len(text))
                text = text[:at] + self.rng.choice(["", " ", "\n", "- ", ": ", ":", ",", "[", "]", "{", "}", "'", '"', "#", "a", "1", "\t",
                                                    "&a ", "*a", "? ", "|", "!!str "]) + text[at + self.rng.randint(0, 1):]
            texts.append(text)
        self.check_loads(texts)

    def test_yaml_load_of_typed_words(self):
        self.check_loads(["".join(self.rng.choices("0123456789.:_-+exXbZT ", k=self.rng.randint(1, 9))).strip() for _ in range(VALUES)])

    # Ours takes '?' inside plain text of flow collections, \ud83d\ude00 pairs, and refuses lone directives and unusual
    # tags; everything else must be taken or refused as PyYAML does.
    def check_loads(self, texts):
        answers = self.ask([("parse_yaml", text) for text in texts])
        problems = []
        taken = 0
        for text, got in zip(texts, answers):
            try:
                want = yaml.load(text, Loader=SafeLoader)
                json.dumps(want)
            except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError, OverflowError) as error:
                if "value" in got and "?" not in text and "\\u" not in text and isinstance(error, yaml.YAMLError):
                    problems.append(f"PyYAML refuses {text!r}: {error}; ours: {got!r}")
                continue
            if "value" not in got:
                if not tolerated_refusal(text, got["error"]):
                    problems.append(f"{text!r}: PyYAML: {want!r}; ours: {got!r}")
                continue
            taken += 1
            if not same(want, got["value"]):
                problems.append(f"{text!r}: PyYAML: {want!r}; ours: {got['value']!r}")
        self.assertGreater(taken, len(texts) // 20)
        self.assertEqual(problems, [], f"seed {SEED}: {len(problems)} of {len(texts)}; first: {problems[:3]}")


def tolerated_refusal(text, error):
    return "directive" in error or ("tag" in error and "!" in text)


class NoAliases(yaml.Dumper):
    def ignore_aliases(self, data):
        return True


def same(a, b):
    """Equal, with types; integers beyond 64 bit come as text, infinities and NaN as null through JSON."""
    if isinstance(a, float):
        return b is None if not math.isfinite(a) else type(b) is float and a == b
    if isinstance(a, int) and not isinstance(a, bool) and not -2**63 <= a < 2**63:
        return isinstance(b, str)
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return a == b


if __name__ == "__main__":
    unittest.main()
