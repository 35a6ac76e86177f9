"""Plots the last day of a room: the expression shown, hour by hour, and the people.

    python examples/plot_day.py kitchen kitchen.png [redis://127.0.0.1:6379/0]

Needs roommood with its extra `aggregator`, and matplotlib.
"""

import sys
from datetime import timedelta

import matplotlib.pyplot as plt

from roommood import RoomPeriod, RoomStats
from roommood.shared.protocol.emotions import EXPRESSIONS


def plot(hours: list[RoomPeriod], path: str) -> None:
    """Both pictures over the edges of the hours; the hour under way ends at the right."""
    edges = [*(hour.start for hour in hours), hours[-1].end]
    steps = [*hours, hours[-1]]
    plt.rcParams["date.converter"] = "concise"
    figure, (top, bottom) = plt.subplots(2, sharex=True, height_ratios=(3, 1), figsize=(10, 6))
    shares = [[hour.shares[one].raw if hour.shares else 0 for hour in steps] for one in EXPRESSIONS]
    top.stackplot(edges, shares, labels=EXPRESSIONS, step="post")
    top.set(title=f"{hours[0].room}: expression shown", ylabel="share of face time", ylim=(0, 1))
    top.legend(loc="upper left", bbox_to_anchor=(1, 1), reverse=True)
    # nan, so that an hour without a frame is a gap and no zero.
    people = [float("nan") if hour.people is None else hour.people for hour in steps]
    bottom.step(edges, people, where="post", color="black")
    bottom.set(ylabel="people", xlabel="UTC")
    bottom.set_ylim(bottom=0)
    figure.savefig(path, bbox_inches="tight")


def main() -> None:
    room, path, *rest = sys.argv[1:]
    url = rest[0] if rest else "redis://127.0.0.1:6379/0"
    with RoomStats(url) as stats:
        plot(stats.history(room, last=timedelta(days=1), by=timedelta(hours=1)), path)


if __name__ == "__main__":
    main()
