"""Schedules against the formulas of their papers."""

import math

import pytest

from recurra.core.config import parse
from recurra.training.schedule import (
    SCHEDULES,
    CosineConfig,
    ExponentialConfig,
    LinearConfig,
    OneCycleConfig,
    PlateauConfig,
    Schedule,
    SlantedTriangularConfig,
    StepConfig,
)


def test_warm_up_rises_linearly_and_then_hands_over():
    schedule = Schedule(LinearConfig(warmup_updates=4), total_updates=14, updates_per_epoch=7)
    assert [schedule.factor(u) for u in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert schedule.factor(4) == 1.0
    assert schedule.factor(9) == pytest.approx(0.5)


def test_cosine_ends_at_its_final_value():
    schedule = Schedule(CosineConfig(final=0.1), 100, 10)
    assert schedule.factor(0) == 1.0
    assert schedule.factor(50) == pytest.approx(0.55)
    assert schedule.factor(100) == pytest.approx(0.1)


def test_step_and_exponential_count_epochs():
    step = Schedule(StepConfig(every_epochs=2, gamma=0.5, first_epoch=1), 100, 10)
    assert [step.factor(u) for u in (0, 10, 29, 30, 50)] == [1.0, 1.0, 1.0, 0.5, 0.25]
    smooth = Schedule(ExponentialConfig(gamma=0.25), 100, 10)
    assert smooth.factor(5) == pytest.approx(0.5)


def test_slanted_triangular_is_equation_3_of_howard_and_ruder():
    config, total = SlantedTriangularConfig(rise=0.1, ratio=32), 1000
    schedule, cut = Schedule(config, total, 100), math.floor(1000 * 0.1)
    for update in (0, 50, 99, 100, 101, 500, 999):
        p = update / cut if update < cut else 1 - (update - cut) / (cut * (1 / 0.1 - 1))
        assert schedule.factor(update) == pytest.approx((1 + p * 31) / 32)


def test_one_cycle_rises_and_falls():
    schedule = Schedule(OneCycleConfig(rise=0.25), 100, 10)
    values = [schedule.factor(u) for u in range(101)]
    assert values[0] == pytest.approx(1 / 25)
    assert values.index(max(values)) == 25
    assert values[100] == pytest.approx(1e-4)


def test_plateau_falls_after_patience_and_survives_a_checkpoint():
    schedule = Schedule(PlateauConfig(gamma=0.1, patience=2), 100, 10)
    for improved in (True, False, True, False):
        schedule.after_evaluation(improved)
    again = Schedule(PlateauConfig(gamma=0.1, patience=2), 100, 10)
    again.load_state_dict(schedule.state_dict())
    again.after_evaluation(False)
    assert schedule.factor(0) == 1.0
    assert again.factor(0) == pytest.approx(0.1)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_every_schedule_stays_within_zero_and_one(kind):
    schedule = Schedule(parse(SCHEDULES[kind], {"warmup_updates": 3}), 50, 7)
    assert all(0 <= schedule.factor(update) <= 1 for update in range(50))
