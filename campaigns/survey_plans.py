"""How often a survey's verdicts are wrong, what it costs in probes, and whether intervals cover.

    python campaigns/survey_plans.py [--seed 1] [--waypoints 2000] [--houses 20] [--links 2000]

Four questions, each of the same code that decides a survey:

* what the plans do with independent probes, exactly;
* how often a link that is just not good enough passes when probes are correlated, with and without
  the design effect;
* whether the shown intervals contain the true delivery ratio;
* in drawn houses with known truth: wrong passes, agreement, asymmetry, and probes for a fixed 61.

Fading is the air's (Rician, K = 6 dB), but from probe to probe its scattered part keeps a fraction
`rho`: a first-order autoregression. The air itself draws it anew for each frame (rho = 0). Exits
with 1, and says so, unless

* links at the limit pass at most 5 % of the time at every rho,
* intervals contain the true ratio 93 to 97 % of the time,
* at most 5 % of the links in houses that do not pass in truth are passed,
* and a survey in the air's own fading takes at most 60 % of the fixed plan's probes.
"""

from __future__ import annotations

import argparse
import bisect
import collections
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from labctl.statistics.intervals import wilson
from labctl.statistics.plans import fixed_plan, operating_characteristic
from labctl.statistics.reach import Direction, DirectionProbes, Link, PlanKind, Reach, Rules, link
from labctl.virtual.house import House, Slab, Stuff, Wall
from labctl.virtual.propagation import Position, Propagation, reception_probability

FIXED = 61
RHOS = (0.0, 0.3, 0.5, 0.7, 0.85, 0.95)
COVERAGE_RHOS = (0.0, 0.5, 0.8)
TRUSTING = Rules(correlation_counts=False)
"""Takes every probe for independent: what the design effect is there to prevent."""
FIXED_RULES = Rules(correlation_counts=False, plan=PlanKind.FIXED)
SENSITIVITY_DBM = {2440.0: -100.0, 868.0: -104.0}
HUB_DBM = {2440.0: 8.0, 868.0: 14.0}
DEVICE_DBM = {2440.0: 8.0, 868.0: 14.0}
ONE_WAY_DB = 12.0
ONE_WAY_SHARE = 0.1
MATERIALS = (
    Stuff("internal", 3, 5),
    Stuff("brick", 6, 10),
    Stuff("stone", 12, 20),
    Stuff("foil", 25, 35),
)

_PROPAGATION = Propagation()
_K = 10 ** (_PROPAGATION.rician_k_db / 10)
_STEADY, _SPREAD = math.sqrt(_K / (_K + 1)), math.sqrt(1 / (2 * (_K + 1)))
FADES = _PROPAGATION.fading_table()


def fading(rng: random.Random, rho: float, block: int = 1) -> Iterator[float]:
    """Fades in dB, probe after probe; `block` probes in a row meet the same one."""
    keep, new = rho, math.sqrt(1 - rho * rho)
    real, imaginary = rng.gauss(0, 1), rng.gauss(0, 1)
    while True:
        power = (_STEADY + _SPREAD * real) ** 2 + (_SPREAD * imaginary) ** 2
        for _ in range(block):
            yield 10 * math.log10(max(power, 1e-6))
        real = keep * real + new * rng.gauss(0, 1)
        imaginary = keep * imaginary + new * rng.gauss(0, 1)


@dataclass(frozen=True, slots=True)
class Truth:
    """What a direction really does: shares over all fades."""

    mean_dbm: float
    sensitivity_dbm: float

    def short_of(self, margin_db: float) -> float:
        """The share of packets that are lost, or less than so far above the sensitivity."""
        least = self.sensitivity_dbm + margin_db - self.mean_dbm
        arrived = sum(
            reception_probability(self.mean_dbm + fade, self.sensitivity_dbm, None)
            for fade in FADES[bisect.bisect_left(FADES, least) :]
        )
        return 1 - arrived / len(FADES)

    @property
    def lost(self) -> float:
        """The share of packets that do not arrive."""
        return self.short_of(-1000.0)

    def verdict(self, rules: Rules) -> Reach:
        """What an endless survey would say."""
        if max(self.lost, self.short_of(rules.fail_margin_db)) >= rules.loss_limit:
            return Reach.FAIL
        full = self.short_of(rules.pass_margin_db) < rules.loss_limit
        return Reach.PASS if full else Reach.MARGINAL


