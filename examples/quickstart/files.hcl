# A service outside the mesh: `python3 -m http.server 8000` on this machine stands for it.
Node    = "outside"
Address = "127.0.0.1"

Service {
  Service = "files"
  Port    = 8000
}
