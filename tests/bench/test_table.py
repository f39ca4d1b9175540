"""The table of a comparison says which budgets are met."""

import pytest

from bench import table


def cost(server: str, *microseconds: float, lost: int = 0, foreign: float = 0.0) -> dict:
    return {
        "server": server,
        "operation": "pair",
        "kind": "udp",
        "rate": 2000,
        "microseconds": list(microseconds),
        "median": sorted(microseconds)[len(microseconds) // 2],
        "others": [0.0],
        "foreign": [foreign],
        "planned": 100,
        "lost": lost,
    }


def row(costs: list[dict], server: str) -> list[str]:
    """Return the words of the line of a server."""
    text = table.of({"conditions": {}, "sections": {"costs": costs}})
    (line,) = [line for line in text.splitlines() if f" {table.NAMES[server]} " in line]
    return line.partition(f" {table.NAMES[server]} ")[2].split()


@pytest.mark.parametrize(
    ("tuned", "debian", "verdict"), [(100, 400, "yes"), (90, 400, "NO"), (100, 300, "NO")]
)
def test_a_cost_is_judged_beside_both_kamailios(tuned, debian, verdict):
    """The budget of the pure server is 4.8 times tuned Kamailio, 1.4 times Debian's."""
    words = row([cost("ours", 480), cost("tuned", tuned), cost("debian", debian)], "ours")
    assert words[4:8] == ["4.8", "/", "1.4", verdict]


def test_a_multiple_is_taken_within_each_round():
    """In the second round the machine was ten times as slow for all."""
    words = row([cost("ours", 500, 5000, 510), cost("tuned", 100, 1000, 100)], "ours")
    assert words[2] == "5.00"


def test_a_cost_with_many_losses_is_not_judged():
    words = row([cost("ours", 1, lost=50), cost("tuned", 100), cost("debian", 100)], "ours")
    assert "?" in words
    assert not {"yes", "NO"} & set(words)


def test_a_disturbed_cost_is_marked():
    costs = [cost("ours", 1, foreign=0.6), cost("tuned", 1, foreign=0.4)]
    assert "(!)" in row(costs, "ours")
    assert "(!)" not in row(costs, "tuned")


@pytest.mark.parametrize(
    ("rate", "lost", "verdict"), [(4500, 0, "yes"), (4499, 0, "NO"), (5000, 1, "NO")]
)
def test_the_highest_rate_is_judged_without_losses(rate, lost, verdict):
    limit = {
        "server": "compiled",
        "operation": "pair",
        "rate": rate,
        "seconds": 10.0,
        "busy": 0.9,
        "others": 0.0,
        "load": 0.5,
        "foreign": 0.0,
        "lost": lost,
    }
    text = table.of({"conditions": {}, "sections": {"limits": [limit]}})
    assert text.splitlines()[-1].split()[5:7] == ["4,500", verdict]
