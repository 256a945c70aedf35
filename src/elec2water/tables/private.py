"""Identity and telephone numbers in the input: hidden before anything else sees them, and counted."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables.headings import normal
from elec2water.tables.parse import longest
from elec2water.tables.typed import TypedTable

if TYPE_CHECKING:
    from elec2water.tables.context import Context

HIDDEN = "***"
CODES_SHARE = 0.2
"""Identifiers of which more than this look like telephone or identity numbers are codes of their own."""

_ID = r"[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]"
_PHONE = r"1[3-9][0-9]{9}|1[3-9][0-9][- ][0-9]{4}[- ][0-9]{4}"
_SHORTEST = 11
_PRIVATE = rf"(?:^|[^0-9A-Za-z])(?:{_ID}|{_PHONE})(?:$|[^0-9A-Za-z])"
_FIND = re.compile(rf"(?<![0-9A-Za-z])(?:{_ID}|(?:\+?86[- ]?)?(?:{_PHONE}))(?![0-9A-Za-z])")


def hide(text: str) -> str:
    """Replace identity and telephone numbers in a text.

    Examples
    --------
    >>> hide("联系人 13800138000"), hide("0012")
    ('联系人 ***', '0012')
    """
    return _FIND.sub(HIDDEN, text)


def looks_private(values: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which texts hold an identity or telephone number."""
    if longest(values) < _SHORTEST:
        return np.zeros(len(values), dtype=bool)
    return np.asarray(pc.fill_null(pc.match_substring_regex(values, _PRIVATE), fill_value=False)).astype(bool)


def redacted(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Hide personal numbers in the columns of text.

    A column whose heading is that of such numbers (联系电话, 身份证号) is blanked. An identifier is replaced by a short
    digest, so that tables still find each other; in other text the number alone is.

    Parameters
    ----------
    table : TypedTable
        Typed.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        Without the numbers.
    Findings
        A warning with the count for each column.
    """
    kinds = {column.column: column.type for column in schema.columns(context.table)}
    changed, found = {}, []
    for name, values in table.columns.items():
        if name not in kinds and _is_private_heading(name):
            count = int((~table.is_blank(name)).sum())
            changed[name] = pa.nulls(len(table), pa.string()).dictionary_encode()
        elif not isinstance(values, np.ndarray):
            hidden, count = _hidden(values, is_id=kinds.get(name) == "id")
            if count:
                changed[name] = hidden
        else:
            count = 0
        if count:
            found.append(context.finding("PII_FOUND", column=name, observed=count))
    return (table.with_columns(**changed) if changed else table), Findings.concat(found)


def _is_private_heading(name: str) -> bool:
    return any(normal(word) in normal(name) for word in schema.words("private_heading"))


def _hidden(values: pa.DictionaryArray, *, is_id: bool) -> tuple[pa.DictionaryArray, int]:
    distinct = values.dictionary
    private = looks_private(distinct)
    if not private.any() or (is_id and private.sum() > max(CODES_SHARE * len(distinct), 4)):
        return values, 0
    texts = distinct.to_pylist()
    for at in np.flatnonzero(private).tolist():
        texts[at] = _digest(texts[at]) if is_id else hide(texts[at])
    codes = np.asarray(values.indices.fill_null(-1)).astype(np.int64)
    anew = pa.array(texts, pa.string()).dictionary_encode()
    recoded = np.append(np.asarray(anew.indices), -1)[codes].astype(np.int32)
    count = int(np.append(private, np.zeros(1, dtype=bool))[codes].sum())
    return pa.DictionaryArray.from_arrays(pa.array(recoded, mask=recoded < 0), anew.dictionary), count


def _digest(text: str) -> str:
    return "PII-" + hashlib.sha256(text.encode()).hexdigest()[:6]
