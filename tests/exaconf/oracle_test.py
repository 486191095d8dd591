#!/usr/bin/python3
"""Compares the EXAConf reader and writer with Debian's python3-configobj on generated files.

    oracle_test.py PROBE [--files N] [--seed S]

What must agree for every file: accepted or rejected (with the class of the error and the line of the
first), the canonical text, the checksum. What we do differently on purpose is normalised here and nowhere
else:

* trailing empty lines: the reference loses one at each write, we drop them all;
* text that ConfigObj writes in a form that it reads back differently (quotes dropped around a name that
  needs them, '#' in a triple-quoted value, ...): we keep the quotes. Then our text, read by ConfigObj, must
  give the content of the original;
* a value that ConfigObj reads and cannot write (both kinds of triple quotes): we reject it;
* text outside ASCII, which the reference reads and cannot write: ConfigObj is told encoding = utf-8 before it
  writes.
"""
import argparse
import hashlib
import io
import os
import random
import subprocess
import sys
import tempfile

import configobj

HERE = os.path.dirname(os.path.abspath(__file__))
OPTIONS = dict(list_values=False, write_empty_values=True, indent_type='    ')


SCRATCH = tempfile.NamedTemporaryFile(prefix='exaconf-oracle-')


def read(data):
    """("ok", ConfigObj) or ("reject", class, line)."""
    # From a file, as the reference reads: from memory ConfigObj would split lines at other characters too.
    with open(SCRATCH.name, 'wb') as file:
        file.write(data)
    try:
        return ('ok', configobj.ConfigObj(SCRATCH.name, **OPTIONS))
    except configobj.ConfigObjError as error:
        first = error.errors[0] if getattr(error, 'errors', None) else error
        return ('reject', type(first).__name__, first.line_number)
    except UnicodeDecodeError:
        return ('reject', 'ParseError', None)


def content(section):
    """Keys, values and comments as nested lists, in order."""
    return [[(key, dict.__getitem__(section, key), section.inline_comments[key]) for key in section.scalars],
            [(name, content(dict.__getitem__(section, name))) for name in section.sections]]


def strip_trailing(text, newline):
    """Without the empty lines at the end."""
    lines = text.split(newline)
    while lines and lines[-1] == b'':
        lines.pop()
    return newline.join(lines) + newline


def write(config):
    config.filename = None
    if config.encoding is None:
        config.encoding = 'utf-8'
    out = io.BytesIO()
    config.write(out)
    newline = (config.newlines or '\n').encode()
    return strip_trailing(out.getvalue(), newline)


def placeholder_text(data):
    config = read(data)[1]
    if 'Global' in config.sections:
        for key in ('Revision', 'Checksum'):
            if key in config['Global'].scalars:
                config['Global'][key] = 'PLACEHOLDER'
    return write(config)


