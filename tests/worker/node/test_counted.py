"""What a worker has told, message by message."""

from cluster.messages import Family, Metrics, Sample
from worker.node.counted import Counted


def family(name, *samples):
    return Family(name=name, kind="counter", help="h", samples=samples)


def told(*families, is_news=False):
    return Metrics(index=0, families=families, is_news=is_news)


def test_news_change_what_they_name_and_leave_the_rest():
    counted = Counted()
    a, b = Sample("c_total", {"s": "a"}, 1.0), Sample("c_total", {"s": "b"}, 2.0)
    counted.take(told(family("c", a, b), family("d")))
    counted.take(told(family("c", Sample("c_total", {"s": "b"}, 5.0)), is_news=True))
    assert counted.families == (
        family("c", a, Sample("c_total", {"s": "b"}, 5.0)),
        family("d"),
    )


def test_a_family_that_is_new_comes_with_news():
    counted = Counted()
    counted.take(told())
    counted.take(told(family("c", Sample("c_total", {}, 1.0)), is_news=True))
    assert counted.family("c") == family("c", Sample("c_total", {}, 1.0))
    assert counted.family("other") is None


def test_all_of_it_takes_the_place_of_what_was():
    counted = Counted()
    counted.take(told(family("c", Sample("c_total", {}, 1.0))))
    counted.take(told(family("d")))
    assert counted.families == (family("d"),)


def test_the_order_of_labels_does_not_matter():
    counted = Counted()
    counted.take(told(family("c", Sample("c_total", {"a": "1", "b": "2"}, 1.0))))
    again = Sample("c_total", {"b": "2", "a": "1"}, 2.0)
    counted.take(told(family("c", again), is_news=True))
    assert [sample.value for sample in counted.family("c").samples] == [2.0]
