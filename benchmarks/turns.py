"""Contestants that train in turns, so that a busy machine is fair to all."""

import time

# Time that passes; time that processors spend on this process, all together.
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def stopwatch(library, clock):
    """Return a callback of a Keras library that times its epochs."""

    class Stopwatch(library.callbacks.Callback):
        """Times the epoch, without what `fit` does before and after."""

        def on_epoch_begin(self, epoch, logs=None):
            self.start = CLOCKS[clock]()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = CLOCKS[clock]() - self.start

    return Stopwatch()


def turn(library, model, dataset, callbacks, steps, clock="wall", **options):
    """Train for one turn; return the seconds of a step."""
    watch = stopwatch(library, clock)
    model.fit(
        dataset,
        epochs=1,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[*callbacks, watch],
        **options,
    )
    return watch.seconds / steps


def take_turns(runs, turns):
    """Let all train in turns and time them.

    Args:
        runs: Dict of name to a function that trains for a turn and returns
            the seconds of a step.
        turns: Integer, beside a first one that compiles.

    Returns:
        Dict of name to the seconds of a step, turn by turn.
    """
    seconds = {name: [] for name in runs}
    for number in range(turns + 1):
        for name, run in runs.items():
            taken = run()
            if number:
                seconds[name].append(taken)
    return seconds
