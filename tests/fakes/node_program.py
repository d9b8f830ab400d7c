"""The real node, with fake workers: `python -m tests.fakes.node_program` takes the node's arguments."""

import sys

from worker.node.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], (sys.executable, "-m", "tests.fakes.worker_program")))
