"""An audit: what was probed, what came out, and what it means against a limit; as JSON and as lines for a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

Verdict: TypeAlias = Literal["clean", "suspicious", "leaks"]

FORMAT = 1  # of the measures: raised when the same images would be measured in another way
LIMIT = 0.65  # the AUC up to which a family may predict the label
TOGETHER = "all together"
ALL_GENERATORS = "all generators"

_RANK: dict[Verdict, int] = {"clean": 0, "suspicious": 1, "leaks": 2}
# Seven families and their sum are looked at in every group: at 1 ‰ each, a clean dataset is suspected once in 100.
_SIGNIFICANT = 0.001
_UNREADABLE_SHOWN = 5
# What the way of writing a file alone decides; of files written alike, size and border depend on the picture only.
_BY_FILE = ("format", "dimensions", "quantisation", "encoding", "metadata")


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # a stored audit also says its verdict, for other readers


class Probe(_Record):
    """How well one family predicts the label. auc: cross-validated; low, high: its 95% interval.

    p_value: of chance doing as well. chance: the AUC that chance exceeds once in 1,000. words: its strongest feature.
    """

    family: str
    auc: float
    low: float
    high: float
    p_value: float
    chance: float
    counted: bool
    words: str | None = None

    def verdict(self, limit: float) -> Verdict:
        """leaks: surely above the limit. suspicious: no chance, and perhaps above it. clean: neither."""
        if self.p_value > _SIGNIFICANT or self.high <= limit:
            return "clean"
        return "leaks" if self.low > limit else "suspicious"


class Group(_Record):
    """Some fakes against the reals. held_out: these fakes are `ood` only, so nothing is trained on them.

    too_few: why nothing was probed; None where it was.
    """

    name: str
    held_out: bool
    reals: int
    fakes: int
    probes: tuple[Probe, ...] = ()
    too_few: str | None = None

    def counted(self) -> tuple[Probe, ...]:
        """The probes that the verdict depends on."""
        return tuple(probe for probe in self.probes if probe.counted)

    def verdict(self, limit: float) -> Verdict:
        """The worst of its families."""
        return _worst([probe.verdict(limit) for probe in self.counted()])

    def worst(self, limit: float) -> Probe | None:
        """The family to name first: of the worst verdict, a single guilty one before their sum, the largest AUC."""

        def weight(probe: Probe) -> tuple[int, bool, float]:
            rank = _RANK[probe.verdict(limit)]
            return rank, rank > 0 and probe.family != TOGETHER, probe.auc

        return max(self.counted(), key=weight, default=None)


class Audit(_Record):
    """What predicts the labels of one version of a dataset, its pictures aside.

    images: looked at; of_images: in those splits. unreadable: [key, why] of objects that are missing or broken.
    """

    format: int
    url: str
    version: int
    dataset_hash: str
    splits: tuple[str, ...]
    sample: int
    seed: int
    images: int
    of_images: int
    unreadable: tuple[tuple[str, str], ...]
    groups: tuple[Group, ...]

    def verdict(self, limit: float = LIMIT, held_out: bool = True) -> Verdict:
        """The worst of its groups. held_out: count generators that nothing is trained on."""
        return _worst([group.verdict(limit) for group in self.groups if held_out or not group.held_out])

    def worst(self, limit: float = LIMIT, held_out: bool = True) -> tuple[Group, Probe] | None:
        """The group and the family to name first; None where nothing could be probed."""
        named = [(group, probe) for group in self.groups if (probe := group.worst(limit))]
        named = [(group, probe) for group, probe in named if held_out or not group.held_out]
        return max(named, key=lambda pair: (_RANK[pair[1].verdict(limit)], pair[1].auc), default=None)

    def to_json(self, limit: float = LIMIT) -> dict[str, Any]:
        """Ready for JSON, with the verdicts against `limit`."""
        content = self.model_dump(mode="json")
        for group, shown in zip(self.groups, content["groups"], strict=True):
            shown["verdict"] = group.verdict(limit)
            for probe, of_probe in zip(group.probes, shown["probes"], strict=True):
                of_probe["verdict"] = probe.verdict(limit)
        return {"verdict": self.verdict(limit), "limit": limit, "families": self._families(), **content}

    def _families(self) -> list[dict[str, Any]]:
        """Each family where it predicts most, for readers in a hurry."""
        best: dict[str, dict[str, Any]] = {}
        for group in self.groups:
            for p in group.counted():
                if p.auc > best.get(p.family, {"auc": -1.0})["auc"]:
                    best[p.family] = {"name": p.family, "auc": p.auc, "low": p.low, "high": p.high, "group": group.name}
        return list(best.values())

    def to_bytes(self) -> bytes:
        """The object that is stored."""
        return (json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n").encode()


def one_line(audit: Audit, limit: float = LIMIT, held_out: bool = True) -> str:
    """`audit: leaks: format predicts the label with AUC 1.00 [0.99 1.00] (fakes are PNG, reals JPEG)`."""
    found = audit.worst(limit, held_out)
    if found is None:
        return "audit: too few images to tell whether anything but the picture predicts the label"
    group, probe = found
    verdict = probe.verdict(limit)
    whose = "" if group.name == ALL_GENERATORS or len(audit.groups) == 1 else f" of {group.name}"
    if verdict == "clean":
        return f"audit: clean: nothing but the picture predicts the label above AUC {limit:g} ({_named(probe)})"
    said = f" ({probe.words})" if probe.words else ""
    return f"audit: {verdict}: {probe.family} predicts the label{whose} with AUC {_figures(probe)}{said}"


def describe(audit: Audit, limit: float = LIMIT) -> str:
    """The whole audit for a person, several lines."""
    lines = [
        f"audit of {audit.url} v{audit.version:04d} ({audit.dataset_hash[:12]}): {audit.images:,} of "
        f"{audit.of_images:,} images of {', '.join(audit.splits)}; cross-validated AUC [95% interval], limit {limit:g}"
    ]
    for group in audit.groups:
        lines += ["", *_group_lines(group, limit)]
    if audit.unreadable:
        lines += ["", f"{len(audit.unreadable)} images could not be read and are left out:"]
        lines += [f"  {key}: {why}" for key, why in audit.unreadable[:_UNREADABLE_SHOWN]]
    return "\n".join([*lines, "", f"verdict: {audit.verdict(limit)}", *advice(audit, limit)])


def _group_lines(group: Group, limit: float) -> list[str]:
    held_out = ", held out" if group.held_out else ""
    head = f"{group.name}{held_out}: {group.fakes:,} fakes against {group.reals:,} reals"
    if group.too_few:
        return [f"{head}: {group.too_few}"]
    lines = [f"{head}: {group.verdict(limit)}"]
    for probe in group.probes:
        word = probe.verdict(limit) if probe.counted else "not counted"
        lines.append(f"  {word:12}{probe.family:23}{_figures(probe)}  {probe.words or ''}".rstrip())
    floor = max((probe.chance for probe in group.counted()), default=0.0)
    if floor > limit and group.verdict(limit) == "clean":
        lines.append(f"  so few images do not tell a true AUC from chance below {floor:.2f}; clean means little here")
    return lines


def advice(audit: Audit, limit: float = LIMIT) -> list[str]:
    """What to do about it, in lines; none where the audit is clean."""
    guilty = {
        probe.family: group
        for group in audit.groups
        for probe in group.counted()
        if probe.verdict(limit) != "clean" and probe.family != TOGETHER
    }
    if not guilty:
        return []
    if not any(probe.auc > 0.5 for group in guilty.values() for probe in group.probes if probe.family in _BY_FILE):
        return [
            "all these files were written alike, so this is the pictures' own detail, framing or background, which no",
            "equalising takes away: crop and align the faces of both labels in one way, or find reals more alike",
        ]
    crop = " --crop 0.9" if "border" in guilty else ""
    return [
        "a network can learn this instead of the faces. Put both labels through one crop, size and encoder:",
        f"  python -m crawler audit {audit.url} --equalise{crop}",
    ]


def _named(probe: Probe) -> str:
    return f"most: {probe.family}, {_figures(probe)}"


def _figures(probe: Probe) -> str:
    return f"{probe.auc:.2f} [{probe.low:.2f} {probe.high:.2f}]"


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=_RANK.__getitem__, default="clean")
