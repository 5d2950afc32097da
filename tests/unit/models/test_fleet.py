from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from models.autoencoder import Autoencoder
from models.fleet import FleetAutoencoder
from schemas.errors import ConfigError, UnreadableInput

WIDTH = 6
NAMES = [f"sensor {at}" for at in range(WIDTH)]
EACH = Autoencoder("dense", hidden=(16,), code=2, epochs=15, batch_size=32, learning_rate=5e-3)
ROWS = {"press": 900, "lathe": 500, "mill": 640, "drill": 60}


def made_rows(machine, rows, seed=0):
    """Two hidden numbers decide a machine's sensors; each machine has its own way and its own scale."""
    own = np.random.default_rng(sum(map(ord, machine)))
    random = np.random.default_rng([seed, sum(map(ord, machine))])
    mixing, scale, offset = own.normal(size=(2, WIDTH)), 10 ** own.uniform(-2, 3), own.normal(size=WIDTH) * 100
    return (np.tanh(random.normal(size=(rows, 2)) @ mixing) + 0.05 * random.normal(size=(rows, WIDTH))) * scale + offset


def of_all(rows=ROWS, seed=0):
    """Rows of all machines in turn, as they would come in."""
    numbers = np.concatenate([made_rows(machine, count, seed) for machine, count in rows.items()])
    order = np.random.default_rng(seed).permutation(len(numbers))
    return pd.DataFrame(numbers[order], columns=NAMES), np.repeat(list(rows), list(rows.values()))[order]


@pytest.fixture(scope="module")
def fleet():
    return FleetAutoencoder(EACH).fit(*of_all())


def test_a_machine_with_few_rows_is_scored_by_the_model_of_all_and_it_is_said(fleet):
    assert fleet.reasons_ == {"drill": "60 rows, and 200 are due"}
    assert fleet.of("drill") is fleet.of("never seen") is fleet.shared_
    rows = pd.DataFrame(made_rows("drill", 5), columns=NAMES)
    for name in ("drill", "never seen"):
        assert np.array_equal(fleet.score(rows, [name] * 5), fleet.shared_.score(rows))
    assert np.array_equal(fleet.is_alert(rows, ["drill"] * 5), fleet.shared_.predict(rows) == -1)


@pytest.mark.parametrize("machine", ["press", "lathe", "mill"])
def test_each_is_what_it_would_be_alone(fleet, machine):
    rows, machines = of_all()
    own = rows[machines == machine]
    alone = clone(EACH).fit(own)
    new = pd.DataFrame(made_rows(machine, 50, seed=1), columns=NAMES)
    assert np.allclose(fleet.score(new, [machine] * 50), alone.score(new), rtol=1e-4)
    assert np.allclose(fleet.p_value(new, [machine] * 50), alone.p_value(new))
    assert np.allclose(fleet.curves_[machine].held_out, alone.curve_.held_out, rtol=1e-4)


def test_rows_that_do_not_hang_together_score_high_whichever_machine_they_are_of(fleet):
    usual, machines = of_all({"press": 300, "lathe": 300, "mill": 300}, seed=2)
    for machine in ("press", "lathe", "mill"):
        own = usual[machines == machine]
        odd = pd.DataFrame(np.random.default_rng(0).permuted(own.to_numpy(), axis=0), columns=NAMES)
        scores = fleet.score(pd.concat([own, odd]), [machine] * 600)
        assert roc_auc_score(np.repeat([0, 1], 300), scores) > 0.9
    assert fleet.is_alert(usual, machines).mean() < 0.05


def test_a_score_depends_on_no_other_row(fleet):
    rows, machines = of_all(seed=3)
    whole = fleet.score(rows, machines)
    assert np.array_equal(fleet.score(rows[::3], machines[::3]), whole[::3])


def test_one_of_them_is_an_autoencoder_that_can_be_saved(fleet, tmp_path):
    fleet.of("press").save(tmp_path / "press")
    rows = pd.DataFrame(made_rows("press", 50, seed=1), columns=NAMES)
    again = Autoencoder.load(tmp_path / "press")
    assert np.array_equal(again.score(rows), fleet.score(rows, ["press"] * 50))
    assert again.predict(rows).tolist() == np.where(fleet.is_alert(rows, ["press"] * 50), -1, 1).tolist()
    assert again.encode(rows).shape == (50, 2)


def test_layers_whose_weights_the_export_changes_are_exported_one_by_one():
    rows, machines = of_all({"press": 400, "mill": 400})
    normalised = clone(EACH).set_params(batch_norm=True, epochs=4)
    fleet = FleetAutoencoder(normalised).fit(rows, machines)
    own = rows[machines == "mill"]
    assert np.allclose(fleet.score(own, ["mill"] * 400), clone(normalised).fit(own).score(own), rtol=1e-3)


def test_a_machine_that_cannot_be_learned_from_says_why():
    rows, machines = of_all({"press": 300, "mill": 300})
    rows.loc[machines == "mill", NAMES[2]] = np.nan
    fleet = FleetAutoencoder(clone(EACH).set_params(epochs=2)).fit(rows, machines)
    assert fleet.reasons_ == {"mill": "all values are missing in column 'sensor 2'"}
    assert np.isfinite(fleet.score(rows, machines)).all()


@pytest.mark.parametrize(
    ("entities", "said"),
    [(["a"] * 3, "3 entities are given for 300 rows"), (["a"] * 299 + [None], "row 300 has no entity")],
)
def test_entities_that_do_not_fit_the_rows_are_refused(entities, said):
    with pytest.raises(UnreadableInput, match=said):
        FleetAutoencoder(EACH).fit(made_rows("press", 300), entities)


def test_a_wrong_width_is_refused(fleet):
    with pytest.raises(UnreadableInput, match="have 2 columns, and the fleet was fitted on 6"):
        fleet.score(np.zeros((3, 2)), ["press"] * 3)


def test_each_machines_threshold_comes_about_as_asked():
    by_p_value = clone(EACH).set_params(epochs=2, threshold_method="p_value", alert_share=0.05)
    rows, machines = of_all({"press": 400, "lathe": 300, "drill": 60})
    fleet = FleetAutoencoder(by_p_value).fit(rows, machines)
    flags = fleet.is_alert(rows, machines)
    assert np.array_equal(flags, fleet.p_value(rows, machines) <= 0.05)
    assert 0 < flags.mean() < 0.1


def test_a_wrong_setting_is_told():
    with pytest.raises(ConfigError, match="did you mean `dense`"):
        FleetAutoencoder(Autoencoder("dens")).fit(made_rows("press", 300), ["a"] * 300)