class Air:
    """One direction whose probes are sent one by one."""

    def __init__(
        self, rng: random.Random, truth: Truth, rho: float, rules: Rules, block: int = 1
    ) -> None:
        self.rng, self.truth = rng, truth
        self.fades = fading(rng, rho, block)
        self.probes = DirectionProbes(truth.sensitivity_dbm, rules)

    def probe(self) -> None:
        """One probe."""
        dbm = self.truth.mean_dbm + next(self.fades)
        chance = reception_probability(dbm, self.truth.sensitivity_dbm, None)
        self.probes.add(round(dbm) if self.rng.random() < chance else None)

    def survey(self) -> Direction:
        """Probes until it is settled."""
        while not self.probes.settled:
            self.probe()
        return self.probes.result()


def just_not(margin_db: float, sensitivity_dbm: float, rules: Rules) -> Truth:
    """A direction that is short of the margin exactly as often as the limit says.

    Levels are reported in whole dBm: from half a decibel below a level counts as that level.
    """
    low, high = sensitivity_dbm, sensitivity_dbm + 60
    for _ in range(40):
        middle = (low + high) / 2
        if Truth(middle, sensitivity_dbm).short_of(margin_db - 0.5) > rules.loss_limit:
            low = middle
        else:
            high = middle
    return Truth(low, sensitivity_dbm)


@dataclass(slots=True)
class Outcome:
    """How links of one sort came out."""

    verdicts: collections.Counter[Reach] = field(default_factory=collections.Counter)
    probes: int = 0

    def add(self, result: Direction) -> None:
        """One more."""
        self.verdicts[result.verdict] += 1
        self.probes += result.probes

    @property
    def count(self) -> int:
        """Links."""
        return self.verdicts.total()

    def share(self, verdict: Reach) -> float:
        """How many of them, 0 to 1."""
        return self.verdicts[verdict] / self.count

    @property
    def mean_probes(self) -> float:
        """For each link."""
        return self.probes / self.count


def at_margin(
    seed: int, above_db: float, rho: float, links: int, rules: Rules | None = None, block: int = 1
) -> Outcome:
    """Links whose 10th percentile is so far above the one that just does not pass."""
    rules = rules or Rules()
    edge = just_not(rules.pass_margin_db, -100.0, rules)
    truth = Truth(edge.mean_dbm + above_db, edge.sensitivity_dbm)
    outcome = Outcome()
    for number in range(links):
        rng = random.Random(f"{seed} {above_db} {rho} {block} {number}")
        outcome.add(Air(rng, truth, rho, rules, block).survey())
    return outcome


def at_loss(seed: int, rho: float, links: int, rules: Rules | None = None) -> Outcome:
    """Links that lose exactly the limit, at levels whose margin would do: interference's doing."""
    rules = rules or Rules()
    outcome = Outcome()
    for number in range(links):
        rng = random.Random(f"loss {seed} {rho} {number}")
        taken = DirectionProbes(-100.0, rules)
        lost = rng.random() < rules.loss_limit
        while not taken.settled:
            taken.add(None if lost else round(-60 + rng.gauss(0, 2)))
            if rng.random() >= rho:
                lost = rng.random() < rules.loss_limit
        outcome.add(taken.result())
    return outcome


STRATA = (0.01, 0.1, 0.5, 0.9, 0.99, 1.0)


@dataclass(slots=True)
class Coverage:
    """How many intervals contain the true delivery ratio."""

    waypoints: int = 0
    shown: int = 0
    plain: int = 0
    """The same if every probe were taken for independent."""

    def add(self, result: Direction, ratio: float, confidence: float) -> None:
        """One more interval."""
        self.waypoints += 1
        self.shown += ratio in result.interval
        self.plain += ratio in wilson(result.levels.delivered, result.probes, confidence)

    @property
    def share(self) -> float:
        """Of the shown intervals."""
        return self.shown / self.waypoints

    @property
    def plain_share(self) -> float:
        """Of the plain ones."""
        return self.plain / self.waypoints


