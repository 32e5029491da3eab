"""File name suffixes of video and audio files."""

VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .webm .wmv".split())
AUDIO_SUFFIXES = frozenset(
    ".wav .w64 .rf64 .mp3 .mp2 .mpga .m4a .m4b .aac .flac .ogg .oga .opus .spx .wma .aif .aiff .aifc .au .snd .caf "
    ".ac3 .eac3 .dts .wv .ape .tta .amr .mka".split())
AUDIO_SOURCE_SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES - {".gif"}   # Files that may contain an audio stream.
