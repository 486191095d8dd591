#!/usr/bin/python3
"""The exaconf program from outside: every subcommand, its success and its failures, on copies of samples.

    program_test.py PROGRAM [unittest arguments]
"""
import base64
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = None
READY = 'ref-8.20.0-docker-1node-ready.conf'
FOUR = 'ref-8.20.0-docker-4node.conf'


def sample(name):
    return os.path.join(HERE, 'samples', name)


class Case(unittest.TestCase):
    sample = FOUR

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix='exaconf-test-')
        self.addCleanup(shutil.rmtree, self.root)
        os.mkdir(self.root + '/etc')
        self.file = self.root + '/etc/EXAConf'
        shutil.copy(sample(self.sample), self.file)

    def run_program(self, *words, stdin=''):
        environment = dict(os.environ, CONFD_ROOT=self.root)
        return subprocess.run([PROGRAM] + list(words), input=stdin, capture_output=True, text=True, timeout=60,
                              env=environment)

    def ok(self, *words, stdin=''):
        before = self.revision()
        done = self.run_program(*words, stdin=stdin)
        self.assertEqual((done.returncode, done.stderr), (0, ''), words)
        checked = self.run_program('check')
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.changed = self.revision() != before
        return done.stdout

    def change(self, *words, stdin=''):
        """Succeeds, adds one revision and keeps the one before."""
        with open(self.file) as file:
            before = file.read()
        revision = self.revision()
        out = self.ok(*words, stdin=stdin)
        self.assertEqual(self.revision(), revision + 1, words)
        with open(self.file + '.0') as file:
            self.assertEqual(file.read(), before)
        self.assertIn('committed as revision %d' % (revision + 1), out)
        return out

    def fails(self, text, *words, code=1, stdin=''):
        with open(self.file) as file:
            before = file.read()
        done = self.run_program(*words, stdin=stdin)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        self.assertEqual(done.stdout, '')
        self.assertIn(text, done.stderr)
        self.assertTrue(done.stderr.startswith('exaconf: '))
        with open(self.file) as file:
            self.assertEqual(file.read(), before)

    def usage(self, text, *words):
        self.fails(text, *words, code=2)

    def revision(self):
        with open(self.file) as file:
            return int(re.search(r'Revision = (\d+)', file.read()).group(1))

    def content(self):
        done = self.run_program('show', '--json', '--secrets')
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


