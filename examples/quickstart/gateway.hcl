# A terminating gateway, and what it lets the mesh reach. `lockgate dev` registers the gateway itself on a
# free port of loopback, because no file here says where it listens.
Kind = "terminating-gateway"
Name = "egress"

Services = [
  { Name = "files" },
]
