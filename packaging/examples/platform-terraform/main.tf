# The machines of the cluster's nodes. `terraform_data` stands where your cloud's instance belongs (aws_instance, azurerm_linux_virtual_machine,
# ...): it makes nothing, so that the hook can be tried out without a cloud.

variable "nodes" {
  description = "The nodes there are to be, by id; written by the hook."
  type = map(object({
    name       = string
    private_ip = string
    running    = bool
    zone       = string
    settings   = any
  }))
  default = {}
}

variable "join" {
  description = "Where new nodes join, and a one-time token for each. Only known while nodes are added: let first boots use it, nothing else."
  type = object({
    address = string
    tokens  = map(string)
  })
  default   = { address = "", tokens = {} }
  sensitive = true
}

resource "terraform_data" "node" {
  for_each = var.nodes
  input = {
    name       = each.value.name
    private_ip = each.value.private_ip
    running    = each.value.running
  }
  # With an instance: its first boot runs
  #   echo TOKEN | confd --root /exa --join ADDRESS --token-file - && systemctl enable --now confd
  # with var.join.address and var.join.tokens[each.key] from its user data, which changes of must be ignored later:
  #   lifecycle { ignore_changes = [user_data] }
}
