"""The S-shaped rectified linear unit."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cb")
class SReLU(keras.layers.Layer):
    """Applies three straight lines, which every unit learns for itself.

    ```
    t_left + a_left * (x - t_left)        for x <= t_left
    x                                     for t_left < x < right
    right + a_right * (x - right)         for x >= right
    ```

    where `right = t_left + abs(t_right)`. At first `t_left` is 0, `a_left`
    uniform in [0, 1), `t_right` uniform in [0, 5) and `a_right` 1.

    Input and output are tensors `(batch, ...)` of the same shape.

    Reference:

    - [Jin et al., 2015](https://arxiv.org/abs/1512.07030)

    Example:

    >>> layer = cb.layers.SReLU()
    >>> layer(np.array([[1.0, 2.0]])).numpy()
    array([[1., 2.]], dtype=float32)
    """

    def build(self, input_shape):
        uniform = keras.initializers.RandomUniform
        for name, initializer in (
            ("t_left", "zeros"),
            ("a_left", uniform(0.0, 1.0)),
            ("t_right", uniform(0.0, 5.0)),
            ("a_right", "ones"),
        ):
            weight = self.add_weight(
                shape=input_shape[1:], initializer=initializer, name=name
            )
            setattr(self, name, weight)

    def call(self, inputs):
        width = ops.abs(self.t_right)
        beyond = inputs - self.t_left
        # The middle, then what lies left and right of it.
        inside = ops.minimum(ops.relu(beyond), width)
        left = self.a_left * ops.minimum(beyond, 0.0)
        right = self.a_right * ops.relu(beyond - width)
        return self.t_left + inside + left + right

    def compute_output_shape(self, input_shape):
        return input_shape
