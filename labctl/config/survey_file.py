"""The rules by which a rig's range surveys are judged, and how they probe."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import model_validator

from labctl.config.fields import Real, Strict, Whole, wrong
from labctl.config.times import Duration, Within

_Db = Annotated[float, Real(0, 60)]


class Survey(Strict):
    """Settings for `labctl survey`. A survey keeps those that it was begun with."""

    pass_margin_db: _Db = 10.0
    """So far above the sensitivity the 10th percentile has to be shown to be, to pass."""
    fail_margin_db: _Db = 3.0
    """With less it fails; between the two it is marginal."""
    loss_limit: Annotated[float, Real(0.02, 0.5)] = 0.1
    """Fewer than this share have to be shown to be lost."""
    confidence: Annotated[float, Real(0.8, 0.99)] = 0.95
    """With which a margin or a delivery counts as shown."""
    lower_db: _Db = 6.0
    """Said besides: whether it would pass with so much less power."""
    plan: Literal["sequential", "fixed"] = "sequential"
    """Whether probing ends as soon as all is certain, or after a fixed number."""
    least_probes: Annotated[int, Whole(5, 60)] = 10
    """Nothing is decided before."""
    most_probes: Annotated[int, Whole(20, 2000)] = 180
    """Nothing is sent after: what is open then is incomplete."""
    every: Annotated[Duration, Within("200ms", "60s")] = timedelta(seconds=1)
    """How often a device is probed."""
    airtime_share: Annotated[float, Real(0.1, 1)] = 0.9
    """How much of the airtime that is called limited may be used on 868 MHz, other traffic
    included."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Survey:
        if self.fail_margin_db > self.pass_margin_db:
            raise wrong("the margin that fails is above the one that passes")
        if self.least_probes > self.most_probes:
            raise wrong("there are more least probes than most")
        return self