def coverage(
    seed: int, rho: float, waypoints: int, rules: Rules | None = None
) -> tuple[Coverage, dict[float, Coverage]]:
    """Over waypoints from out of reach to 25 dB above the sensitivity, and by the true ratio."""
    rules = rules or Rules()
    over_all, strata = Coverage(), {upto: Coverage() for upto in STRATA}
    for number in range(waypoints):
        rng = random.Random(f"coverage {seed} {rho} {number}")
        truth = Truth(rng.uniform(-112, -75), -100.0)
        ratio = 1 - truth.lost
        result = Air(rng, truth, rho, rules).survey()
        for each in (over_all, strata[STRATA[bisect.bisect_left(STRATA, min(ratio, 1.0))]]):
            each.add(result, ratio, rules.confidence)
    return over_all, strata


@dataclass(slots=True)
class Houses:
    """What came of the drawn houses."""

    matrix: collections.Counter[tuple[Reach, Reach]] = field(default_factory=collections.Counter)
    """Links by truth and verdict."""
    probes: int = 0
    directions: int = 0
    one_way: int = 0
    one_way_told: int = 0
    """Links with a one-way loss, and those of them with a finding, where both were heard enough."""
    alike: int = 0
    alike_told: int = 0
    covered: Coverage = field(default_factory=Coverage)

    @property
    def links(self) -> int:
        """Waypoints times bands."""
        return self.matrix.total()

    @property
    def not_passing(self) -> int:
        """Links that do not pass in truth."""
        return sum(n for (truth, _), n in self.matrix.items() if truth is not Reach.PASS)

    @property
    def wrong_passes(self) -> int:
        """Of them, those that the survey passes."""
        return sum(
            n
            for (truth, said), n in self.matrix.items()
            if said is Reach.PASS and truth is not Reach.PASS
        )

    @property
    def agreeing(self) -> int:
        """Links with the true verdict."""
        return sum(n for (truth, said), n in self.matrix.items() if truth is said)

    @property
    def cost(self) -> float:
        """Probes, over those of 61 for each direction."""
        return self.probes / (FIXED * self.directions)


def drawn(rng: random.Random) -> tuple[House, Position, list[Position]]:
    """A house of up to three floors with a grid of rooms, its hub, and 12 to 40 waypoints."""
    columns, rows, floors = rng.randint(2, 4), rng.randint(2, 3), rng.randint(1, 3)
    inner, outer = rng.choice(MATERIALS[:3]), rng.choice(MATERIALS)
    width, depth = columns * 4.0, rows * 4.0
    walls = [
        Wall((x * 4.0, 0.0), (x * 4.0, depth), outer if x in (0, columns) else inner)
        for x in range(columns + 1)
    ] + [
        Wall((0.0, y * 4.0), (width, y * 4.0), outer if y in (0, rows) else inner)
        for y in range(rows + 1)
    ]
    slabs = [Slab(floor * 2.6, Stuff("floor", 4, 4)) for floor in range(1, floors)]

    def place(beyond: float = 0.0) -> Position:
        return (
            rng.uniform(0.1, width - 0.1 + beyond),
            rng.uniform(0.1, depth - 0.1),
            rng.randrange(floors) * 2.6 + rng.uniform(0.5, 1.8),
        )

    # Some waypoints are in the garden, as far away as a garage may be.
    garden = rng.choice((0.0, 0.0, 20.0, 60.0))
    hub = place()
    waypoints = [place(garden) for _ in range(rng.randint(12, 40))]
    return House(tuple(walls), tuple(slabs)), hub, waypoints


def survey_link(rng: random.Random, down: Truth, up: Truth, rho: float, rules: Rules) -> Link:
    """Probes in both directions in turn, until the link is settled."""
    ways = [Air(rng, truth, rho, rules) for truth in (down, up)]
    while True:
        if all(way.probes.settled for way in ways) or any(way.probes.failed for way in ways):
            return link(ways[0].probes.result(), ways[1].probes.result(), rules)
        for way in ways:
            if not way.probes.settled:
                way.probe()


