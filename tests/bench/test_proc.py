"""What the kernel says about processes."""

import os
import subprocess
import sys

from tests.bench import proc

STAT = "42 (a ) (b) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 25 75 20 0 1 0 9 1 1"


def test_a_name_with_parentheses_hides_no_field():
    parent, cpu = proc.parent_and_cpu(STAT)
    assert parent == 7
    assert cpu == 300 / proc.TICKS_PER_SECOND


def test_a_tree_is_everything_below_its_root():
    assert proc.below(1, {1: 0, 2: 1, 3: 2, 4: 0, 5: 1}) == (1, 2, 5, 3)


def test_the_time_of_an_ended_child_stays_with_its_parent():
    before = proc.cpu_seconds([os.getpid()])
    subprocess.run([sys.executable, "-S", "-c", "sum(range(3_000_000))"], check=True)
    assert proc.cpu_seconds([os.getpid()]) > before


def test_memory_and_descriptors_of_this_process():
    assert 1_000_000 < proc.resident_bytes([os.getpid()]) < 10_000_000_000
    before = proc.descriptors(os.getpid())
    with open("/dev/null"):
        assert proc.descriptors(os.getpid()) == before + 1
