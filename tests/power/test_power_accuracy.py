"""The energy of known loads through meters of every kind: docs/measurement.md has the table."""

from benchmarks.energy_accuracy import KNOWLEDGE, run_case, summary


def test_the_interval_holds_the_truth_and_is_narrow() -> None:
    cases = [run_case(number, KNOWLEDGE[number % 3]) for number in range(2400)]
    enough = [case for case in cases if case.n_refreshes >= 60]
    assert len(enough) >= 2000
    for group in (cases, enough, *([case for case in enough if case.knows == knows] for knows in KNOWLEDGE)):
        _, held, median_error, bias, half_width = summary(group)
        assert held >= 0.93
        assert median_error < 0.005
        assert abs(bias) < 0.005
        assert half_width < 0.02
