"""Our XML-RPC codec against Python's xmlrpc.client, on seeded random calls, answers and damaged calls.

Run by ctest with the path of xmlrpc_probe. CONFD_ORACLE_VALUES and CONFD_ORACLE_SEED change number and seed.
"""
import json
import os
import random
import subprocess
import sys
import unittest
import xmlrpc.client
from xml.parsers.expat import ExpatError

PROBE = sys.argv.pop(1)
VALUES = int(os.environ.get("CONFD_ORACLE_VALUES", "5000"))
SEED = int(os.environ.get("CONFD_ORACLE_SEED", "20261122"))

TEXTS = ["", " ", "  a  ", "\n", "\t", "a\nb", "<&>\"'", "]]>", "&amp;", "<!-- x -->", "grün", "日本語", "😀", "\u2028", "x" * 500, "0", "true",
         "{< -}", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "db_name", "100 GiB"]


def random_value(rng, depth=0):
    kind = rng.random()
    if depth < 4 and kind < 0.4:
        size = rng.randint(0, 4)
        if rng.random() < 0.5:
            return [random_value(rng, depth + 1) for _ in range(size)]
        return {rng.choice(TEXTS) + str(i): random_value(rng, depth + 1) for i in range(size)}
    if kind < 0.75:
        return rng.choice(TEXTS)
    if kind < 0.85:
        return rng.choice([0, 1, -1, 2**31 - 1, -2**31, rng.randint(-10**6, 10**6)])
    if kind < 0.95:
        return rng.choice([0.0, -1.5, 1e300, 1e-300, rng.random()])
    return rng.choice([True, False, None])


class Oracle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rng = random.Random(SEED)
        cls.values = [random_value(cls.rng) for _ in range(VALUES)]

    def ask(self, op, values):
        text = "".join(json.dumps({"op": op, "value": value}) + "\n" for value in values)
        run = subprocess.run([PROBE], input=text.encode(), stdout=subprocess.PIPE, check=True, timeout=240)
        return [json.loads(line) for line in run.stdout.decode().split("\n")[:-1]]

    def test_calls_of_python_arrive(self):
        calls = [xmlrpc.client.dumps((value, "x"), "job_exec", allow_none=True) for value in self.values]
        for value, call, got in zip(self.values, calls, self.ask("parse", calls)):
            self.assertEqual(got, {"method": "job_exec", "params": [value, "x"]}, f"seed {SEED}: {call}")

    def test_answers_are_read_by_python(self):
        values = self.values + [2**31, -2**31 - 1, 2**63 - 1, -2**63, "a\r\nb\rc"]
        for value, xml in zip(values, self.ask("render", values)):
            (got,), method = xmlrpc.client.loads(xml)
            self.assertIsNone(method)
            self.assertEqual(got, value, f"seed {SEED}: {xml}")
            self.assertIs(type(got), type(value))

    def test_damaged_calls(self):
        """What is no XML for Python is none for us; what we take, Python takes with the same values."""
        calls = []
        for value in self.values:
            call = xmlrpc.client.dumps((value,), "m", allow_none=True)
            for _ in range(self.rng.randint(1, 2)):
                at = self.rng.randint(0, len(call))
                call = call[:at] + self.rng.choice(["", "<", ">", "&", "&lt;", "&#65;", "&x;", "<!-- c -->", "<![CDATA[y]]>", "</value>", "<value>",
                                                    "<i4>3</i4>", " ", "\x01", "<?pi x?>", "'", "<!DOCTYPE a>"]) + call[at + self.rng.randint(0, 2):]
            calls.append(call)
        taken = 0
        for call, got in zip(calls, self.ask("parse", calls)):
            if "error" in got:
                continue
            taken += 1
            try:
                params, method = xmlrpc.client.loads(call)
            except (ExpatError, xmlrpc.client.Error, ValueError, TypeError, IndexError, AttributeError) as error:
                self.fail(f"seed {SEED}: Python refuses ({error!r}) what we take: {call!r} -> {got}")
            self.assertEqual((got["method"], got["params"]), ((method or "").strip(), list(params)), f"seed {SEED}: {call!r}")
        self.assertGreater(taken, VALUES // 50)


if __name__ == "__main__":
    unittest.main()
