"""What layers whose kernel is no variable refuse."""


class ComputedKernel:
    """Mixin: refuses what Keras does to the variable of a kernel."""

    def enable_lora(self, *args, **kwargs):
        """Refuse: a low-rank update would not stay sparse or shared."""
        self._refuse_until_stripped("take LoRA weights")

    def quantize(self, *args, **kwargs):
        """Refuse: the kernel would be computed no more."""
        self._refuse_until_stripped("be quantized")

    def _refuse_until_stripped(self, action):
        raise ValueError(
            f"Layer {self.name!r} computes its kernel and cannot {action}. "
            "Use `cb.strip(model)` first."
        )
