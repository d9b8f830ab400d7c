"""The real node, with fake workers: `python -m tests.fakes.node_program` takes the node's arguments.

With a file `upgraded` in its runtime folder it speaks the next version of the wire. It takes no worker for
hung that a busy machine has held up for some seconds; who hangs is told apart in `worker/node/test_fleet.py`.
"""

import json
import sys
from pathlib import Path

from worker.node import app, fleet, handout, queries
from worker.node.__main__ import main

if __name__ == "__main__":
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    if Path(config["runtime_dir"], "node", "upgraded").exists():
        handout.WIRE_VERSION += 1
    fleet.SILENT_SECONDS = queries._PATIENCE_SECONDS = app.SURVIVORS_SECONDS = 30.0
    sys.exit(main(sys.argv[1:], (sys.executable, "-m", "tests.fakes.worker_program")))