class Inspection(Case):
    def test_help_and_usage(self):
        text = self.ok('--help')
        self.assertIn('usage: exaconf COMMAND', text)
        commands = re.findall(r'^  ([a-z][a-z-]+)  ', text, re.M)
        self.assertEqual(len(commands), 39)
        for command in commands:
            words = self.ok(command, '--help')
            self.assertIn('usage: exaconf ' + command, words)
            self.assertEqual(self.ok('help', command), words)
        self.usage('a command is missing')
        self.usage("unknown command 'frobnicate'", 'frobnicate')
        self.usage('unknown option --what', 'check', '--what')
        self.usage('--name is required', 'add-group', '-i', '1')
        self.usage('needs a value', 'add-group', '-n')
        self.usage('given twice', 'add-group', '-n', 'a', '--name=b', '-i', '1')
        self.usage('takes no value', 'show', '--json=yes')
        self.usage('expected [FILE]', 'check', 'a', 'b')
        self.usage('expected A B', 'diff', 'a')

    def test_version(self):
        self.assertRegex(self.ok('version'), r'^exaconf \d+\.\d+\.\d+ \(EXAConf format 8\.32\.0\)\n$')
        self.assertEqual(self.ok('--version'), self.ok('version'))

    def test_lists(self):
        self.assertIn('exaadm: 499\n', self.ok('list-groups'))
        self.assertEqual(self.ok('list-users', self.file), 'root: 0\nexadefusr: 500\nexasaasusr: 499\n')

    def test_missing_file(self):
        os.remove(self.file)
        for command in ('check', 'checksum', 'show', 'list-users', 'commit'):
            done = self.run_program(command)
            self.assertEqual(done.returncode, 1)
            self.assertIn(self.file, done.stderr)

    def test_check(self):
        self.assertEqual(self.ok('check'), self.file + ': revision 21, valid\n')
        with open(self.file) as file:
            text = file.read()
        broken = text.replace('Networks = private', 'Networks = public').replace('Name = n12', 'Name = n11')
        with open(self.file, 'w') as file:
            file.write(broken.replace('Revision = 21', 'Revision = x'))
        done = self.run_program('check')
        self.assertEqual(done.returncode, 1)
        lines = done.stderr.splitlines()
        self.assertIn('Integrity check failed', lines[0])
        self.assertTrue(any('EXAConf:2: Revision' in line for line in lines), lines)
        self.assertTrue(any("'private'" in line for line in lines), lines)
        self.assertTrue(any("Name 'n11' in section 'Node : 12'" in line for line in lines), lines)

    def test_check_shows_every_grammar_error_with_its_line(self):
        with open(self.file, 'w') as file:
            file.write('[Global\nKey = "x\n[A]\n[A]\n')
        done = self.run_program('check')
        self.assertEqual(done.returncode, 1)
        self.assertEqual([line.split(':')[1] for line in done.stderr.splitlines()], ['1', '2', '4'])

    def test_checksum(self):
        value = '28b50a7cfabe19f84320687c22f8d2fd'
        self.assertEqual(self.ok('checksum'), 'stored   %s\ncomputed %s\n' % (value, value))
        out = self.run_program('checksum', sample('bad-12-edited-without-commit.conf')).stdout
        self.assertIn('computed 6183992c4c42d0b295cbfb9663780324', out)

    def test_show(self):
        with open(self.file) as file:
            text = file.read()
        self.assertEqual(self.ok('show', '--secrets'), text)
        masked = self.ok('show')
        self.assertIn('SyncKey = ***', masked)
        self.assertIn('AuthenticationToken = ***', masked)
        shown = json.loads(self.ok('show', '--json'))
        self.assertEqual(shown['Node : 11']['Disk : disk1']['Devices'], 'dev.1')
        self.assertEqual(shown['BucketFS : bfsdefault']['Bucket : default']['ReadPasswd'], '***')
        self.assertNotEqual(self.content()['BucketFS : bfsdefault']['SyncKey'], '***')

    def test_diff(self):
        old = self.root + '/old'
        shutil.copy(self.file, old)
        self.assertEqual(self.ok('diff', old, self.file), '')
        self.ok('add-group', '-n', 'dev', '-i', '700')
        self.ok('modify-bucket', '-n', 'default', '-N', 'bfsdefault', '-r', 'secret')
        out = self.ok('diff', old, self.file)
        self.assertIn('+ [Groups/dev]\n+ [Groups/dev] ID = 700\n', out)
        self.assertIn('- [BucketFS : bfsdefault/Bucket : default] ReadPasswd = ***\n', out)
        self.fails('cannot read', 'diff', old, '/nowhere')

    def test_commit(self):
        self.assertIn("revision 21 (unchanged)", self.ok('commit'))
        with open(self.file) as file:
            text = file.read()
        edited = text.replace('ClusterName = cluster1', 'ClusterName = mine')
        with open(self.file, 'w') as file:
            file.write(edited)
        self.fails('Integrity check failed!', 'commit')
        with open(self.file, 'w') as file:
            file.write(re.sub('Checksum = .*', 'Checksum = COMMIT', edited))
        out = self.ok('commit', '-v')
        self.assertIn('--> Successful!', out)
        self.assertIn("revision 22\n", out)
        self.assertEqual(self.content()['Global']['ClusterName'], 'mine')
        with open(self.file) as file:
            text = file.read()
        with open(self.file, 'w') as file:
            file.write(re.sub('Checksum = .*', 'Checksum = NONE', text))
        self.assertIn('revision 23\n', self.ok('commit'))
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)

    def test_encoders(self):
        record = self.ok('encode-shadow', '-p', 'secret').strip()
        self.assertRegex(record, r'^\$6\$[./0-9A-Za-z]{16}\$[./0-9A-Za-z]{86}$')
        self.assertRegex(self.ok('encode-shadow', stdin='secret\n'), r'^\$6\$')
        self.assertEqual(self.ok('encode-db', '--passwd', 'secret'), 'c2VjcmV0\n')
        self.assertEqual(self.ok('encode-db', stdin='secret\n'), 'c2VjcmV0\n')
        self.fails('no password', 'encode-db')
        self.usage('no FILE is expected', 'encode-db', '-p', 'x', self.file)

    def ask_on_terminal(self, answers, *words):
        """Runs the program on a terminal and types the answers; gives exit code and what was shown."""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(PROGRAM, [PROGRAM] + list(words), dict(os.environ, CONFD_ROOT=self.root))
        shown = b''
        for answer in answers:
            while not shown.endswith(b': '):
                shown += os.read(terminal, 1000)
            os.write(terminal, answer)
            shown += b'\n'
        try:
            while True:
                more = os.read(terminal, 1000)
                if not more:
                    break
                shown += more
        except OSError:
            pass  # the program has ended
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()

    def test_a_password_is_asked_without_echo(self):
        code, shown = self.ask_on_terminal([b'sesx\x7fame\r', b'sesame\r'], 'encode-db')
        self.assertEqual(code, 0, shown)
        self.assertIn(base64.b64encode(b'sesame').decode(), shown)
        self.assertNotIn('sesame', shown)
        code, shown = self.ask_on_terminal([b'one\r', b'two\r'], 'encode-db')
        self.assertEqual(code, 1)
        self.assertIn('differ', shown)
        code, shown = self.ask_on_terminal([b'one\x03'], 'encode-db')
        self.assertEqual(code, 1)
        self.assertIn('no password was given', shown)


