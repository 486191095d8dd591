"""The parts of tests/bench/run about storage: st_volume_list with 1,000 volumes."""
import json
import re
import statistics

from points import Connection, call_body, on_core, percentile, timed
from servers import LOAD_CORE, Confd, cpu_seconds, eventually

VOLUMES = 1000


def volume_sections(count):
    return "".join(f"\n[EXAVolume : bench{number}]\n    Type = data\n    Size = 1 MiB\n    Disk = disk1\n    Nodes = 11\n    NumMasterNodes = 1\n    Redundancy = 1\n"
                   f"    BlockSize = 4 KiB\n    StripeSize = 256 KiB\n    Owner = 500 : 500\n    Permissions = rwx\n    Labels = bench, number{number}\n"
                   for number in range(count))


class ConfdWithVolumes(Confd):
    def start(self, *arguments, **options):
        text = self.exaconf() + volume_sections(VOLUMES - 2)  # two are there
        self.write("etc/EXAConf", re.sub(r"Checksum = .*", "Checksum = COMMIT", text, count=1))
        super().start(*arguments, wait=False, **options)
        self.wait_until_ready(240)  # they get their space before it answers
        return self


def storage(report):
    with ConfdWithVolumes() as confd:
        def all_online():
            volumes = confd.rpc("/RPC2").job_exec("st_volume_list")["result_output"]
            return len(volumes) == VOLUMES and all(volume["state"] == "ONLINE" for volume in volumes)
        eventually(all_online, 120, f"{VOLUMES} volumes online")
        connection = Connection(confd, confd)
        request = connection.request(call_body("job_exec", "st_volume_list"))
        answer = connection.exchange(request)
        took = []
        with on_core(LOAD_CORE):
            before = cpu_seconds(confd.pid)
            for _ in range(200):
                took.append(timed(lambda: connection.exchange(request)))
            cpu = (cpu_seconds(confd.pid) - before) / 200 * 1e3
        job_id = connection.call("job_exec", "st_volume_list")["result_jobid"]
        times = connection.call("job_info", job_id)["times"]
        connection.close()
        report.note(f"st_volume_list, {VOLUMES} volumes", json.dumps({"ms": took, "bytes": len(answer), "cpu_ms": cpu, "times": times}, default=str))
        p50 = statistics.median(took)
        report.goal(f"st_volume_list with {VOLUMES:,} volumes, the whole call over HTTPS and XML-RPC ({len(answer) / 1e6:.1f} MB)",
                    f"p50 {p50:.1f} ms, p99 {percentile(took, 0.99):.1f} ms, {cpu:.1f} ms CPU", "< 20 ms", p50 < 20)


PARTS = {"storage": storage}
