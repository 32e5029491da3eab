"""Detect the encoding of a text file."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

UTF_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
            (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
UTF16_PROBE_BYTES = 64     # UTF-16 without a byte order mark is detected by the zeros in these bytes.
MAX_SAMPLE_BYTES = 1 << 16   # The encoding is detected from at most this much of the lines that are not ASCII.
MIN_UTF8_SHARE = 0.65        # UTF-8 with damage: at least this share of the characters beyond ASCII is valid.
MAX_CHAOS_DIFFERENCE = 0.02      # Matches of the library that differ by less are equally good.
MAX_COHERENCE_DIFFERENCE = 0.05
LATIN = ("cp1252", "cp1250", "cp1254", "cp1257")
OTHERS = ("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874")   # Of equally good encodings, the first is chosen.
_KANA, _HAN = "[\u3041-\u30ff]", "[\u3000-\u303f\u4e00-\u9fff\uff01-\uff1f]"
# The common characters of encodings with several bytes per character: a pattern, the range of their first bytes, the
# smallest second byte, and the share of these characters that a text has at least.
COMMON = dict(cp949=("[\uac00-\ud7a3]", range(0xB0, 0xC9), 0xA1, 0.8), cp932=(_KANA, range(0x81, 0xFD), 0, 0.2),
              euc_jp=(_KANA, range(0xA1, 0xFF), 0xA1, 0.2), gb18030=(_HAN, range(0xA1, 0xD8), 0xA1, 0.8),
              big5hkscs=(_HAN, range(0xA1, 0xC7), 0, 0.8))
MAX_DAMAGED_SHARE = 0.02
NAMES = dict(cp932="Shift-JIS", euc_jp="EUC-JP", gb18030="GB18030", big5hkscs="Big5", cp949="EUC-KR", koi8_r="KOI8-R")
DAMAGED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class DecodedText:
    """The text of a file.

    Attributes:
        text: the text, without a byte order mark.
        encoding: name of the encoding.
        detected: True if the encoding was guessed, so that it may be wrong.
        n_damaged: number of places that are invalid in this encoding; each is a replacement character in the text.
    """

    text: str
    encoding: str
    detected: bool = False
    n_damaged: int = 0

    @property
    def note(self) -> str:
        """A message to the user if the encoding was guessed or bytes are damaged; else ""."""
        notes = []
        if self.detected:
            notes.append(f"its text was decoded as {self.encoding}; if it looks wrong, save the file as UTF-8")
        if self.n_damaged:
            count = "1 damaged character" if self.n_damaged == 1 else f"{self.n_damaged:,} damaged characters"
            verb = "is" if self.n_damaged == 1 else "are"
            notes.append(f"{count} of its {self.encoding} text {verb} shown as {DAMAGED}")
        return "; ".join(notes)


def decode_text(data: bytes) -> DecodedText | None:
    """Decode a text file: UTF-8, UTF-16, UTF-32, or an older encoding, which is detected by its characters.

    Returns:
        The text, or None if it is binary or in none of these encodings.
    """
    for mark, codec in UTF_BOMS:
        if data.startswith(mark):
            return _decode_damaged(data, codec)
    utf16 = _utf16_without_mark(data)
    if utf16 is not None:
        return _decode_damaged(data, utf16)
    if b"\0" in data[:UTF16_PROBE_BYTES]:
        return None
    try:
        return DecodedText(data.decode("utf-8"), "UTF-8")
    except UnicodeDecodeError:
        return _decode_damaged(data, "utf-8") if _is_mostly_utf8(data) else _decode_older(data)


def _decode_damaged(data: bytes, codec: str) -> DecodedText:
    text = data.decode(codec, "replace")
    n_damaged = text.count(DAMAGED) - _n_encoded_replacements(data, codec)
    return DecodedText(text, codec[:6].rstrip("-").upper(), n_damaged=max(0, n_damaged))


def _n_encoded_replacements(data: bytes, codec: str) -> int:
    """Return how many replacement characters the file itself contains."""
    return data.count(DAMAGED.encode()) if codec.startswith("utf-8") else 0


def _utf16_without_mark(data: bytes) -> str | None:
    if data[:1] == b"\0" != data[1:2] and _mostly_zeros(data[0:UTF16_PROBE_BYTES:2]):
        return "utf-16-be"
    if data[1:2] == b"\0" != data[:1] and _mostly_zeros(data[1:UTF16_PROBE_BYTES:2]):
        return "utf-16-le"
    return None


def _mostly_zeros(upper_bytes: bytes) -> bool:
    """Return True if most upper bytes of UTF-16 text are 0, as those of digits and Latin letters are."""
    return 2 * upper_bytes.count(0) > len(upper_bytes)


def _is_mostly_utf8(data: bytes) -> bool:
    """Return True for UTF-8 text with a few damaged bytes.

    Text in an older encoding contains valid sequences of UTF-8 only by chance.
    """
    text = data.decode("utf-8", "replace")
    n_damaged = text.count(DAMAGED)
    n_valid = sum(c > "\x7f" for c in text) - n_damaged
    return n_valid > 0 and n_valid >= MIN_UTF8_SHARE * (n_valid + n_damaged)


def _decode_older(data: bytes) -> DecodedText | None:
    lines = [line for line in re.split(rb"[\r\n]+", data) if not line.isascii()]   # Others would dilute the sample.
    sample = b"\n".join(dict.fromkeys(lines))[:MAX_SAMPLE_BYTES]
    is_latin = sum(byte > 0x7F for byte in sample) <= len(re.findall(rb"[A-Za-z]", sample))
    codec = None if is_latin else next((codec for codec in COMMON if _is_common(sample, codec)), None)
    if codec is None:
        codec = _detect_codec(sample, [*LATIN, *OTHERS, *COMMON] if is_latin else [*OTHERS, *COMMON])
    if codec is None:
        return None
    text = data.decode(codec, "replace")
    return DecodedText(text, encoding_name(codec), detected=True, n_damaged=text.count(DAMAGED))


def _is_common(sample: bytes, codec: str) -> bool:
    """Return True if the sample consists of characters that are common in an encoding, as far as `COMMON` requires.

    Bytes hardly do so by chance, so this detects the encoding of a single word.
    """
    pattern, first_bytes, min_second, min_share = COMMON[codec]
    text = sample.decode(codec, "replace")
    n_characters = sum(c > "\x7f" for c in text)
    if text.count(DAMAGED) > MAX_DAMAGED_SHARE * n_characters:
        return False
    codes = [character.encode(codec) for character in re.findall(pattern, text)]
    n_common = sum(len(code) > 1 and code[0] in first_bytes and code[1] >= min_second for code in codes)
    return n_common >= min_share * n_characters


def _detect_codec(sample: bytes, candidates: list[str]) -> str | None:
    from charset_normalizer import from_bytes  # Imported here because most files are UTF-8.

    matches = list(from_bytes(sample, cp_isolation=candidates))
    if not matches:
        return None
    coherence = max(match.coherence for match in matches)
    good = [match for match in matches if match.chaos <= matches[0].chaos + MAX_CHAOS_DIFFERENCE
            and match.coherence >= coherence - MAX_COHERENCE_DIFFERENCE]
    found = {codec for match in good or matches[:1] for codec in match.could_be_from_charset}
    return min(found.intersection(candidates), key=candidates.index)


def encoding_name(codec: str) -> str:
    """Return the usual name of an encoding, e.g. windows-1251 for Python's cp1251."""
    return NAMES.get(codec) or re.sub(r"^cp(?=\d)", "windows-", codec)
