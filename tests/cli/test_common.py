"""Numbers for people."""

import pytest

from gatewise.cli.common import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (135.2e-9, "135 ns"),
        (999.4e-9, "999 ns"),
        (999.9e-9, "1 us"),
        (2.414e-6, "2.41 us"),
        (0.9996, "1.0 s"),
        (1234.5, "1234.5 s"),
    ],
)
def test_durations_have_no_exponent(seconds: float, text: str) -> None:
    assert duration(seconds) == text
