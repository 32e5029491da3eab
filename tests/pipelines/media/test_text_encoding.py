"""The encodings of subtitle files are detected and reported."""

import pytest

from common.errors import InputError
from pipelines.batch import BatchSummarizer, SummaryRequest
from pipelines.media.subtitles import Cue, find_subtitles, read_subtitle_file
from pipelines.media.text_encoding import decode_text

RUSSIAN = ["Добрый вечер, дорогие друзья.", "Сегодня мы расскажем вам о новом проекте.", "Это было очень давно."]
SENTENCES = {
    "cp1252": ("windows-1252", ["Où est le café? C’est là-bas.", "Größe über alles, sagte er müde.", "El niño comió mañana."]),
    "cp1251": ("windows-1251", RUSSIAN),
    "koi8_r": ("KOI8-R", RUSSIAN),
    "shift_jis": ("Shift-JIS", ["こんにちは、元気ですか。", "今日はとても良い天気ですね。", "ありがとうございます。"]),
    "euc_jp": ("EUC-JP", ["こんにちは、元気ですか。", "今日はとても良い天気ですね。", "ありがとうございます。"]),
    "gb18030": ("GB18030", ["你好,欢迎来到我们的节目。", "今天的天气非常好。", "谢谢大家的支持。"]),
    "big5": ("Big5", ["你好,歡迎來到我們的節目。", "今天的天氣非常好。", "謝謝大家的支持。"]),
    "euc_kr": ("EUC-KR", ["안녕하세요, 여러분.", "오늘은 날씨가 정말 좋네요.", "감사합니다."]),
    "cp1250": ("windows-1250", ["Příliš žluťoučký kůň úpěl ďábelské ódy.", "Dobrý den, jak se máte?", "Děkuji vám."]),
    "cp1253": ("windows-1253", ["Καλημέρα σας, τι κάνετε;", "Σήμερα ο καιρός είναι πολύ καλός.", "Ευχαριστώ πολύ."]),
    "cp1254": ("windows-1254", ["Günaydın, nasılsınız?", "Bugün hava çok güzel, değil mi?", "Teşekkür ederim, işte böyle."]),
    "cp1255": ("windows-1255", ["שלום לכולם, מה שלומכם?", "היום מזג האוויר נפלא.", "תודה רבה לכם."]),
    "cp1256": ("windows-1256", ["مرحبا بكم، كيف حالكم؟", "الطقس اليوم جميل جدا.", "شكرا جزيلا لكم."]),
}


def srt(sentences):
    return "".join(f"{i}\n00:00:0{i},000 --> 00:00:0{i},900\n{text}\n\n" for i, text in enumerate(sentences, 1))


@pytest.mark.parametrize("codec", SENTENCES)
def test_older_encodings_are_detected_and_reported(tmp_path, codec):
    name, sentences = SENTENCES[codec]
    (tmp_path / "a.srt").write_bytes(srt(sentences).encode(codec))
    file = read_subtitle_file(tmp_path / "a.srt")
    assert (file.encoding, [cue.text for cue in file.cues]) == (name, sentences)
    assert file.encoding_note == f"its text was decoded as {name}; if it looks wrong, save the file as UTF-8"


@pytest.mark.parametrize("codec, name", [
    ("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"),
    ("utf-32", "UTF-32")])
def test_unicode(tmp_path, codec, name):
    (tmp_path / "a.srt").write_bytes(srt(RUSSIAN).encode(codec))
    file = read_subtitle_file(tmp_path / "a.srt")
    assert (file.encoding, file.encoding_note, [cue.text for cue in file.cues]) == (name, "", RUSSIAN)


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xe4\xbd", b"\x80"])
def test_one_damaged_place_in_utf_8(tmp_path, broken):
    data = srt(["Où est le café?", "Über alles."]).encode().replace(b" est", b" " + broken + b" est")
    (tmp_path / "a.srt").write_bytes(data)
    file = read_subtitle_file(tmp_path / "a.srt")
    assert [cue.text for cue in file.cues] == ["Où \ufffd est le café?", "Über alles."]
    assert file.encoding_note == "1 damaged character of its UTF-8 text is shown as \ufffd"


def test_a_replacement_character_in_the_file_is_no_damage():
    decoded = decode_text("Où \ufffd est le café?".encode())
    assert (decoded.encoding, decoded.note) == ("UTF-8", "")


def test_a_single_letter_of_an_older_encoding():
    decoded = decode_text(srt(["Take a look at the fiancé of my sister."]).encode("cp1252"))
    assert "fiancé" in decoded.text
    assert decoded.encoding == "windows-1252"


def test_noise_is_refused(tmp_path):
    (tmp_path / "a.srt").write_bytes(bytes(range(1, 256)) * 9)
    with pytest.raises(InputError, match=r"a\.srt: "):
        read_subtitle_file(tmp_path / "a.srt")


def test_the_detected_encoding_is_printed_unless_the_command_is_quiet(tmp_path, capsys):
    data = f"[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,,,,,,,{RUSSIAN[0]}".encode("cp1251")
    (tmp_path / "a.ASS").write_bytes(data)
    assert find_subtitles(tmp_path, "a") == tmp_path / "a.ASS"
    assert find_subtitles(tmp_path, "b") is None
    for quiet in (False, True):
        cues = BatchSummarizer(SummaryRequest(quiet=quiet))._read_subtitles(tmp_path / "a.ASS")
        assert cues == [Cue(1, 2, RUSSIAN[0])]
    assert capsys.readouterr().err == (
        "a.ASS: its text was decoded as windows-1251; if it looks wrong, save the file as UTF-8\n")
