"""What a label says beside its number: colour, date of purchase, country. It may agree or conflict.

A conflict is a question to the user. None of these can clear a unit, which is why nothing here returns a
status.
"""

from __future__ import annotations

import re
from typing import Final

from denchi.recalls.normalise import normalised

_COLOURS: Final[dict[str, tuple[str, ...]]] = {
    "black": ("BLACK", "ブラック", "黒", "墨"),
    "white": ("WHITE", "ホワイト", "白"),
    "blue": ("BLUE", "ブルー", "青"),
    "navy": ("NAVY", "ネイビー", "紺"),
    "red": ("RED", "レッド", "赤"),
    "green": ("GREEN", "グリーン", "緑"),
    "grey": ("GREY", "GRAY", "グレー", "グレイ", "灰"),
    "pink": ("PINK", "ピンク", "桃"),
    "purple": ("PURPLE", "VIOLET", "パープル", "紫"),
    "orange": ("ORANGE", "オレンジ", "橙"),
    "mint": ("MINT", "ミント"),
    "yellow": ("YELLOW", "イエロー", "黄"),
    "silver": ("SILVER", "シルバー", "銀"),
    "gold": ("GOLD", "ゴールド", "金"),
    "brown": ("BROWN", "ブラウン", "茶"),
    "beige": ("BEIGE", "ベージュ"),
}
_COUNTRIES: Final[dict[str, tuple[str, ...]]] = {
    "JP": ("JP", "JPN", "JAPAN", "日本"),
    "US": ("US", "USA", "UNITED STATES", "アメリカ", "米国"),
    "GB": ("GB", "UK", "GBR", "UNITED KINGDOM", "イギリス", "英国"),
    "CN": ("CN", "CHN", "CHINA", "中国"),
    "CA": ("CA", "CAN", "CANADA", "カナダ"),
    "AU": ("AU", "AUS", "AUSTRALIA", "オーストラリア"),
    "EU": ("EU", "EUROPE", "EUROPEAN UNION", "欧州", "ヨーロッパ"),
}
_DATE: Final = r"((?:19|20)\d\d)(?:\s?[-/.年]\s?(\d{1,2})(?:\s?[-/.月]\s?(\d{1,2}))?)?\s?[年月日]?"


def colours_in(text: str) -> frozenset[str]:
    """The basic colours a text names, in English or Japanese (``space grey`` -> grey)."""
    upper = normalised(text)
    return frozenset(
        name
        for name, words in _COLOURS.items()
        if any(
            re.search(rf"(?<![A-Z]){w}(?![A-Z])", upper) if w.isascii() else w in upper
            for w in words
        )
    )


def country_code(text: str) -> str:
    """A two-letter code for a country as people write it; unknown names give their first two letters."""
    upper = normalised(text).strip()
    for code, names in _COUNTRIES.items():
        if upper in names:
            return code
    return upper if re.fullmatch(r"[A-Z]{2}", upper) else ""


def month_of(text: str) -> str:
    """A date of purchase as ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``; empty when it cannot be read."""
    match = re.fullmatch(_DATE, normalised(text).strip())
    if match is None:
        return ""
    year, month, day = match.groups()
    if month is not None and not 1 <= int(month) <= 12:
        return ""
    if day is not None and not 1 <= int(day) <= 31:
        return ""
    return "-".join([year, *(f"{int(part):02d}" for part in (month, day) if part is not None)])


def outside(bought: str, sold: tuple[str, str]) -> bool:
    """Whether a date lies certainly outside a period; dates of different precision overlap in doubt."""
    first, last = sold
    if not bought:
        return False
    before = bool(first) and bought[: len(first)] < first[: len(bought)]
    after = bool(last) and bought[: len(last)] > last[: len(bought)]
    return before or after
