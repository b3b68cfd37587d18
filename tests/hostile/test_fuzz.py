"""Some attacks of each kind in every test; `python tests/hostile/fuzz.py --seconds 600` makes a million others."""

import os

import pytest

from hostile.fuzz import TARGETS, attack

ATTACKS = int(os.environ.get("GATEWISE_FUZZ_ATTACKS", "500"))


@pytest.mark.parametrize("target", TARGETS)
def test_attacks_are_refused_or_do_no_harm(target: str) -> None:
    taken = sum(attack(target, number) for number in range(ATTACKS))
    if target.endswith("damaged"):
        assert taken == 0
    else:
        assert ATTACKS / 20 < taken < ATTACKS / 2, "forgeries must reach the models, and most must not"