class Nodes(Case):
    def test_add_modify_remove_node(self):
        self.change('add-node', '-p', '10.0.0.xx/24')
        node = self.content()['Node : 15']
        self.assertEqual(node['PrivateNet'], '10.0.0.15/24')
        self.assertEqual(node['ExposedPorts'], '8563:8578, 2580:2595')
        self.assertRegex(node['UUID'], '^[0-9A-F]{40}$')
        self.fails("node '15' exists", 'add-node', '-p', '10.0.0.99/24', '-n', '15')
        self.fails('is already used', 'add-node', '-p', '10.0.0.15/24')
        self.fails('not an address', 'add-node', '-p', 'nonsense')
        self.usage('must be a number', 'add-node', '-p', '10.0.0.9/24', '-n', 'x')
        self.change('modify-node', '-n', '15', '-i', '10.0.0.77')
        self.assertEqual(self.content()['Node : 15']['PrivateNet'], '10.0.0.77/24')
        self.change('modify-node', '-n', '15', '-p', '10.0.0.78/16', '-P', '1.2.3.4/24')
        self.change('modify-node', '-n', '15', '-I', '1.2.3.5')
        self.assertEqual(self.content()['Node : 15']['PublicNet'], '1.2.3.5/24')
        self.usage('together', 'modify-node', '-n', '15', '-p', '10.0.0.1/8', '-i', '10.0.0.1')
        self.fails("there is no node '99'", 'modify-node', '-n', '99')
        self.fails('not an address', 'modify-node', '-n', '15', '-i', '10.0.0.1/8')
        self.fails('no PublicNet whose prefix', 'modify-node', '-n', '11', '-I', '1.2.3.5')
        self.change('remove-node', '-n', '15')
        self.assertNotIn('Node : 15', self.content())
        self.fails("is used by volume 'DataVolume1'", 'remove-node', '-n', '14')
        self.change('remove-node', '-n', '14', '--force')
        self.fails("there is no node '14'", 'remove-node', '-n', '14')

    def test_disks(self):
        self.change('add-node-disk', '-n', '11', '-D', 'disk2', '-c', 'db', '-d', 'dev.2, dev.3', '-r', '5')
        self.assertEqual(self.content()['Node : 11']['Disk : disk2'],
                         {'Component': 'db', 'Devices': 'dev.2, dev.3', 'Drives': '5'})
        self.fails("has a disk 'disk2'", 'add-node-disk', '-n', '11', '-D', 'disk2')
        self.change('add-node-disk', '-n', '11', '-D', 'disk2', '-d', 'dev.4', '-O')
        self.fails("device 'dev.1'", 'add-node-disk', '-n', '11', '-D', 'disk3', '-d', 'dev.1')
        self.fails('is none of', 'add-node-disk', '-n', '11', '-D', 'disk3', '-c', 'ram')
        self.fails('is no name', 'add-node-disk', '-n', '11', '-D', 'a]b')
        self.change('add-node-device', '-n', '11', '-D', 'disk2', '-d', 'dev.5', '-p', '/data')
        self.assertEqual(self.content()['Node : 11']['Disk : disk2'],
                         {'Component': 'exastorage', 'Devices': 'dev.4, dev.5', 'Mapping': 'dev.5:/data'})
        self.fails('is already used', 'add-node-device', '-n', '11', '-D', 'disk2', '-d', 'dev.1')
        self.fails("has no disk 'x'", 'add-node-device', '-n', '11', '-D', 'x', '-d', 'dev.9')
        self.change('remove-node-device', '-n', '11', '-D', 'disk2', '-d', 'dev.5')
        self.fails("has no device 'dev.5'", 'remove-node-device', '-n', '11', '-D', 'disk2', '-d', 'dev.5')
        self.change('remove-node-disk', '-n', '11', '-D', 'disk2')
        self.fails("has no disk 'disk2'", 'remove-node-disk', '-n', '11', '-D', 'disk2')
        self.fails("is used by volume 'DataVolume1'", 'remove-node-disk', '-n', '11', '-D', 'disk1')


