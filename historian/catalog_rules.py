"""Rules that make tags of addresses nobody declared. Pure: address in, draft out."""

import fnmatch
import re
from collections.abc import Sequence

from historian.catalog_records import TagDraft
from historian.config_plant import TagRuleConfig
from historian.errors import ConfigInvalid
from storage_engine.sample import ValueType

_FIELD = re.compile(r"\{(\w+)\}")


class TagRules:
    """The configured rules in order; the first that matches makes the tag.

    Parameters
    ----------
    rules : sequence of TagRuleConfig
        As configured.

    Raises
    ------
    ConfigInvalid
        If a template names a group that its address does not have.
    """

    def __init__(self, rules: Sequence[TagRuleConfig]) -> None:
        self._rules = [
            (re.compile(fnmatch.translate(r.source)), re.compile(r.address), r) for r in rules
        ]
        for index, (_, address, rule) in enumerate(self._rules):
            for key in ("name", "description", "asset"):
                _check_template(address, getattr(rule, key), f"tag_rules[{index}].{key}")

    def draft(self, source: str, address: str, type_: ValueType) -> TagDraft | None:
        """Return the tag that the first matching rule asks for, or None.

        Parameters
        ----------
        source : str
            Name of the source.
        address : str
            The source's own address.
        type_ : ValueType
            Type of its values.
        """
        for source_pattern, address_pattern, rule in self._rules:
            match = address_pattern.fullmatch(address)
            if match is None or source_pattern.fullmatch(source) is None:
                continue
            return TagDraft(
                name=_fill(match, rule.name, source),
                type=type_,
                source=source,
                address=address,
                stepped=rule.stepped,
                eng_unit=rule.eng_unit,
                description=_fill(match, rule.description, source),
                asset=_fill(match, rule.asset, source),
                origin="rule",
            )
        return None


def _fill(match: re.Match[str], template: str, source: str) -> str:
    def word(field: re.Match[str]) -> str:
        key = field.group(1)
        if key == "source":
            return source
        return match.group(int(key) if key.isdigit() else key) or ""

    return _FIELD.sub(word, template)


def _check_template(address: re.Pattern[str], template: str, where: str) -> None:
    known = {"source", *address.groupindex, *map(str, range(address.groups + 1))}
    unknown = sorted({field.group(1) for field in _FIELD.finditer(template)} - known)
    if unknown:
        message = f"cannot use configuration: got {{{unknown[0]}}}, want one of: "
        words = ", ".join(sorted(f"{{{key}}}" for key in known))
        raise ConfigInvalid(f"{message}{words}, at {where}", where=where)
