"""Stores sounds as the files that they came in, and decodes them on reading.

soundfile (libsndfile) decodes them. Without it, the standard library decodes plain WAV files.
"""

import functools
import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple, Sequence

import numpy as np

from dataset_assets.core.limits import too_large
from dataset_assets.errors import DefinitionError, NotInstalled
from dataset_assets.formats.arrow import ArrowWriter
from dataset_assets.formats.decoded import (
    Check,
    Decoded,
    DecodedColumn,
    Undecodable,
    checked_check,
    checked_most,
    encoded_column,
    encoded_writer,
)
from dataset_assets.formats.format import FILE_BYTES, Format, Parts
from dataset_assets.formats.sound_files import whole_sound

KINDS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3", "AIFF")
MOST_VALUES = 1 << 27


class Sound(NamedTuple):
    """The header of a sound's file: its kind, its rate in Hz, its channels and its length in frames."""

    kind: str
    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return self.frames / self.rate

    def __str__(self) -> str:
        channels = f"{self.channels} channel{'s' if self.channels > 1 else ''}"
        return f"{self.kind}, {self.rate} Hz, {channels}, {self.seconds:.2f} s"


@dataclass(frozen=True)
class Audio(Format):
    """A value is the bytes of a sound's file when written, a float32 array (frames, channels) when read.

    Values are from -1 to 1, for every type of file. All sounds of a stream have one `rate` (frames a second, Hz) and
    one number of `channels`: as declared, or as the first sound. They are stored with the stream; `column.kind.rate`
    is the rate. Sounds are not resampled: do it in the split function.

    Writing a value that is not a whole sound, or has a different rate, raises `SchemaError`. `check="header"` checks
    the header and the size of the file only, "nothing" skips the check. A WAV of unknown length, as programs write it
    into a pipe, reaches to the end of its file. A sound with more values than `most_values`, or more decoded bytes
    than the setting `max_value_bytes`, is never decoded.
    """

    rate: int | None = None
    channels: int | None = None
    check: Check = "decode"
    most_values: int = MOST_VALUES

    name: ClassVar[str] = "audio"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for field, value in (("rate", self.rate), ("channels", self.channels)):
            if value is not None and (type(value) is not int or value < 1):
                raise DefinitionError(f"{field}={value!r} of a sound is not a number of at least 1.")
        checked_most("most_values", self.most_values)
        checked_check(self.check)

    def parameters(self) -> dict[str, Any]:
        """Return the declared fields as JSON."""
        fields = {"rate": self.rate, "channels": self.channels}
        declared: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        if self.check != "decode":
            declared["check"] = self.check
        if self.most_values != MOST_VALUES:
            declared["most_values"] = self.most_values
        return declared

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return encoded_writer(self, Parts(folder, self.suffix, file_bytes))

    def open(self, opened: Sequence[BinaryIO]) -> DecodedColumn:
        """Open the files; each sound is decoded on access."""
        return encoded_column(self, opened)

    def resolved(self, facts: set[Sound]) -> dict[str, Any]:
        """Return the parameters, with the rate and the channels of all sounds."""
        return (self.like(next(iter(facts))) if facts else self).parameters()

    def loss(self, data: Any) -> None:
        """Return None: values are read as they are."""

    def like(self, first: Sound) -> "Audio":
        """Return the format of a stream that begins with this sound."""
        return Audio(self.rate or first.rate, self.channels or first.channels, self.check, self.most_values)

    def facts(self, data: Any) -> Sound:
        """Return the facts in the header of a sound."""
        soundfile, data = _soundfile(), whole_sound(data)
        if soundfile is None:
            return self._checked(_facts_of_wave(data))
        with _opened(soundfile, data) as file:
            return self._checked(_facts(file))

    def decode(self, data: Any, into: Decoded | None = None) -> Decoded:
        """Return the sound's values."""
        soundfile, data = _soundfile(), whole_sound(data)
        if soundfile is None:
            sound = self._checked(_facts_of_wave(data))
            values = _values_of_wave(data)
        else:
            with _opened(soundfile, data) as file:
                sound = self._checked(_facts(file))
                values = _values(file)
        if len(values) != sound.frames:
            raise Undecodable(f"a sound that ends after {len(values)} of {sound.frames} frames")
        if into is None:
            return values
        into[...] = values
        return into

    def _checked(self, sound: Sound) -> Sound:
        if sound.frames * sound.channels > self.most_values:
            raise Undecodable(
                f"a sound of {sound.frames} frames of {sound.channels} values, more than most_values="
                f"{self.most_values} allows"
            )
        if why := too_large(4 * sound.frames * sound.channels):
            raise Undecodable(f"a sound of {sound.frames} frames of {sound.channels} values, {why}")
        for what, declared, own in (("rate", self.rate, sound.rate), ("channels", self.channels, sound.channels)):
            if declared is not None and declared != own:
                raise Undecodable(f"a sound of {what} {own}, expected {declared}")
        return sound


