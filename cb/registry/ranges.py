"""Numbers of common ranges, for annotations."""

from typing import Annotated

from cb.registry.annotations import Interval

Count = Annotated[int, Interval("[1, inf)")]
Natural = Annotated[int, Interval("[0, inf)")]
Positive = Annotated[float, Interval("(0, inf)")]
NotNegative = Annotated[float, Interval("[0, inf)")]
Fraction = Annotated[float, Interval("[0, 1]")]
# A fraction of something that is never all of it.
Rate = Annotated[float, Interval("[0, 1)")]
OpenFraction = Annotated[float, Interval("(0, 1)")]