def houses(
    seed: int, count: int, rho: Callable[[random.Random], float], rules: Rules | None = None
) -> Houses:
    """So many drawn houses, surveyed on both bands; `rho` is drawn for each waypoint."""
    rules = rules or Rules()
    all_of_them = Houses()
    for number in range(count):
        rng = random.Random(f"house {seed} {number}")
        house, hub, waypoints = drawn(rng)
        # The walls count one by one, so the way through the air is free space.
        air = Propagation(exponent=2.0, house=house)
        for index, place in enumerate(waypoints):
            kept = rho(rng)
            for mhz, sensitivity in SENSITIVITY_DBM.items():
                losses = [
                    air.mean_loss_db(seed * 1000 + number, *ends, mhz)
                    for ends in (("hub", f"{index}", hub, place), (f"{index}", "hub", place, hub))
                ]
                one_way = rng.choice((-1, 1)) if rng.random() < ONE_WAY_SHARE else 0
                down = Truth(HUB_DBM[mhz] - losses[0] - ONE_WAY_DB * (one_way > 0), sensitivity)
                up = Truth(DEVICE_DBM[mhz] - losses[1] - ONE_WAY_DB * (one_way < 0), sensitivity)
                # Other numbers of probes must not make other houses.
                sent = random.Random(f"probes {seed} {number} {index} {mhz}")
                found = survey_link(sent, down, up, kept, rules)
                _count(all_of_them, found, (down, up), one_way != 0, rules)
    return all_of_them


def _count(into: Houses, found: Link, truths: Sequence[Truth], one_way: bool, rules: Rules) -> None:
    verdicts = {truth.verdict(rules) for truth in truths}
    true = next(one for one in (Reach.FAIL, Reach.MARGINAL, Reach.PASS) if one in verdicts)
    into.matrix[true, found.verdict] += 1
    into.probes += found.down.probes + found.up.probes
    into.directions += 2
    for result, truth in zip((found.down, found.up), truths, strict=True):
        into.covered.add(result, 1 - truth.lost, rules.confidence)
    if all(truth.lost < 0.4 for truth in truths):
        if one_way:
            into.one_way += 1
            into.one_way_told += found.asymmetry.found
        else:
            into.alike += 1
            into.alike_told += found.asymmetry.found


def mixed(rng: random.Random) -> float:
    """How much fading a waypoint keeps from probe to probe when the device is moved a little."""
    return rng.choice((0.0, 0.3, 0.5, 0.7))


def say_plans() -> list[str]:
    """The exact characteristics."""
    fixed, sequential = fixed_plan(), Rules().probe_plan()
    print(f"sequential plan: passes at {sequential.pass_at}, fails until {sequential.fail_until}")
    print("loss %   fixed: met, probes   sequential: met, probes")
    for percent in (0, 0.5, 1, 1.5, 2, 3, 5, 10, 15, 20, 50, 100):
        one, other = (operating_characteristic(each, percent / 100) for each in (fixed, sequential))
        print(
            f"{percent:6g}   {one.met:10.4f} {one.mean_probes:7.1f}"
            f"   {other.met:15.4f} {other.mean_probes:7.1f}"
        )
    at_limit = operating_characteristic(sequential, sequential.limit).met
    return [] if at_limit <= 0.05 else [f"the plan passes {at_limit:.3f} at its limit"]


