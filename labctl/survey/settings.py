"""How a survey probes, and the rules of its verdicts, as they are kept with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from labctl.config.survey_file import Survey
from labctl.statistics.rules import PlanKind, Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveySettings:
    """`every_s` apart is when each device is probed: 32 probes, the fewest that pass, take half a
    minute. An answer is waited for up to `answer_s`. On 868 MHz neither the hub nor a device is
    probed into more than `airtime_share` (0 to 1) of what is called limited (R22 annex D). A device
    that lost the hub at the last place is waited for up to `back_within_s` at the next one.
    """

    rules: Rules = field(default_factory=Rules)
    every_s: float = 1.0
    answer_s: float = 5.0
    airtime_share: float = 0.9
    back_within_s: float = 180.0

    def __post_init__(self) -> None:
        if (
            min(self.every_s, self.answer_s, self.back_within_s) <= 0
            or not 0 < self.airtime_share <= 1
        ):
            raise ValueError("times are longer than nothing, and a share is from 0 to 1")

    @classmethod
    def of_the_rig(cls, survey: Survey) -> SurveySettings:
        """As the rig file says."""
        return cls(
            rules=Rules(
                plan=PlanKind(survey.plan),
                loss_limit=survey.loss_limit,
                confidence=survey.confidence,
                least_probes=survey.least_probes,
                most_probes=survey.most_probes,
                pass_margin_db=survey.pass_margin_db,
                fail_margin_db=survey.fail_margin_db,
                lower_db=survey.lower_db,
            ),
            every_s=survey.every.total_seconds(),
            airtime_share=survey.airtime_share,
        )

    def as_json(self) -> str:
        """All of it, for the record."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SurveySettings:
        """What `as_json` gave."""
        kept = json.loads(text)
        rules = kept.pop("rules")
        return cls(rules=Rules(**{**rules, "plan": PlanKind(rules["plan"])}), **kept)
