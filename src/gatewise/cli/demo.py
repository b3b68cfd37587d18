"""gatewise demo: train, stream and judge on small real series. In Python this is `gatewise.demo.run`."""

from __future__ import annotations

import click

from gatewise.cli.common import emit, json_option, say


@click.command(short_help="Find El Nino, and judge a model that forgets.")
@click.option(
    "--folder", metavar="DIR", default="demo", show_default=True, help="The folder that all files are written to."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="The seed of the first weights.",
)
@json_option
def demo(folder: str, seed: int, as_json: bool) -> None:
    """Find the anomalies in monthly sea-surface temperatures, and judge a legacy model that forgets.

    Trains a detector on the El Nino series before 1980, streams the later years through the native core, prints the
    strongest anomalies, and writes DIR/report.html, the model and the series. Then it trains a plain RNN that has to
    remember a week of carbon dioxide readings, beside an LSTM and a GRU, saves it as PyTorch does, and assesses it as
    a legacy model: DIR/verdict.html. It also writes pump.csv and new.csv, the vibration of a pump before and during its
    faults, for you to try the other commands on. Takes about three minutes.
    """
    from gatewise.demo import run

    found = run(folder, seed=seed, say=say if as_json else click.echo)
    if as_json:
        emit(found)