class Volumes(Case):
    ADD = ['add-volume', '-t', 'data', '-s', '1.5 GiB', '-d', 'disk1', '-r', '2', '-N', '11,12', '-o', '500:500']

    def test_volume(self):
        self.change(*self.ADD, '-n', 'V2', '-l', 'a,b', '-m', '1')
        volume = self.content()['EXAVolume : V2']
        self.assertEqual((volume['Size'], volume['Nodes'], volume['NumMasterNodes'], volume['BlockSize'],
                          volume['Owner'], volume['Labels']),
                         ('1.5 GiB', '11,12', '1', '4 KiB', '500 : 500', 'a, b'))
        self.fails("a volume 'V2' exists", *self.ADD, '-n', 'V2')
        for words, text in [(['-t', 'tape'], 'neither data nor archive'), (['-d', 'disk9'], "no disk 'disk9'"),
                            (['-N', '11,99'], "no node '99'"), (['-N', '11,11'], 'twice'),
                            (['-r', '3'], 'redundancy 3'), (['-o', '1:500'], 'no user with ID 1'),
                            (['-o', '500:1'], 'no group with ID 1'), (['-o', 'x'], 'UID:GID')]:
            base = list(self.ADD)
            at = base.index(words[0])
            base[at + 1] = words[1]
            self.fails(text, *base, '-n', 'V3')
        self.fails('3 master nodes', *self.ADD, '-n', 'V3', '-m', '3')
        self.fails('multiple', *self.ADD, '-n', 'V3', '-B', '3 KiB')
        self.fails('permissions', *self.ADD, '-n', 'V3', '-p', 'all')
        self.change('modify-volume', '-n', 'V2', '-s', '2 GiB', '-N', '13,14', '-r', '1', '-o', '0:0', '-l', 'c')
        self.assertEqual(self.content()['EXAVolume : V2']['Nodes'], '13,14')
        self.usage('must be a size', 'modify-volume', '-n', 'V2', '-s', 'big')
        self.fails("no volume 'V9'", 'modify-volume', '-n', 'V9', '-r', '1')
        self.fails('redundancy 5', 'modify-volume', '-n', 'V2', '-r', '5')
        self.change('remove-volume', '-n', 'V2')
        self.fails("no volume 'V2'", 'remove-volume', '-n', 'V2')
        self.fails("is DataVolume of database 'DB1'", 'remove-volume', '-n', 'DataVolume1')
        self.change('remove-volume', '-n', 'DataVolume1', '-f')

    def test_remote_volume(self):
        self.change('add-remote-volume', '-n', 'r1', '-t', 's3', '-u', 'https://b.s3', '-U', 'key', '-P', 'secret',
                    '-f', 'cleanvolume,timeout=9', '-l', 'x')
        volume = self.content()['RemoteVolume : r1']
        self.assertEqual((volume['ID'], volume['Passwd'], volume['Owner']), ('10001', 'c2VjcmV0', '500 : 500'))
        self.change('add-remote-volume', '-n', 'r2', '-t', 'ftp', '-u', 'ftp://x', '-o', '0:0')
        self.assertEqual(self.content()['RemoteVolume : r2']['ID'], '10002')
        self.fails("a volume 'DataVolume1' exists", 'add-remote-volume', '-n', 'DataVolume1', '-t', 's3', '-u', 'u')
        self.fails('is that of', 'add-remote-volume', '-n', 'r3', '-t', 's3', '-u', 'u', '-i', '10002')
        self.usage('from 10000', 'add-remote-volume', '-n', 'r3', '-t', 's3', '-u', 'u', '-i', '9')
        self.fails('is none of', 'add-remote-volume', '-n', 'r3', '-t', 'tape', '-u', 'u')
        self.change('remove-remote-volume', '-n', 'r1')
        self.fails("no remote volume 'r1'", 'remove-remote-volume', '-n', 'r1')

    def test_storage(self):
        self.change('set-storage-conf', '-r', 'off', '-l', '80', '-t', '75')
        storage = self.content()['EXAStorage']
        self.assertEqual((storage['BgRecEnabled'], storage['BgRecLimit'], storage['SpaceWarnThreshold']),
                         ('False', '80', '75'))
        self.change('set-storage-conf', '-l', '0')
        self.assertEqual(self.content()['EXAStorage']['BgRecLimit'], '')
        self.usage('nothing to set', 'set-storage-conf')
        self.usage('1 to 100', 'set-storage-conf', '-t', '101')
        self.usage('True or False', 'set-storage-conf', '-r', 'maybe')


