"""Damaged copies of good files from a seed: bytes changed, cut, doubled, swapped; words that readers trip over."""

import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import bad_input_cases as good
import forms_kit as kit

WORDS = [
    b",",
    b'"',
    b"\n",
    b"\r",
    b";",
    b"\t",
    b"'",
    b"NaN",
    b"1e999",
    b"\xef\xbb\xbf",
    b"-",
    b"/",
    b"</td>",
    b"<table>",
    b"<tr>",
    b"<!--",
    b"]]>",
    b"&#0;",
    b"&#x110000;",
    b"rowspan=999999999 ",
    b'colspan="0" ',
    b"<!DOCTYPE x>",
    "合计".encode(),
    "13月".encode(),
    "2026年".encode(),
    "总".encode(),
    "反向".encode(),
    b"0001-00-00",
    b"9999-99-99",
    b"99999",
    b"1_000",
    b"\xe2\x80\xae",
    b"=1+1",
    b"8:05",
    b"46204",
    b"PK\x03\x04",
    b"PAR1",
    "表号".encode(),
    "电量".encode(),
]

UNREADABLE = [b"\x00", b"\xff\xfe", b"\x81", b"\xba\xcf"]


def parquet() -> bytes:
    """Write the clean readings as Parquet."""
    head, *body = good.rows(good.READINGS)
    stream = io.BytesIO()
    pq.write_table(
        pa.table({name: list(column) for name, column in zip(head, zip(*body, strict=True), strict=True)}), stream
    )
    return stream.getvalue()


LEDGERS = [
    "灌溉日期,电表号,开机时间,停机时间,起码,止码,倍率\n2026.7.3,0012,8:00,17点半,100,145.2,20\n"
    "2026.7.5,0012,21:30,4:10,145.2,205,20\n2026.9.5,0013,6:00,18:00,1280,1401,1\n2026.9.6,0013,6:00,18:00,1390,1420,1\n",
    "井号,刷卡时间,本次用电量(度)\n0012,2026-04-03 08:12:05,45.2\n0013,2026/5/5 18:30,130.5\n0012,2026-07-04,60\n"
    "0013,2026-09-05,120.5\n",
    "机井示数登记表\n表号,2026-06-01,2026-07-01,46235\n0012,100,145,160\n0013,20,31,90\n",
    "表号,抄表日期,抄表时间,示数\n0012,2026-06-01,8:05,100\n0012,2026-07-01,下午3时,145\n0012,2026-07-01,24:00,3\n",
    "表号,2026年7月,,,2026年8月,,\n,上月止码,本月止码,电量,上月止码,本月止码,电量\n0012,1,2,20,2,5,60\n0013,4,9,100,9,11,40\n",
]


def seeds() -> dict[str, list[bytes]]:
    """Give good files by suffix: text, markup, Parquet, and workbooks."""
    rows = good.XLS_ROWS
    text = [good.READINGS, good.wide(), good.wide("7月,8月", "2026年"), good.BANDS, good.TWO_ENDED.format(last=800),
        good.BILLS.format(first=1200), good.READINGS + "合计,,,5550\n填表人：张三,,,\n", *LEDGERS]  # fmt: skip
    return {
        "csv": [t.encode() for t in text] + [t.encode("gb18030") for t in text] + [text[0].encode("utf-16")],
        "html": [kit.html_of(good.rows(t)) for t in text[:4]] + [kit.xml_of(rows)],
        "parquet": [parquet()],
        "xlsx": [good.book(good.READINGS), good.merged_form(), kit.xls_of(rows), kit.ods_of(rows)],
        "gz": [kit.gz_of(good.READINGS), kit.zip_of({"7月.csv": good.READINGS})],
    }


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Change a file in one to eight places."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        at, change = int(rng.integers(max(len(content), 1))), rng.random()
        span = int(rng.integers(1, 40))
        if change < 0.25 and content:
            content[at] = int(rng.integers(32, 127)) if rng.random() < 0.9 else int(rng.integers(256))
        elif change < 0.45:
            del content[at : at + span]
        elif change < 0.8:
            content[at:at] = WORDS[int(rng.integers(len(WORDS)))] if rng.random() < 0.95 else UNREADABLE[at % 4]
        elif change < 0.9:
            content[at:at] = content[at : at + span] * int(rng.integers(1, 5))
        else:
            to = int(rng.integers(max(len(content), 1)))
            content[to : to + span] = content[at : at + span]
    return bytes(content)


def damaged_text(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage letters instead of bytes, so that the text stays text and the damage reaches what reads its cells."""
    try:
        codec = "utf-16" if data.startswith(b"\xff\xfe") else "utf-8"
        letters = data.decode(codec)
    except UnicodeDecodeError:
        codec = "gb18030"
        letters = data.decode(codec)
    # one byte a letter for the time of the damage, and back
    distinct = sorted(set(letters) | set("".join(word.decode("utf-8", "ignore") for word in WORDS)))[:255]
    code = {letter: i for i, letter in enumerate(distinct)}
    content = bytes(code[letter] for letter in letters if letter in code)
    for _ in range(int(rng.integers(1, 9))):
        word = WORDS[int(rng.integers(len(WORDS)))].decode("utf-8", "ignore")
        at = int(rng.integers(max(len(content), 1)))
        span = int(rng.integers(1, 25))
        change = rng.random()
        if change < 0.5:
            content = content[:at] + bytes(code[c] for c in word if c in code) + content[at:]
        elif change < 0.7:
            content = content[:at] + content[at + span :]
        elif change < 0.85:
            content = content[:at] + content[at : at + span] * int(rng.integers(2, 5)) + content[at + span :]
        else:
            content = content[:at] + bytes([int(rng.integers(len(distinct)))]) + content[at + 1 :]
    return "".join(distinct[i] for i in content).encode(codec, "ignore")


def damaged_member(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage one member of a zip and pack it anew, so that the damage reaches the reader."""
    if data.startswith((b"PK", b"PAR1", b"\xd0\xcf", b"\x1f\x8b")):
        whole = not data.startswith(b"PK") or rng.random() < 0.3
    elif rng.random() < 0.85:
        return damaged_text(data, rng)
    else:
        whole = True
    if whole:
        return damaged(data, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        hit = names[int(rng.integers(len(names)))]
        for name in names:
            content = old.read(name)
            new.writestr(name, damaged(content, rng) if name == hit else content)
    return out.getvalue()
