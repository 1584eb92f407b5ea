"""The base of optimizers that wrap others."""

import keras


class OptimizerWrapper(keras.optimizers.Optimizer):
    """Delegates to the optimizer `current`.

    Args:
        name: String.
    """

    def __init__(self, name: str):
        super().__init__(learning_rate=0.0, name=name)

    @property
    def current(self) -> keras.optimizers.Optimizer:
        """The optimizer at work."""
        raise NotImplementedError

    @property
    def learning_rate(self):
        return self.current.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.current.learning_rate = learning_rate

    def ensure_built(self, variables):
        """Build all slots, if they are not, under the name of this one."""
        if not self.built:
            with keras.name_scope(self.name):
                self.build(list(variables))

    @property
    def wrapped(self) -> list[keras.optimizers.Optimizer]:
        """All optimizers that this one delegates to."""
        return [self.current]

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Exclude variables from the decay of the optimizers inside."""
        for optimizer in self.wrapped:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    def scale_loss(self, loss):
        return self.current.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.current.finalize_variable_values(var_list)


def as_optimizer(optimizer) -> keras.optimizers.Optimizer:
    """Return an optimizer that may be given as its configuration."""
    if isinstance(optimizer, dict):
        return keras.optimizers.deserialize(optimizer)
    return optimizer
