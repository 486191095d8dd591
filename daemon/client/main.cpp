// confd_client: the command line of confd on a node (spec/confd_client.md, docs/confd_client.md).
#include "daemon/client/commands.h"

int main(int argc, char** argv) {
  return confd::client::run_program(std::vector<std::string>(argv + 1, argv + argc));
}
