from coordinator.health.output import MAX_BYTES, bounded


def test_what_fits_stays_and_what_does_not_is_cut_and_says_so():
    assert bounded("x" * MAX_BYTES) == "x" * MAX_BYTES
    cut = bounded("x" * (MAX_BYTES + 1))
    assert cut == "x" * MAX_BYTES + f" ... (captured {MAX_BYTES} of {MAX_BYTES + 1} bytes)"


def test_a_limit_of_its_own_counts_bytes_and_keeps_characters_whole():
    assert bounded("äöü", 3) == "ä ... (captured 3 of 6 bytes)"
    assert bounded("x" * 9999, 100_000).startswith("x" * MAX_BYTES + " ...")