class Accounts(Case):
    def test_groups(self):
        self.change('add-group', '-n', 'dev', '-i', '700')
        self.fails("group 'dev' exists", 'add-group', '-n', 'dev', '-i', '701')
        self.fails("is that of group 'dev'", 'add-group', '-n', 'dev2', '-i', '700')
        self.fails('is reserved', 'add-group', '-n', 'exameta', '-i', '701')
        self.fails('is reserved', 'add-group', '-n', 'x', '-i', '55555')
        self.fails('is no name', 'add-group', '-n', 'a,b', '-i', '701')
        self.change('remove-group', '-n', 'dev')
        self.fails("no group 'dev'", 'remove-group', '-n', 'dev')
        self.fails('member', 'remove-group', '-n', 'exaadm')

    def test_users(self):
        keys = self.root + '/keys'
        with open(keys, 'w') as file:
            file.write('# mine\nssh-ed25519 AAAA me@here\n\n')
        self.change('add-user', '-n', 'alice', '-i', '600', '-g', 'exausers', '-l', 'True', '-p', 'secret', '-G',
                    'exaadm,exadbadm', '-k', 'ssh-rsa BBBB', '-K', keys)
        user = self.content()['Users']['alice']
        self.assertRegex(user['Passwd'], r'^\$6\$')
        self.assertEqual(user['AuthorizedKeys'], 'ssh-rsa BBBB, ssh-ed25519 AAAA me@here')
        self.assertEqual((user['LoginEnabled'], user['AdditionalGroups']), ('True', 'exaadm, exadbadm'))
        add = ['add-user', '-n', 'bob', '-i', '601', '-g', 'exausers']
        self.fails("user 'alice' exists", 'add-user', '-n', 'alice', '-i', '601', '-g', 'exausers')
        self.fails("is that of user 'alice'", 'add-user', '-n', 'bob', '-i', '600', '-g', 'exausers')
        self.fails("no group 'none'", 'add-user', '-n', 'bob', '-i', '601', '-g', 'none')
        self.fails("no group 'none'", *add, '-G', 'none')
        self.fails('is reserved', 'add-user', '-n', '_owner', '-i', '601', '-g', 'exausers')
        self.usage('together', *add, '-p', 'x', '-P')
        self.fails('cannot read', *add, '-K', '/nowhere')
        with open(keys, 'a') as file:
            file.write('ssh-rsa a,b\n')
        self.fails('comma', *add, '-K', keys)
        self.change(*add, '-P', stdin='typed\n')
        self.assertRegex(self.content()['Users']['bob']['Passwd'], r'^\$6\$')

    def test_an_encoded_password_is_stored_as_given_unless_encoding_is_forced(self):
        record = '$6$abcdefghijklmnop$' + 'x' * 86
        self.change('passwd-user', '-n', 'root', '-p', record)
        self.assertEqual(self.content()['Users']['root']['Passwd'], record)
        self.change('passwd-user', '-n', 'root', '-p', record, '-e')
        self.assertNotEqual(self.content()['Users']['root']['Passwd'], record)
        self.change('passwd-user', '-n', 'root', stdin='typed\n')
        self.fails("no user 'x'", 'passwd-user', '-n', 'x', '-p', 'y')
        self.fails('no password', 'passwd-user', '-n', 'root')

    def test_modify_and_remove_user(self):
        self.change('modify-user', '-n', 'exasaasusr', '-g', 'exasaasadm', '-l', 'yes', '-G', 'exausers', '-K', 'k1')
        self.change('modify-user', '-n', 'exasaasusr', '-G', 'exaadm', '-a', '-K', 'k2', '-A')
        user = self.content()['Users']['exasaasusr']
        self.assertEqual((user['Group'], user['LoginEnabled'], user['AdditionalGroups'], user['AuthorizedKeys']),
                         ('exasaasadm', 'True', 'exausers, exaadm', 'k1, k2'))
        self.change('modify-user', '-n', 'exasaasusr', '-G', '')
        self.assertNotIn('AdditionalGroups', self.content()['Users']['exasaasusr'])
        self.usage('needs --groups', 'modify-user', '-n', 'root', '-a')
        self.usage('needs --auth-keys', 'modify-user', '-n', 'root', '-A')
        self.fails("no user 'x'", 'modify-user', '-n', 'x', '-l', 'no')
        self.fails("no group 'x'", 'modify-user', '-n', 'root', '-g', 'x')
        self.assertIn('nothing to change', self.ok('modify-user', '-n', 'root'))
        self.assertFalse(self.changed)
        self.change('remove-user', '-n', 'exasaasusr')
        self.fails("no user 'exasaasusr'", 'remove-user', '-n', 'exasaasusr')
        self.fails('owns [EXAVolume : DataVolume1]', 'remove-user', '-n', 'exadefusr')
        self.fails("can't be removed", 'remove-user', '-n', 'root')