def say_limits(seed: int, links: int) -> list[str]:
    """Wrong passes at the limit."""
    wrong = []
    print(f"\njust not good enough, {links} links each: wrong passes %, mean probes")
    print("rho      with design effect   without   3 dB better: pass, marginal, incomplete %")
    for rho in RHOS:
        asked, plain = (at_margin(seed, 0.0, rho, links, rules) for rules in (None, TRUSTING))
        better = at_margin(seed, 3.0, rho, links // 4)
        print(
            f"{rho:4.2f} {100 * asked.share(Reach.PASS):15.1f} {asked.mean_probes:6.1f}"
            f" {100 * plain.share(Reach.PASS):9.1f}"
            + "".join(
                f" {100 * better.share(one):8.1f}"
                for one in (Reach.PASS, Reach.MARGINAL, Reach.INCOMPLETE)
            )
        )
        # Two standard errors of the simulation itself are allowed.
        if asked.share(Reach.PASS) > 0.05 + 2 * math.sqrt(0.05 * 0.95 / links):
            wrong.append(f"{100 * asked.share(Reach.PASS):.1f} % wrong passes at rho {rho}")
    for block in (3, 8):
        asked, plain = (
            at_margin(seed, 0.0, 0.0, links, rules, block) for rules in (None, TRUSTING)
        )
        print(
            f"{block} probes to a fade: {100 * asked.share(Reach.PASS):.1f}"
            f" {asked.mean_probes:.1f}, without {100 * plain.share(Reach.PASS):.1f}"
        )
    for rho in (0.0, 0.5, 0.8):
        asked, plain = (at_loss(seed, rho, links, rules) for rules in (None, FIXED_RULES))
        print(
            f"bursts of loss at good levels, rho {rho}: {100 * asked.share(Reach.PASS):.1f}"
            f" {asked.mean_probes:.1f}, the fixed plan {100 * plain.share(Reach.PASS):.1f}"
        )
    return wrong


def say_coverage(seed: int, waypoints: int) -> list[str]:
    """Whether the intervals cover."""
    wrong = []
    print(f"\n95 % intervals that contain the true delivery ratio, {waypoints} waypoints each, %")
    print("rho     all  (plain)   by true ratio up to " + "  ".join(f"{one:5g}" for one in STRATA))
    for rho in COVERAGE_RHOS:
        over_all, strata = coverage(seed, rho, waypoints)
        print(
            f"{rho:4.2f} {100 * over_all.share:6.1f}   {100 * over_all.plain_share:5.1f}"
            + " " * 22
            + "  ".join(
                f"{100 * each.share:5.1f}" if each.waypoints else "    -"
                for each in strata.values()
            )
        )
        if not 0.93 <= over_all.share <= 0.97:
            wrong.append(f"intervals cover {100 * over_all.share:.1f} % at rho {rho}")
    return wrong


def say_houses(seed: int, count: int) -> list[str]:
    """Verdicts against the truth."""
    wrong = []
    independent: Callable[[random.Random], float] = lambda rng: 0.0  # noqa: E731
    for name, rho in (("independent", independent), ("correlated", mixed)):
        for words, rules in (
            ("margin shown", Rules()),
            ("margin by estimate", Rules(margin_shown=False)),
        ):
            found = houses(seed, count, rho, rules)
            print(f"\n{count} houses, {found.links} links, {name} fading, {words}")
            for truth in (Reach.PASS, Reach.MARGINAL, Reach.FAIL):
                row = ", ".join(f"{found.matrix[truth, said]:5d} {said}" for said in Reach)
                print(f"  truly {truth:9s}{row}")
            share = found.wrong_passes / max(1, found.not_passing)
            print(
                f"  wrong passes {found.wrong_passes} of {found.not_passing} ({100 * share:.1f} %),"
                f" agreeing {100 * found.agreeing / found.links:.1f} %,"
                f" probes {100 * found.cost:.1f} % of {FIXED} a direction;"
                f" asymmetry told {found.one_way_told} of {found.one_way},"
                f" falsely {found.alike_told} of {found.alike};"
                f" intervals cover {100 * found.covered.share:.1f} %"
            )
            if not rules.margin_shown:
                continue
            if share > 0.05:
                wrong.append(f"{100 * share:.1f} % wrong passes in houses, {name}")
            # Probes that are alike are worth less, so that more of them are needed: the claim is
            # of the air's own fading, and what correlation costs is said.
            if rho is independent and found.cost > 0.60:
                wrong.append(f"{100 * found.cost:.1f} % of the fixed plan's probes")
    return wrong


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--links", type=int, default=2000)
    parser.add_argument("--waypoints", type=int, default=2000)
    parser.add_argument("--houses", type=int, default=20)
    options = parser.parse_args()
    started = time.monotonic()
    print(f"seed {options.seed}")
    wrong = [
        *say_plans(),
        *say_limits(options.seed, options.links),
        *say_coverage(options.seed, options.waypoints),
        *say_houses(options.seed, options.houses),
    ]
    print(f"\n{time.monotonic() - started:.0f} s")
    for one in wrong:
        print(f"DOES NOT HOLD: {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
