# Who may reach `files`. Without an intention nobody may: the default policy is deny.
Kind = "service-intentions"
Name = "files"

Sources = [
  { Name = "web", Action = "allow" },
]