class BucketFs(Case):
    def test_service(self):
        self.change('add-bucketfs', '-n', 'bfs2', '-o', '500:500', '-p', '0', '-P', '2600', '-s', '10', '-S', 'key1', '-A',
                    '/data/b')
        service = self.content()['BucketFS : bfs2']
        self.assertEqual((service['HttpsPort'], service['SyncKey'], service['Path'], service['mode']),
                         ('2600', base64.b64encode(b'key1').decode(), '/data/b', 'rsync'))
        add = ['add-bucketfs', '-o', '500:500', '-p', '0', '-P', '0']
        self.fails('exists', *add, '-n', 'bfs2')
        self.fails("is HttpPort of BucketFS 'bfsdefault'", 'add-bucketfs', '-n', 'b', '-o', '500:500', '-p', '2580', '-P',
                   '0')
        self.fails('are the same', 'add-bucketfs', '-n', 'b', '-o', '500:500', '-p', '77', '-P', '77')
        self.usage('0 to 65535', 'add-bucketfs', '-n', 'b', '-o', '500:500', '-p', '70000', '-P', '0')
        self.change('modify-bucketfs', '-n', 'bfs2', '-P', '2601', '-o', '0:0', '-s', '20')
        self.fails("no BucketFS 'x'", 'modify-bucketfs', '-n', 'x', '-p', '1')
        self.change('remove-bucketfs', '-n', 'bfs2')
        self.fails("no BucketFS 'bfs2'", 'remove-bucketfs', '-n', 'bfs2')
        self.fails('drivers of database', 'remove-bucketfs', '-n', 'bfsdefault')

    def test_bucket(self):
        self.change('add-bucket', '-n', 'b2', '-N', 'bfsdefault', '-p', 'True', '-r', 'cHc=', '-a', 'x:/y/*')
        bucket = self.content()['BucketFS : bfsdefault']['Bucket : b2']
        self.assertEqual((bucket['ReadPasswd'], bucket['Public'], bucket['AdditionalFiles']), ('cHc=', 'True', 'x:/y/*'))
        self.assertEqual(len(base64.b64decode(bucket['WritePasswd'])), 32)
        self.fails("has a bucket 'b2'", 'add-bucket', '-n', 'b2', '-N', 'bfsdefault')
        self.fails("no BucketFS 'x'", 'add-bucket', '-n', 'b2', '-N', 'x')
        self.change('modify-bucket', '-n', 'b2', '-N', 'bfsdefault', '-p', 'no', '-w', 'secret')
        bucket = self.content()['BucketFS : bfsdefault']['Bucket : b2']
        self.assertEqual((bucket['WritePasswd'], bucket['Public']), ('c2VjcmV0', 'False'))
        self.fails("has no bucket 'x'", 'modify-bucket', '-n', 'x', '-N', 'bfsdefault', '-p', 'no')
        self.usage('--bfs-name is required', 'remove-bucket', '-n', 'b2')
        self.change('remove-bucket', '-n', 'b2', '-N', 'bfsdefault')
        self.fails("has no bucket 'b2'", 'remove-bucket', '-n', 'b2', '-N', 'bfsdefault')
        self.fails('drivers of database', 'remove-bucket', '-n', 'default', '-N', 'bfsdefault')


