"""Gauges of things that come and go."""

from prometheus_client import CollectorRegistry, generate_latest

from engine.scrape_gauge import ScrapeGauge


def test_series_are_those_of_the_things_that_are_there() -> None:
    registry = CollectorRegistry()
    gauge = ScrapeGauge("here", "What is here.", "thing", registry)
    things = {"one": 1.0, "two": 2.0}

    def shown(thing: str) -> float | None:
        return registry.get_sample_value("here", {"thing": thing})

    with gauge.shown_by(lambda: things), gauge.shown_by(lambda: {"three": 3.0}):
        assert (shown("one"), shown("two"), shown("three")) == (1, 2, 3)
        del things["one"]
        things["two"] = 5.0
        assert (shown("one"), shown("two"), shown("three")) == (None, 5, 3)
    assert (shown("two"), shown("three")) == (None, None)
    assert generate_latest(registry).decode() == "# HELP here What is here.\n# TYPE here gauge\n"
