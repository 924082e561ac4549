"""Where values lie on an axis: a grid's in places with their very values as ticks, drawn ones in proportion."""

import numpy as np
import pytest

from agents.reports import value_axis


def test_a_grids_numbers_have_places_in_order_and_ticks_of_the_very_values():
    along = value_axis.of([0.999, 0.9, 0.99, 0.9], log_scaled=False)
    assert along.places.tolist() == [2, 0, 1, 0]
    assert (along.ticks, along.labels) == ((0, 1, 2), ("0.9", "0.99", "0.999"))
    assert (along.log, along.ordered) == (False, True)


def test_a_grid_of_a_logarithmic_range_is_logarithmic_with_a_tick_at_each_value():
    values = [1e-4, 1e-3, 1e-2]
    along = value_axis.of(2 * values, log_scaled=True)
    assert along.places.tolist() == 2 * values
    assert (along.ticks, along.log) == (tuple(values), True)
    assert along.limits[0] < 1e-4 < 1e-2 < along.limits[1]


@pytest.mark.parametrize("log_scaled", [False, True])
def test_numbers_drawn_from_a_range_lie_in_proportion(log_scaled):
    drawn = np.random.default_rng(0).uniform(0.1, 1.0, 5).tolist()
    along = value_axis.of(drawn, log_scaled)
    assert along.places.tolist() == drawn
    assert (along.ticks, along.log) == (None, log_scaled)


def test_many_numbers_of_a_grid_lie_in_proportion():
    along = value_axis.of([0.1 * i for i in range(9)], log_scaled=False)
    assert along.ticks is None


def test_choices_are_in_order_numbers_and_lists_by_themselves():
    along = value_axis.of([[64, 64], [8], [16, 16], [8]], log_scaled=False)
    assert along.labels == ("[8]", "[16, 16]", "[64, 64]")
    assert along.places.tolist() == [2, 0, 1, 0]
    assert not along.ordered
    assert value_axis.of([True, False], False).labels == ("false", "true")


def test_one_value_has_a_place():
    assert value_axis.of([0.5, 0.5], log_scaled=True).limits[0] < 0.5
    assert value_axis.of([0.5], log_scaled=False).labels == ("0.5",)
