"""The tags of a task: as files have them, and as the model learns them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from recurra.core.errors import DataError, did_you_mean
from recurra.data import Labels
from recurra.metrics import Scheme, Span, breaks, convert, detect_scheme, spans_of, tags_of
from recurra.metrics.schemes import forbidden_pairs, span_tags

LearnedScheme = Literal["BIO", "BIOES"]

# BIOES's letters as the files' scheme has them, where a word's tag does not depend on its neighbours
_AS_BIO = {"B": "B", "S": "B", "I": "I", "E": "I", "O": "O"}


class TagSet:
    """Tag names <-> indices, and the way from a file's scheme to the learned one and back.

    Args:
        names: what the model learns, in the order of indices.
        counts: (K,) how often each occurs in the training split.
        scheme: that the files are written in; None where tags write no spans, and are learnt as they are.
        learned: that `names` are written in, where there is a scheme.
    """

    def __init__(self, names: Sequence[str], counts: Sequence[int], scheme: Scheme | None, learned: LearnedScheme):
        self.labels = Labels(names)
        self.counts = np.asarray(counts, np.int64)
        self.scheme, self.learned = scheme, learned
        self._groups = self._group()

    @classmethod
    def fit(
        cls,
        sentences: Sequence[Sequence[str]],
        asked: str,
        learned: LearnedScheme,
        others: Sequence[Sequence[str]] = (),
    ) -> tuple[TagSet, str]:
        """The tags of the training sentences, and a sentence on the scheme.

        Args:
            sentences: their tags.
            asked: a scheme, "none", or "auto" for the one that the tags look like.
            learned: scheme to learn spans in.
            others: tags of sentences that were held out of the same files: theirs are known, and not counted.
        Raises:
            DataError: fewer than two tags, or tags that are none of the scheme asked for.
        """
        known = sorted({tag for tags in (*sentences, *others) for tag in tags})
        if len(known) < 2:
            raise DataError(
                f"a tagger needs at least two tags to tell apart, and the training sentences hold "
                f"{', '.join(map(repr, known)) or 'none'}. Is it the right column? Pass --data.label_column=NAME."
            )
        detected = detect_scheme([*sentences, *others])
        if asked not in ("auto", "none") and detected is None:
            odd = next((tag for tag in known if tag != "O" and not spans_of([tag])), known[0])
            raise DataError(
                f"tag {odd!r} is none of {asked}, whose tags are O or a letter, a hyphen and a type, such as B-PER. "
                "Pass --task.scheme=none to learn the tags as they are."
            )
        scheme = detected if asked == "auto" else next((name for name in get_args(Scheme) if name == asked), None)
        if scheme is None:
            counts = Counter(tag for tags in sentences for tag in tags)
            return cls(known, [counts[tag] for tag in known], None, learned), "tags write no spans; learnt as they are"
        types = sorted({span.type for tags in (*sentences, *others) for span in spans_of(tags)})
        names = span_tags(types, learned)
        counts = Counter(tag for tags in sentences for tag in convert(tags, learned))
        note = f"tags write spans in {scheme} ({'told by their letters' if asked == 'auto' else 'as asked'})"
        broken = breaks(sentences, scheme)
        note += f", {broken} of them not as {scheme} would have it, read as conlleval does" if broken else ""
        return cls(names, [counts[tag] for tag in names], scheme, learned), f"{note}; learnt as {learned}"

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def forbidden(self) -> tuple[tuple[int, int], ...]:
        """Pairs of indices that never follow each other; see `TaskSpec.forbidden`."""
        return () if self.scheme is None else tuple(forbidden_pairs(self.labels.names, self.learned))

    @property
    def inner(self) -> np.ndarray | None:
        """For each tag (K,) the one that continues its span; None where a tag tells itself whether its span ends."""
        if self.scheme is None or self.learned != "BIO":
            return None
        names = self.labels.names
        return np.array([0 if name == "O" else names.index(f"I-{name[2:]}") for name in names])

    @property
    def prior(self) -> tuple[float, ...]:
        """Relative frequencies, none of them zero."""
        share = (self.counts + 0.5) / (self.counts + 0.5).sum()
        return tuple(share.tolist())

    def encode(self, tags: Sequence[str], where: str) -> np.ndarray:
        """Tags of a file -> learned indices (T,).

        Raises:
            DataError: a tag that training did not hold; names the word and the nearest tag.
        """
        given = tags if self.scheme is None else convert(tags, self.learned)
        self._require_spans(tags, where)
        found = np.empty(len(given), np.int64)
        for place, tag in enumerate(given):
            try:
                found[place] = self.labels.index(tag, where)
            except DataError:
                known = self.labels.names if self.scheme is None else self.types
                meant = did_you_mean(tags[place].split("-", 1)[-1] if self.scheme else tags[place], known)
                raise DataError(
                    f"{where}: word {place + 1} has the tag {tags[place]!r}, which the model was not trained on."
                    f"{meant} Correct it, train with sentences that have it, or pass --data.skip_bad_rows=true to skip "
                    "and count such sentences."
                ) from None
        return found

    def decode(self, indices: Iterable[int]) -> tuple[tuple[str, ...], tuple[Span, ...]]:
        """Learned indices -> tags as files have them, and the spans that they write."""
        names = [self.labels.names[index] for index in indices]
        if self.scheme is None:
            return tuple(names), ()
        spans = spans_of(names)
        return tuple(tags_of(spans, len(names), self.scheme)), tuple(spans)

    def together(self, marginals: np.ndarray, indices: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
        """How likely each word's tag is, as files have it, all learned tags that are written so together.

        Args:
            marginals: (T, K) of learned tags.
            indices: (T,) the learned tags that were chosen.
            spans: that they write; where the tags of a softmax break the scheme, what counts is how a file has them.
        Returns:
            (T,).
        """
        if self.scheme is not None:
            names = tags_of(spans, len(indices), self.learned)
            indices = np.array([self.labels.index(name, "") for name in names], np.int64)
        if self._groups is None:
            return np.take_along_axis(marginals, indices[:, None], 1)[:, 0]
        same = self._groups[None, :] == self._groups[indices][:, None]
        return np.asarray((marginals * same).sum(1))

    @property
    def types(self) -> tuple[str, ...]:
        """Of the spans, sorted; none without a scheme."""
        return () if self.scheme is None else tuple(sorted({name[2:] for name in self.labels.names if name != "O"}))

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` builds the same."""
        names, counts = list(self.labels.names), self.counts.tolist()
        return {"names": names, "counts": counts, "scheme": self.scheme, "learned": self.learned}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TagSet:
        """What `to_json` gave."""
        return cls(values["names"], values["counts"], values["scheme"], values["learned"])

    def _require_spans(self, tags: Sequence[str], where: str) -> None:
        if self.scheme is None:
            return
        for place, tag in enumerate(tags):
            if tag != "O" and not spans_of([tag]):
                raise DataError(
                    f"{where}: word {place + 1} has the tag {tag!r}, and tags here are O or a letter, a hyphen and a "
                    "type, such as B-PER. Correct it, or pass --data.skip_bad_rows=true to skip such sentences."
                )

    def _group(self) -> np.ndarray | None:
        """For each learned tag a number, shared by those that files write alike; None where there are none."""
        if self.scheme not in ("BIO", "IOB1") or self.learned == "BIO":
            return None
        written = [_AS_BIO[name[0]] + name[1:] for name in self.labels.names]
        return np.array([written.index(name) for name in written])
