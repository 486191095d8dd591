"""docs/jobs.md is what jobs_doc prints. Run by ctest with the paths of both."""
import difflib
import subprocess
import sys

program, path = sys.argv[1:]
wanted = subprocess.run([program], check=True, capture_output=True, text=True).stdout
with open(path, encoding="utf-8") as file:
    found = file.read()
if found != wanted:
    sys.stdout.writelines(list(difflib.unified_diff(
        found.splitlines(True), wanted.splitlines(True), path, "jobs_doc"))[:60])
    sys.exit(f"{path} is out of date: {program} > {path}")
