"""The names of the tables, and of what their keys are made. Pure. Nothing else belongs here."""

ENTRIES = "entries"  # kind/name
NODES = "nodes"  # node
SERVICES = "services"  # node/service id
CHECKS = "checks"  # node/check id
BUS_KEYS = "bus_keys"  # node: its public CURVE key
BUS_TOKENS = "bus_tokens"  # node: the public half of its enrolment token, and when that is over
NODE_FILES = "node_files"  # node: the ids of the services in its configuration file
KV = "kv"  # the key: its flags, and its bytes as base64
CA = "ca"  # config, state, roots/<id>: nothing secret
CA_KEYS = "ca_keys"  # root id: its private key. Never served, never part of a snapshot
CA_SERIAL = "ca_serial"  # next: a counter, apart from `ca` so that counting wakes nobody
VERSIONS = "versions"  # revision in 20 digits: what that commit changed of the entries; floor
ACL_TOKENS = "acl_tokens"  # accessor id: its secret is only there as a hash
ACL_POLICIES = "acl_policies"  # policy id
ACL_ROLES = "acl_roles"  # role id
ACL_STATE = "acl_state"  # bootstrap: that it was done
