"""What h2load says, in the words of our own generator."""

import pytest

from tests.bench import h2
from tests.bench.processes import BenchError
from tests.bench.runs import H2, Way

SAID = """
finished in 1.00s, 35.00 req/s, 40.09MB/s
requests: 4 total, 20 started, 4 done, 3 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 1 4xx, 0 5xx
"""


def test_rates_come_from_the_summary_and_latencies_from_the_log(tmp_path):
    log = tmp_path / "generator.log"
    log.with_suffix(".h2load").write_text(
        "100\t200\t40\n101\t200\t10\n102\t200\t30\n103\t404\t20\n"
    )
    said = h2.parse(SAID, log)
    assert (said["operations"], said["per_second"], said["failures"]) == (4, 35.0, {"no answer": 1})
    assert (said["p50_us"], said["p99_us"]) == (30.0, 40.0)


def test_a_run_that_failed_is_told(tmp_path):
    with pytest.raises(BenchError, match="could not connect"):
        h2.parse("could not connect", tmp_path / "generator.log")


def test_h2load_asks_by_name_where_the_way_leads(tmp_path):
    words = " ".join(h2.command(H2, Way(port=9, host="a.example"), 1.5, tmp_path / "generator.log"))
    assert words.endswith("--connect-to 127.0.0.1:9 http://a.example/1024")
    assert "--clients 16 --max-concurrent-streams 8 --duration 1500ms" in words
