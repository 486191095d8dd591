"""What must hold after a crash, seen from outside: promises P1-P4 and P6 of docs/promises.md (for kill_test.py)."""
import hashlib
import json
import re

from kill_load import STAGES, Caller, compare_sights, thing_of
from node import eventually


def stored_checksum(text):
    return re.search(r"^    Checksum = (\S+)$", text, re.M).group(1)


def computed_checksum(text):
    """spec/exaconf.md §4, for a text that is canonical already."""
    text = re.sub(r"^(    (?:Revision|Checksum) = ).*$", r"\1PLACEHOLDER", text, count=2, flags=re.M)
    return hashlib.md5(text.encode()).hexdigest()


def sections(text, heading):
    """{name: {key: value}} of the [[subsections]] of one [section]."""
    found, inside, name = {}, False, None
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[["):
            name = line.strip("[]")
            if inside:
                found[name] = {}
        elif line.startswith("["):
            inside, name = line == f"[{heading}]", None
        elif inside and name and " =" in line:
            key, _, value = line.partition("=")
            found[name][key.strip()] = value.strip()
    return found


def is_test_name(name):
    return re.fullmatch(r"[ug]\d+", name) is not None


def check_files(node, ledger):
    """P4 and P6, on the disk as it is."""
    newest = None
    for name in ["EXAConf"] + [f"EXAConf.{n}" for n in range(10)]:
        path = node.path("etc") / name
        if name != "EXAConf" and not path.exists():
            continue
        text = path.read_text()
        revision = int(re.search(r"^    Revision = (\d+)$", text, re.M).group(1))
        if stored_checksum(text) != computed_checksum(text):
            raise AssertionError(f"P4: {path} is not whole: it says {stored_checksum(text)} and is {computed_checksum(text)}")
        if path.stat().st_mode & 0o777 != 0o600:
            raise AssertionError(f"{path} has mode {path.stat().st_mode:o}")
        if ledger.texts.setdefault(revision, text) != text:
            raise AssertionError(f"P6: revision {revision} stands for two texts, one of them in {path}")
        if ledger.checksums.setdefault(revision, stored_checksum(text)) != stored_checksum(text):
            raise AssertionError(f"P6: revision {revision} of {path} has another checksum than a job record says")
        if newest is not None and revision > newest:
            raise AssertionError(f"P4: {path} is revision {revision}, newer than {newest} which came before it")
        newest = revision
    return (node.path("etc") / "EXAConf").read_text()


def check_record(record):
    """P2 within one record of a job that has ended."""
    what = f"job {record['job_id']}: {json.dumps(record)}"
    stages = [stage for stage in STAGES if stage in record["times"]]
    times = [record["times"][stage] for stage in stages]
    result = record["result"]
    ok = result["result_name"] == "OK"
    if times != sorted(times):
        raise AssertionError(f"P2: times go backwards in {what}")
    if stages[0] != "submitted" or stages[-1] != record["stage"]:
        raise AssertionError(f"P2: stage and times disagree in {what}")
    if record["stage"] != ("committed" if ok and record["intent"] == "modify" else "finished"):
        raise AssertionError(f"P2: ended in the wrong stage: {what}")
    if not ok and result["result_name"] != "Interrupted":
        raise AssertionError(f"P3: nothing else should make a job fail here (was it run before?): {what}")
    if not ok and ("revision" in record or "changes" in record):
        raise AssertionError(f"interrupted, and yet it shows a revision or changes: {what}")


def committed_in_order(records, ledger):
    """Carries the changes of newly committed jobs into the ledger; each must fit what came before it."""
    changed = sorted((r for r in records if r["stage"] == "committed" and "revision" in r), key=lambda r: r["revision"])
    for r in changed:
        what = f"job {r['job_id']} ({r['job']}, revision {r['revision']})"
        if r["revision"] <= ledger.revision or r["base_revision"] != ledger.revision:
            raise AssertionError(f"P6: {what} is based on revision {r['base_revision']}; the one before was {ledger.revision}")
        ledger.revision = r["revision"]
        if ledger.checksums.setdefault(r["written_revision"], r["written_checksum"]) != r["written_checksum"]:
            raise AssertionError(f"P6: {what} says that revision {r['written_revision']} has the checksum {r['written_checksum']}")
        params = r["params"]
        if r["job"] == "user_create":
            ledger.users.add(params["username"])
        elif r["job"] == "user_delete":
            ledger.users.remove(params["username"])
        elif r["job"] == "group_create":
            ledger.groups.add(params["groupname"])
        elif r["job"] == "group_delete":
            ledger.groups.remove(params["groupname"])
        else:
            [change] = r["changes"]
            if change["before"] != ledger.keys.get(params["username"]):
                raise AssertionError(f"P3: {what} replaced {change['before']}, not {ledger.keys.get(params['username'])}")
            ledger.keys[params["username"]] = change["after"]


def check_config(node, ledger, text):
    """Every acknowledged change is in EXAConf, and nothing else."""
    users, groups = sections(text, "Users"), sections(text, "Groups")
    for what, there, wanted in (("users", users, ledger.users), ("groups", groups, ledger.groups)):
        there = {name for name in there if is_test_name(name)}
        if there != wanted:
            raise AssertionError(f"P4: {what} without a committed job {sorted(there - wanted)}, committed and not there {sorted(wanted - there)}")
    keys = {name: user["AuthorizedKeys"] for name, user in users.items() if user.get("AuthorizedKeys")}
    if keys != ledger.keys:
        raise AssertionError(f"P4: keys in EXAConf {keys}, by committed jobs {ledger.keys}")
    revision = int(re.search(r"^    Revision = (\d+)$", text, re.M).group(1))
    if ledger.revision and revision != ledger.revision:
        raise AssertionError(f"P4: EXAConf has revision {revision}, the last committed job {ledger.revision}")


def check_leftovers(node):
    def left():
        temps = [str(path) for path in node.path(".").rglob(".*") if path.is_file() and path.name != ".pid"]
        jobs = [str(path) for folder in ("queue", "run") for path in node.path(f"spool/jobs/{folder}").glob("*")]
        return temps + jobs
    try:
        eventually(lambda: not left(), 5, "an orderly root")
    except AssertionError:
        raise AssertionError(f"left behind by the crash: {left()}") from None


def check_after_restart(node, ledger, since, choice):
    call = Caller(node)
    history = call("job_history", {"limit": 10000, "since": since})
    for row in history:
        if row["job_id"] not in ledger.ids:
            number = int(row["job_id"].split(".")[1])
            if number <= ledger.highest:
                raise AssertionError(f"P1: {row['job_id']} was submitted now, and {ledger.highest} is the highest of before")
            ledger.ids[row["job_id"]] = (row["job"], None)
            ledger.fresh.add(row["job_id"])
    missing = ledger.fresh - {row["job_id"] for row in history}
    if missing:
        raise AssertionError(f"P1: not in job_history: {missing}: {[call('job_info', i) for i in missing]}")

    news = []
    for job_id in sorted(ledger.fresh, key=lambda i: int(i.split(".")[1])):
        job, thing = ledger.ids[job_id]
        record = call("job_info", job_id)
        if record.get("ended") is False:
            if call("job_wait", job_id, 20) is not True:
                raise AssertionError(f"job {job_id} ({job}) does not end after the restart: {record}")
            record = call("job_info", job_id)
        if record.get("job") != job:
            raise AssertionError(f"P1: {job_id} was given to {job}, and its record is {record}")
        ended_thing = thing_of(job, record["params"])
        if thing is not None and ended_thing != thing:
            raise AssertionError(f"P1: {job_id} was given to {job} {thing}, and its record is of {ended_thing}")
        if ended_thing is not None and ledger.things.setdefault((job, ended_thing), job_id) != job_id:
            raise AssertionError(f"P3: {job} {ended_thing} is {job_id} and {ledger.things[(job, ended_thing)]}")
        check_record(record)
        if job_id in ledger.seen:
            compare_sights(ledger.seen[job_id], record)
        ledger.add_answer(job_id, record["result"])
        ledger.records[job_id] = record
        news.append(record)
    committed_in_order(news, ledger)
    # Later crashes must not touch them.
    for job_id in choice.sample(sorted(ledger.records), min(15, len(ledger.records))):
        again = call("job_info", job_id)
        if again.get("job_id") != job_id:
            raise AssertionError(f"P1: job {job_id} was on record and is not any more: {again}")
        compare_sights(ledger.records[job_id], again)
    text = check_files(node, ledger)
    check_config(node, ledger, text)
    check_leftovers(node)
    ledger.highest = max([ledger.highest] + [int(i.split(".")[1]) for i in ledger.fresh])
    for record in news:
        ledger.records[record["job_id"]] = {key: record[key] for key in ("job_id", "stage", "times", "ended", "result")}
    ledger.fresh.clear()
    ledger.seen.clear()
    ledger.old_users = sorted(ledger.users, key=lambda name: -int(name[1:]))
    ledger.old_groups = sorted(ledger.groups, key=lambda name: -int(name[1:]))
    return len(news), sum(1 for record in news if record["result"]["result_name"] == "Interrupted")