class Databases(Case):
    def test_reorder(self):
        with open(self.file) as file:
            text = file.read()
        at = text.index('[DB : DB1]')
        text = text[:at] + text[at:].replace('Nodes = 11,12,13,14', 'Nodes = 13,11,14,12', 1)
        with open(self.file, 'w') as file:
            file.write(re.sub('Checksum = .*', 'Checksum = COMMIT', text))
        self.ok('commit')
        self.change('db-reorder', '-n', 'DB1')
        self.assertEqual(self.content()['DB : DB1']['Nodes'], '11,13,14,12')
        self.assertIn('nothing to change', self.ok('db-reorder', '-n', 'DB1'))
        self.fails("no database 'X'", 'db-reorder', '-n', 'X')

    def test_backup_schedules(self):
        add = ['add-backup-schedule', '-n', 'DB1', '-v', 'ArchiveVolume1', '-l', '0']
        self.change(*add, '-N', 'full', '-e', '1209600', '-H', '1-6', '-w', '0')
        self.assertEqual(self.content()['DB : DB1']['Backup : full'],
                         {'Enabled': 'True', 'Volume': 'ArchiveVolume1', 'Level': '0', 'Minute': '*', 'Hour': '1-6',
                          'Day': '*', 'Month': '*', 'Weekday': '0', 'Expire': '2w'})
        self.fails("has a backup schedule 'full'", *add, '-N', 'full')
        self.fails("no database 'X'", 'add-backup-schedule', '-n', 'X', '-N', 'b', '-v', 'ArchiveVolume1', '-l', '0')
        self.fails('no archive volume', 'add-backup-schedule', '-n', 'DB1', '-N', 'b', '-v', 'DataVolume1', '-l', '0')
        self.fails('no archive or remote volume', 'add-backup-schedule', '-n', 'DB1', '-N', 'b', '-v', 'X', '-l', '0')
        self.usage('a duration', *add, '-N', 'b', '-e', 'soon')
        self.usage('0 to 9', 'add-backup-schedule', '-n', 'DB1', '-N', 'b', '-v', 'ArchiveVolume1', '-l', 'x')
        self.change('modify-backup-schedule', '-n', 'DB1', '-N', 'full', '-D', '-m', '30')
        backup = self.content()['DB : DB1']['Backup : full']
        self.assertEqual((backup['Enabled'], backup['Minute'], backup['Hour'], backup['Expire']),
                         ('False', '30', '1-6', '2w'))
        self.change('modify-backup-schedule', '-n', 'DB1', '-N', 'full', '-E', '-l', '1', '-e', '1d')
        self.usage('together', 'modify-backup-schedule', '-n', 'DB1', '-N', 'full', '-E', '-D')
        self.fails("no backup schedule 'x'", 'modify-backup-schedule', '-n', 'DB1', '-N', 'x', '-D')
        self.change('remove-backup-schedule', '-n', 'DB1', '-N', 'full')
        self.fails("no backup schedule 'full'", 'remove-backup-schedule', '-n', 'DB1', '-N', 'full')

    def test_snapshot_schedules_can_be_changed_and_removed(self):
        with open(self.file) as file:
            text = file.read()
        text = text.replace('    # Oracle driver', '    [[Snapshot : s1]]\n        Enabled = True\n    # Oracle driver')
        with open(self.file, 'w') as file:
            file.write(re.sub('Checksum = .*', 'Checksum = COMMIT', text))
        self.ok('commit')
        self.change('modify-backup-schedule', '-n', 'DB1', '-N', 's1', '-D')
        self.fails('no volume and no level', 'modify-backup-schedule', '-n', 'DB1', '-N', 's1', '-l', '1')
        self.change('remove-backup-schedule', '-n', 'DB1', '-N', 's1')


class Files(Case):
    sample = READY

    def test_a_broken_file_is_never_changed(self):
        with open(self.file, 'a') as file:
            file.write('[Global]\n')
        self.fails('line ', 'add-group', '-n', 'x', '-i', '9')

    def test_an_edit_without_commit_stops_every_command(self):
        with open(self.file, 'a') as file:
            file.write('[New]\n')
        self.fails('Integrity check failed!', 'add-group', '-n', 'x', '-i', '9')

    def test_a_pending_hand_edit_is_committed_before_the_command(self):
        with open(self.file) as file:
            text = file.read()
        with open(self.file, 'w') as file:
            file.write(re.sub('Checksum = .*', 'Checksum = COMMIT', text))
        self.ok('add-group', '-n', 'x', '-i', '9')
        self.assertEqual(self.revision(), 19)

    def test_a_file_named_on_the_command_line(self):
        other = self.root + '/other'
        shutil.copy(self.file, other)
        self.ok('add-group', '-n', 'x', '-i', '9', other)
        self.assertEqual(self.revision(), 17)
        with open(other) as file:
            self.assertIn('[[x]]', file.read())


if __name__ == '__main__':
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
