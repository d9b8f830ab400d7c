# A change to try out on the quickstart: `web` may no longer reach `files`, `backup` may.
Kind = "service-intentions"
Name = "files"

Sources = [
  { Name = "web",    Action = "deny" },
  { Name = "backup", Action = "allow" },
]
