"""Scalars for TensorBoard, in its own format: https://www.tensorflow.org/api_docs/python/tf/compat/v1/Event.

    file, began = events.open_new(folder, records)
    file.write(events.encode(record, began))

A record of the file is its length, a checksum of that, an event in protocol buffers, and a checksum of that. What is
written is at the system when the call returns: no thread and no queue can lose it, or hide that the disk is full.
"""

import math
import re
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from heartpole_jax import disk

_NAME = re.compile(r"events\.out\.tfevents\.\d+\..+")
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types
_LARGEST = 3.4028234663852886e38  # of float32
_START = 1  # status of a session: TensorBoard forgets what it has read of the same tags before


def open_new(folder: Path, records: Iterable[Mapping[str, Any]]) -> tuple[BinaryIO, float]:
    """A new file of events in `folder`, in the place of all there, and the time at which the run would have begun.

    Args:
      records: of `run_folder.read_metrics`, what has happened so far.

    Raises:
      OSError: where it cannot be written.
    """
    known = list(records)
    began = time.time() - (known[-1]["seconds"] or 0.0 if known else 0.0)
    old = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    numbers = [int(path.name.split(".")[3]) for path in old]
    path = folder / f"events.out.tfevents.{max([int(time.time()), *(number + 1 for number in numbers)])}.heartpole"
    file: BinaryIO = open(disk.open_new(path), "wb", buffering=0)  # noqa: SIM115
    try:
        file.write(_framed(_time(began) + _field(3, _BYTES, b"brain.Event:2")))
        file.write(_framed(_time(began) + _field(7, _BYTES, _field(1, _VARINT, _START))))
        file.write(b"".join(encode(record, began) for record in known))
    except BaseException:
        file.close()
        raise
    for path in old:
        path.unlink()
    return file, began


def encode(record: Mapping[str, Any], began: float) -> bytes:
    """An event for each number of the record but its steps; None is left out."""
    head = _time(began + (record["seconds"] or 0.0)) + _field(2, _VARINT, int(record["env_steps"] or 0))
    values = {name: value for name, value in record.items() if value is not None and name != "env_steps"}
    return b"".join(_framed(head + _scalar(name, value)) for name, value in values.items())


def _scalar(name: str, value: float) -> bytes:
    """Event.summary with one value."""
    return _field(5, _BYTES, _field(1, _BYTES, _field(1, _BYTES, name.encode()) + _field(2, _FLOAT, value)))


def _time(seconds: float) -> bytes:
    """Event.wall_time."""
    return _field(1, _DOUBLE, seconds)


def _field(number: int, kind: int, value: Any) -> bytes:
    """A field of a protocol buffer."""
    head = _varint(number << 3 | kind)
    if kind == _VARINT:
        return head + _varint(value)
    if kind == _BYTES:
        return head + _varint(len(value)) + value
    if kind == _FLOAT and not abs(value) <= _LARGEST:
        value = math.copysign(math.inf, value) if abs(value) > _LARGEST else math.nan
    return head + struct.pack("<d" if kind == _DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    low = bytearray()
    while value > 0x7F:
        low.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*low, value])


def _framed(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + _masked_crc(length) + event + _masked_crc(event)


def _masked_crc(content: bytes) -> bytes:
    """CRC-32C, rotated and shifted as TensorFlow does."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _CRC_TABLE[crc & 0xFF ^ byte]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF)


def _crc_of_byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


_CRC_TABLE = [_crc_of_byte(byte) for byte in range(256)]
