"""Refuses executions of several steps that would skip what is due."""

from cb.errors import argument_error
from cb.schedules import StepSchedule


def check_length(steps_per_execution: int, batches: int) -> None:
    """Refuse executions that would run on into the next epoch.

    Args:
        steps_per_execution: Integer.
        batches: Integer, those up to the end of the epoch.

    Raises:
        InputError: If they are no multiple of it.
    """
    if batches % steps_per_execution:
        expected = f"a divisor of the {batches} batches up to an epoch's end"
        raise argument_error(
            "steps_per_execution", expected, steps_per_execution
        )


def check_events(
    steps_per_execution: int, period: StepSchedule | None, accumulation: int
) -> None:
    """Refuse executions in the middle of which connections would move.

    Args:
        steps_per_execution: Integer, in batches.
        period: `StepSchedule` of the events, in updates, or `None`.
        accumulation: Integer, batches in an update.

    Raises:
        InputError: If an event is due inside of one.
    """
    if period is None or steps_per_execution == 1:
        return
    step = 0
    while (due := period.next(step)) is not None:
        step = due
        if step * accumulation % steps_per_execution:
            expected = (
                "a divisor of the batches before every event of the "
                f"reallocation, of which one is due after step {step}"
            )
            raise argument_error(
                "steps_per_execution", expected, steps_per_execution
            )