class Generator:
    """Lines of all kinds, good ones more often than bad ones."""
    WORDS = ['a', 'Key', 'Node', 'x y', 'Größe', 'a:b', 'x#y', '10.0.0.11/24', 'True', 'a=b', '[x]', "it's",
             '-p="q"', '%(Key)s', '50%', ',', 'a, b', '\\n', '$6$ab$c/d.', 'None', '{}', 'x]', '[', '\x0b', 'é']
    BLANKS = ['', '', '', '', ' ', '    ', '\t', '        ', ' \t', '\x0c', '\u00a0', '\u2003']
    QUOTES = ['"', "'", '"""', "'''"]

    def __init__(self, rng, samples):
        self.rng = rng
        self.samples = samples

    def blank(self):
        return self.rng.choice(self.BLANKS[:8] if self.rng.random() < 0.95 else self.BLANKS)

    def word(self):
        return ' '.join(self.rng.choice(self.WORDS) for _ in range(self.rng.choice([1, 1, 1, 2])))

    def comment(self):
        return self.rng.choice(['', '', '', '', ' # c', '#c "', "   #'dev.1' must", '# x ]', "# '''"])

    def name(self, unique):
        name = '%s%d' % (self.rng.choice(['k', 'Node : ', 'Disk:', 'a b', 'Größe', 'Checksum', 'x']), unique)
        roll = self.rng.random()
        if roll < 0.06:
            quote = self.rng.choice(self.QUOTES[:2])
            return quote + self.rng.choice([name, ' ' + name, name + ']', '#' + name, name + '=', '', ' ']) + quote
        if roll < 0.09:
            return self.rng.choice(['k', '"k', "k'", '=', '', '"a" "b"', 'a"b"', '[k', 'k]', '#']) + str(unique % 7)
        return name

    def value(self):
        roll = self.rng.random()
        if roll < 0.55:
            return self.word()
        if roll < 0.65:
            return ''
        if roll < 0.8:
            quote = self.rng.choice(self.QUOTES[:2])
            return quote + self.word() + self.rng.choice([quote] * 9 + ['', quote + ' x'])
        quote = self.rng.choice(self.QUOTES[2:])
        body = self.rng.choice(['\n', '', '', '\r\n']).join(
            self.rng.choice(['', ' ', 'x', '# y', "'", '"', self.word(), "'''" if self.rng.random() < 0.1 else 'z',
                             '"""' if self.rng.random() < 0.1 else '  ']) for _ in range(self.rng.randint(1, 4)))
        return quote + body + self.rng.choice([quote] * 30 + ['', quote + 'x'])

    def file(self):
        rng = self.rng
        if rng.random() < 0.12:
            return self.mutated()
        newline = rng.choice(['\n', '\n', '\n', '\n', '\r\n'])
        lines, depth, strict = [], 0, rng.random() < 0.7
        if rng.random() < 0.6:
            lines += ['[Global]', '    Revision = %d' % rng.randint(0, 99), 'Checksum = COMMIT']
            depth = 1
        for unique in range(rng.randint(0, 14)):
            roll = rng.random()
            if roll < 0.5:
                key = 'k%d' % unique if strict and rng.random() < 0.8 else self.name(unique)
                value = self.word() if strict and rng.random() < 0.5 else self.value()
                lines.append(self.blank() + key + self.blank() + '=' + self.blank() + value + self.comment())
            elif roll < 0.7:
                deep = rng.randint(1, depth + 1) if strict or rng.random() < 0.9 else rng.randint(1, depth + 2)
                gap = self.blank() if rng.random() < 0.1 else ''
                closing = deep if strict or rng.random() < 0.95 else deep + 1
                lines.append(self.blank() + gap.join('[' * deep) + gap + self.name(unique) + gap +
                             gap.join(']' * closing) + self.comment())
                depth = deep
            elif roll < 0.82:
                lines.append(self.blank() + '#' + rng.choice(['', ' ', 'x', ' [x] = y ', ' Ü']))
            elif roll < 0.97 or strict:
                lines.append(self.blank())
            else:
                lines.append(self.blank() + rng.choice(['junk', '= 1', '[]', '[ ]', '[""]', '[[x]', '[x]]', '"a', '{%',
                                                        '[x] y', "'k' v", 'k', '["x"y]', "'a=b", '[[[[x]]]]']))
        text = newline.join(lines) + newline * rng.choice([0, 1, 1, 1, 1, 2, 3])
        data = text.encode()
        if rng.random() < 0.03:
            data = b'\xef\xbb\xbf' + data
        return data

    def mutated(self):
        """A sample with a few bytes or lines changed."""
        data = bytearray(self.rng.choice(self.samples)[:self.rng.randint(200, 3000)])
        for _ in range(self.rng.randint(0, 4)):
            at = self.rng.randrange(len(data))
            kind = self.rng.random()
            if kind < 0.4:
                data[at] = self.rng.choice(b'[]"\'#=\n\r\t ax:%,\\')
            elif kind < 0.7:
                del data[at:at + self.rng.randint(1, 5)]
            elif kind < 0.95:
                end = data.find(b'\n', at) + 1
                data[at:at] = data[at:end]
            else:
                data[at:at] = b'\xc3'
            if not data:
                return b''
        return bytes(data)


