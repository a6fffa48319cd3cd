"""Trajectories against those that The Virtual Brain 2.10 and neurolib 0.6 computed.

The network has 8 regions, asymmetric weights and lags from 0 to 39 steps, and takes 1000 steps in
float64. The Virtual Brain keeps its history and its weights in float32. The weights here are exact in
float32, but every delayed state is rounded to 7 digits, and so is the agreement. neurolib has float64
throughout.
"""

import numpy as np
import pytest
from reference.cases import CASES, RUNS, connectome
from reference.compare import error, recorded, uncoupled

TOLERANCE = {"tvb": 1e-5, "neurolib": 1e-12}
# The default run has each model under one coupling and scheme; the others are thorough.
EACH_NODE = {case.node: name for name, case in CASES.items()}.values()
COMPARED = [
    run
    if run[0] in EACH_NODE and run[1] == CASES[run[0]].schemes[-1]
    else pytest.param(*run, marks=pytest.mark.thorough)
    for run in RUNS
]


@pytest.mark.parametrize(("name", "scheme"), COMPARED)
def test_trajectory_is_the_simulators(name, scheme):
    assert error(name, scheme) < TOLERANCE[CASES[name].simulator]


@pytest.mark.parametrize(("name", "scheme"), RUNS)
def test_uncoupling_the_simulator_changes_its_trajectory_by_more_than_a_tenth(name, scheme):
    assert uncoupled(name, scheme) > 0.1


@pytest.mark.every(3)
@pytest.mark.parametrize("name", EACH_NODE)
def test_a_network_that_is_uncoupled_or_turned_round_is_not_the_simulators(name):
    turned = recorded()["weights"].T
    assert error(name, "euler", k=0.0) > 0.1
    assert error(name, "euler", weights=turned) > 1e-2


def test_the_connectome_of_the_record_could_show_a_mistake():
    weights, lengths = connectome()
    file = recorded()
    assert (file["weights"] == weights).all()
    assert (file["lengths"] == lengths).all()
    assert np.abs(weights - weights.T).max() > 0.1
    lags = np.rint(lengths / 0.3)[weights > 0]
    assert lags.min() == 0
    assert lags.max() == 39
    assert len(set(lags)) > 20


def test_every_model_that_a_simulator_has_was_recorded():
    missing = ["threshold_linear", "horn", "xy", "van_der_pol", "wendling", "lorenz"]
    from coupling_fn import nodes

    assert {case.node for case in CASES.values()} == set(nodes.catalog()) - set(missing)
