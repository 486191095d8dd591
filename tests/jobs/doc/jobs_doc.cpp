// jobs_doc: prints docs/jobs.md. With --json: [{name, desc, help}] of all jobs, for help_oracle_test.py.
#include <iostream>
#include <string_view>

#include "base/json.h"
#include "jobs/catalogue.h"
#include "jobs/description.h"

int main(int argc, char** argv) {
  using namespace confd;
  if (argc == 1) {
    std::cout << jobs::jobs_markdown();
    return 0;
  }
  if (argc != 2 || std::string_view(argv[1]) != "--json") {
    std::cerr << "usage: jobs_doc [--json]\n";
    return 2;
  }
  base::Array all;
  for (const jobs::JobDescriptor* job : jobs::all_jobs())
    all.push_back(
        base::Struct{{"name", job->name}, {"desc", jobs::job_desc(*job)}, {"help", jobs::job_help(*job)}});
  std::cout << base::render_json(all) << '\n';
}
