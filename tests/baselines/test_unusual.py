"""The methods that score windows, against formulas worked out in other ways."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from gatewise.baselines import method
from gatewise.baselines import unusual as module
from gatewise.baselines.unusual import IsolationForestWindows, KMeansWindows, PCAWindows, unusual
from gatewise.errors import InputError


def waves(n=200, length=8, seed=0):
    rng = np.random.default_rng(seed)
    t = rng.uniform(0, 2 * np.pi, (n, 1)) + np.arange(length) * 0.4
    return np.stack([100 + np.sin(t), 5 * np.cos(t)], axis=2) + 0.01 * rng.normal(size=(n, length, 2)), rng


def vectors(x, of):
    return ((of - x.mean((0, 1))) / x.std((0, 1))).reshape(len(of), -1)


@pytest.mark.parametrize("n", [200, 10])  # more and fewer windows than values in one
def test_pca_against_an_svd(n, monkeypatch):
    monkeypatch.setattr(method, "CHUNK_BYTES", 2000)
    x, rng = waves(n)
    new = x[:50] + rng.normal(size=x[:50].shape)
    z, other = vectors(x, x), vectors(x, new)
    _, sizes, basis = np.linalg.svd(z - z.mean(0))
    leading = basis[: np.searchsorted(np.cumsum(sizes**2) / (sizes**2).sum(), 0.9, side="right") + 1]
    rest = (other - z.mean(0)) @ (np.eye(16) - leading.T @ leading)
    found = PCAWindows(0.9).fit(x)
    assert found.parameters == len(leading) * 16 + 16
    assert np.allclose(found.score(new), np.sqrt((rest**2).mean(1)), rtol=1e-8)


def test_kmeans_finds_the_nearest_centre():
    x, rng = waves()
    new = x[:50] + rng.normal(size=x[:50].shape)
    found = KMeansWindows(clusters=5).fit(x)
    centres = found.model_.cluster_centers_
    z = vectors(x, new)
    wanted = [min(np.sqrt(np.mean((row - centre) ** 2)) for centre in centres) for row in z]
    assert np.allclose(found.score(new), wanted, rtol=1e-8)
    # The centres are means of the windows that are nearest to them.
    z = vectors(x, x)
    nearest = ((z[:, None] - centres) ** 2).sum(2).argmin(1)
    assert np.allclose(centres, [z[nearest == k].mean(0) for k in range(5)], atol=1e-6)
    assert found.parameters == 5 * 16


def test_normalised_kmeans_sees_shapes_only():
    x, _ = waves()
    found = KMeansWindows(normalise=True).fit(x)
    assert np.allclose(found.score(x * 3.0 + 50.0), found.score(x), rtol=1e-6)
    assert not np.allclose(KMeansWindows().fit(x).score(x * 3.0 + 50.0), KMeansWindows().fit(x).score(x), rtol=0.1)
    steady = np.full((1, 8, 2), 100.0) + 1e-9 * x[:1]
    assert np.allclose(found.score(steady), found.score(np.full((1, 8, 2), 100.0)))  # rounding is no shape


def test_isolation_forest_is_that_of_scikit_learn():
    x, rng = waves()
    new = x[:50] + rng.normal(size=x[:50].shape)
    peer = IsolationForest(n_estimators=100, random_state=3).fit(vectors(x, x))
    found = IsolationForestWindows(random_state=3).fit(x)
    assert np.array_equal(found.score(new), -peer.score_samples(vectors(x, new)))
    splits = sum((tree.tree_.feature >= 0).sum() for tree in peer.estimators_)
    assert found.parameters == 2 * splits


def test_what_is_planted_is_found():
    x, _ = waves(300)
    new, _ = waves(100, seed=1)
    new[40, 3:6, 0] += 2.0
    for each in unusual(1):
        scores = each.fit(x).score(new)
        assert scores.argmax() == 40, each.name
        assert each.bytes > 0


def test_windows_without_variation():
    x = np.full((30, 4, 2), 7.0)
    for each in [*unusual(), KMeansWindows(normalise=True)]:
        scores = each.fit(x).score(x)
        assert np.isfinite(scores).all(), each.name
        assert np.ptp(scores) == 0, each.name
    assert PCAWindows().fit(x).score(x + 1.0)[0] == pytest.approx(1.0)
    assert PCAWindows(1.0).fit(waves()[0]).score(waves()[0]).max() == pytest.approx(0.0, abs=1e-9)


def test_samples_of_many_windows_are_seeded(monkeypatch):
    monkeypatch.setattr(module, "MOST_NUMBERS", 0)
    x, _ = waves(300)
    one, same, other = (PCAWindows(random_state=seed).fit(x).score(x) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_refusals():
    x, _ = waves()
    bad = x.copy()
    bad[7, 1, 0] = np.inf
    with pytest.raises(InputError, match="window 7 is inf in row 1, column 0"):
        PCAWindows().fit(bad)
    with pytest.raises(InputError, match="window 7 is inf in row 1, column 0"):
        PCAWindows().fit(x).score(bad)
    with pytest.raises(InputError, match="'kmeans' is not fitted"):
        KMeansWindows().score(x)
    with pytest.raises(InputError, match=r"windows of shape \(8, 2\), got \(7, 2\)"):
        PCAWindows().fit(x).score(x[:, 1:])
    for wrong in (0, 1.5, True):
        with pytest.raises(InputError, match="variance must be a share"):
            PCAWindows(wrong).fit(x)
    for wrong in (0, 2.5, True):
        with pytest.raises(InputError, match="clusters must be a whole number"):
            KMeansWindows(wrong).fit(x)
