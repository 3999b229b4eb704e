"""metrics.py: everything is counted, and nobody can make us count without bound."""

from historian.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"historian_{name}", labels)


def test_rows_and_rejects_are_counted_by_source_and_reason() -> None:
    """The first question after a bad night is which source it was."""
    metrics = Metrics(10)
    metrics.stored("plc", 5, 1.5)
    metrics.stored("plc", 2)
    metrics.rejected("plc", "wrong_type", 3)

    assert 7.0 == value(metrics, "rows_total", source="plc")
    assert 1.5 == value(metrics, "source_lag_seconds", source="plc")
    assert 3.0 == value(metrics, "rejected_rows_total", source="plc", reason="wrong_type")


def test_sources_beyond_the_bound_are_counted_together() -> None:
    """Names of sources come from outside; memory for them is bounded, the sum stays whole."""
    metrics = Metrics(2)
    for i in range(5):
        metrics.stored(f"s{i}", 1, 9.0)
        metrics.rejected(f"s{i}", "no_tag", 1)

    assert 3.0 == value(metrics, "rows_total", source="other")
    assert 1.0 == value(metrics, "rows_total", source="s1")
    assert 3.0 == value(metrics, "rejected_rows_total", source="other", reason="no_tag")
    assert value(metrics, "source_lag_seconds", source="other") is None


def test_hostile_names_do_not_break_the_text() -> None:
    """One source must not forge another's lines."""
    metrics = Metrics(10)
    metrics.stored('x"} 1\nhistorian_rows_total{source="y', 1)

    assert not any(
        line.startswith('historian_rows_total{source="y"')
        for line in metrics.text().decode().splitlines()
    )


def test_gauges_are_read_when_somebody_asks() -> None:
    """And two registries do not share their numbers."""
    first, second = Metrics(1), Metrics(1)
    numbers = {"tags": 1.0}
    first.watch(lambda: numbers)
    numbers["tags"] = 2.0

    assert b"historian_tags 2.0" in first.text()
    assert b"historian_tags" not in second.text()