class Probe:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, data):
        self.process.stdin.write(b'%d\n' % len(data) + data)
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        text = self.process.stdout.read(int(words[-1]))
        if words[0] == b'ok':
            return ('ok', text, words[1].decode())
        return ('reject', words[1].decode(), int(words[2]))


def earlier_on_purpose(ours, theirs, data):
    """We name the line of the key where ConfigObj names the last line of its value, and we reject a value with
    both kinds of triple quotes where it stands."""
    if theirs[2] is None or ours[2] >= theirs[2] or not (b"'''" in data or b'"""' in data):
        return False
    both = b"'''" in data and b'"""' in data
    return ours[1] == 'ParseError' and both or ours[1] == theirs[1] == 'DuplicateError'


class Comparison:
    def __init__(self, probe):
        self.probe = probe
        self.counts = {}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def compare(self, data):
        """None, or what differs."""
        theirs = read(data)
        ours = self.probe.ask(data)
        if theirs[0] == 'reject':
            self.count('rejected')
            if ours[0] != 'reject':
                return 'accepted, but ConfigObj: %s' % (theirs,)
            if earlier_on_purpose(ours, theirs, data):
                return None
            if theirs[2] is not None and ours[1:] != theirs[1:]:
                return 'rejected as %s, but ConfigObj: %s' % (ours, theirs)
            return None
        original = content(theirs[1])
        try:
            canonical = write(theirs[1])
        except configobj.ConfigObjError:
            self.count('unwritable')
            return None if ours[0] == 'reject' else 'accepted a value that ConfigObj cannot write'
        again = read(canonical)
        stable = again[0] == 'ok' and content(again[1]) == original and write(again[1]) == canonical
        if ours[0] != 'ok':
            # Only a value or name with no written form at all may be rejected beyond the reference.
            if not stable and b"'''" in data and b'"""' in data:
                self.count('unwritable')
                return None
            return 'rejected as %s, but ConfigObj accepts' % (ours,)
        if stable:
            self.count('identical')
            if ours[1] != canonical:
                return 'canonical text differs from %r' % canonical
            expected = hashlib.md5(placeholder_text(data)).hexdigest()
            return None if ours[2] == expected else 'checksum %s instead of %s' % (ours[2], expected)
        self.count('kept where ConfigObj loses')
        back = read(ours[1])
        if back[0] != 'ok' or content(back[1]) != original:
            return 'our text %r is not read back by ConfigObj: %s' % (ours[1], back[1:])
        return None if self.probe.ask(ours[1])[1] == ours[1] else 'our text is not stable'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('probe')
    parser.add_argument('--files', type=int, default=10000)
    parser.add_argument('--seed', type=int, default=20260701)
    arguments = parser.parse_args()
    folder = os.path.join(HERE, 'samples')
    samples = [open(os.path.join(folder, name), 'rb').read()
               for name in sorted(os.listdir(folder)) if name.endswith('.conf')]
    comparison = Comparison(Probe(arguments.probe))
    failures = 0
    for data in samples:
        failures += report('sample', data, comparison.compare(data))
    generator = Generator(random.Random(arguments.seed), samples)
    for number in range(arguments.files):
        data = generator.file()
        failures += report('seed %d file %d' % (arguments.seed, number), data, comparison.compare(data))
        if failures >= 10:
            break
    print('%d files: %s' % (arguments.files, comparison.counts))
    # A generator that makes only good or only bad files would prove nothing.
    enough = all(comparison.counts.get(what, 0) >= arguments.files // share for what, share in
                 [('rejected', 10), ('identical', 5), ('kept where ConfigObj loses', 100)])
    if not enough:
        print('the generated files are one-sided')
    return 1 if failures or not enough else 0


def report(label, data, difference):
    if difference is None:
        return 0
    print('%s: %s\n  %r' % (label, difference, data))
    return 1


if __name__ == '__main__':
    sys.exit(main())