class _Readable(io.BytesIO):
    """Bytes as a file. It ignores a seek to before the beginning, which damaged files cause."""

    def __repr__(self) -> str:
        return "its bytes"  # as soundfile's errors name it

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:  # C code cannot raise it, and would print it
            return self.tell()


@functools.cache
def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: without libsndfile
        return None
    return soundfile


def _facts(file: Any) -> Sound:
    return Sound(file.format, file.samplerate, file.channels, file.frames)


def _values(file: Any) -> Decoded:
    try:
        values: Decoded = file.read(dtype="float32", always_2d=True)
    except Exception as error:  # a decoder may raise anything for damaged bytes
        raise _damaged(error) from error
    return values


def _opened(soundfile: Any, data: Any) -> Any:
    try:
        file = soundfile.SoundFile(_Readable(data))
    except Exception as error:
        raise _damaged(error) from error
    if file.format not in KINDS:
        file.close()
        raise Undecodable(f"a sound of kind {file.format}, expected one of {', '.join(KINDS)}")
    return file


def _facts_of_wave(data: Any) -> Sound:
    try:
        with _wave(data) as file:
            sound = Sound("WAV", file.getframerate(), file.getnchannels(), file.getnframes())
            if file.getsampwidth() > 4 or min(sound.rate, sound.channels) < 1:
                raise ValueError("its rate, its channels or the size of its values is not valid")
    except NotInstalled:
        raise
    except (wave.Error, EOFError, ValueError, RuntimeError) as error:
        raise _damaged(error) from error
    return sound


def _values_of_wave(data: Any) -> Decoded:
    """Return the values of a WAV file whose header is valid."""
    with _wave(data) as file:
        width, channels = file.getsampwidth(), file.getnchannels()
        read = file.readframes(file.getnframes())
    whole = read[: len(read) // (width * channels) * width * channels]
    if width == 1:  # the only width that is unsigned
        values = np.frombuffer(whole, np.uint8).astype(np.float32) - np.float32(128)
    elif width == 3:
        wide = np.zeros((len(whole) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(whole, np.uint8).reshape(-1, 3)
        values = (wide.view("<i4") >> 8).astype(np.float32)
    else:
        values = np.frombuffer(whole, f"<i{width}").astype(np.float32)
    return (values / np.float32(1 << (8 * width - 1))).reshape(-1, channels)


def _wave(data: Any) -> Any:
    try:
        return wave.open(_Readable(data))
    except wave.Error as error:
        if bytes(data[:4]) == b"RIFF" and "unknown format" not in str(error):
            raise
        raise NotInstalled(
            "Only plain WAV files can be decoded without soundfile, which is not installed. Run: "
            "pip install 'dataset_assets[audio]'"
        ) from error


def _damaged(error: object) -> Undecodable:
    return Undecodable(f"a damaged sound, or not a sound ({' '.join(str(error).split()) or type(error).__name__})")
