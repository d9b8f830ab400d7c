"""`lockgate dev`: a coordinator and one node on this machine, in a private directory."""
