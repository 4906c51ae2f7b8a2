"""Image files of many kinds: Pillow's, and small ones that it reads but does not write."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 13, 21
_random = np.random.default_rng(0)
RGB = _random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
ALPHA = _random.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
WIDE = _random.integers(0, 700, (HEIGHT, WIDTH)).astype(np.uint16)  # on both sides of 255
SMOOTH = np.stack(  # what lossy formats are made for
    [np.add.outer(3 * np.arange(37), k * np.arange(53)) % 256 for k in (1, 2, 4)], -1
).astype(np.uint8)


def image_of(mode: str) -> Image.Image:
    """An image of one of Pillow's modes."""
    rgb = Image.fromarray(RGB)
    if mode == "I;16":
        return Image.fromarray(WIDE)
    if mode == "CMYK":
        return Image.frombytes(mode, (WIDTH, HEIGHT), np.dstack([RGB, ALPHA]).tobytes())
    if mode in ("RGBA", "LA"):
        image = rgb.convert(mode)
        image.putalpha(Image.fromarray(ALPHA))
        return image
    return rgb.convert(mode)


def saved(image: Image.Image | str, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image = image_of(image) if isinstance(image, str) else image
    image.save(stream, format=format, **options)
    return stream.getvalue()


def png(samples: np.ndarray, bits: int, color: int, interlaced: bool = False) -> bytes:
    """Samples [height, width, channels] of so many bits; `color` as in the header."""
    height, width, _ = samples.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    def rows(part: np.ndarray) -> bytes:
        if not part.size:
            return b""
        if bits == 16:
            packed = part.reshape(len(part), -1).astype(">u2").view(np.uint8)
        else:
            digits = np.unpackbits(part.reshape(len(part), -1, 1).astype(np.uint8), axis=2)
            packed = np.packbits(digits[:, :, 8 - bits :].reshape(len(part), -1), axis=1)
        return b"".join(b"\0" + row.tobytes() for row in packed)

    passes = [(0, 0, 1, 1)]
    if interlaced:  # x, y, and the steps of Adam7
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]
        passes += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data = b"".join(rows(samples[y::dy, x::dx]) for x, y, dx, dy in passes)
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, int(interlaced))
    palette = chunk(b"PLTE", RGB.reshape(-1, 3)[: 1 << bits].tobytes()) if color == 3 else b""
    body = palette + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def bmp(
    pixels: bytes,
    bits: int,
    *,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    compression: int = 0,
    masks: tuple[int, ...] = (),
    old: bool = False,
) -> bytes:
    """A bitmap around its pixels; one of up to 8 bits with a palette."""
    width, height = size
    if compression in (0, 3):
        pixels = pixels[: (width * bits + 31) // 32 * 4 * abs(height)]
    if old:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, *[0] * 5)
    header += b"".join(struct.pack("<I", mask) for mask in masks)
    if bits <= 8:
        colors = _random.integers(0, 256, (1 << bits, 3 if old else 4), np.uint8)
        header += colors.tobytes()
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(header)) + header + pixels


def _runs(bits: int) -> bytes:
    """Run-length coded rows: runs, literals of both parities, a jump."""
    packed = (lambda n: n) if bits == 8 else (lambda n: (n + 1) // 2)
    top = (1 << 8) - 1
    data = b""
    for row in range(HEIGHT - 2):
        values = bytes((17 * row + 29 * i) & top for i in range(packed(5)))
        data += bytes([9, (37 * row) & top, 0, 5]) + values + b"\0" * (len(values) % 2)
        data += bytes([7, (91 * row) & top, 0, 0])
    data += bytes([3, 77, 0, 2, 2, 1]) + bytes([16, 0x5A, 0, 0])
    return data + bytes([WIDTH, 9, 0, 0, 0, 1])


def tiff(
    samples: np.ndarray,
    bits: int,
    photometric: int,
    *,
    tile: int = 0,
    separate: bool = False,
    extra: tuple[int, ...] = (),
    big_endian: bool = False,
    fields: tuple[tuple[int, int, list[int]], ...] = (),
) -> bytes:
    """Samples [height, width, channels], uncompressed; fields are (tag, type 3 or 4, values)."""
    order = ">" if big_endian else "<"
    height, width, channels = samples.shape

    def packed(part: np.ndarray) -> bytes:
        if bits == 16:
            return part.astype(order + "u2").tobytes()
        digits = np.unpackbits(part.reshape(len(part), -1, 1).astype(np.uint8), axis=2)
        return np.packbits(digits[:, :, 8 - bits :].reshape(len(part), -1), axis=1).tobytes()

    planes = [samples[:, :, k : k + 1] for k in range(channels)] if separate else [samples]
    blocks = []
    for plane in planes:
        if not tile:
            blocks.append(packed(plane))
            continue
        room = ((0, -height % tile), (0, -width % tile), (0, 0))
        full = np.pad(plane, room)
        blocks += [
            packed(full[y : y + tile, x : x + tile])
            for y in range(0, height, tile)
            for x in range(0, width, tile)
        ]
    entries = [(256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * channels)]
    entries += [(259, 3, [1]), (262, 3, [photometric]), (277, 3, [channels])]
    entries += [(284, 3, [2 if separate else 1])]
    if extra:
        entries += [(338, 3, list(extra))]
    entries += list(fields)
    places, counts = (324, 325) if tile else (273, 279)
    entries += [(counts, 4, [len(block) for block in blocks])]
    entries += [(322, 4, [tile]), (323, 4, [tile])] if tile else [(278, 4, [height])]
    entries += [(places, 4, [0] * len(blocks))]
    entries.sort()
    data = 8 + 2 + 12 * len(entries) + 4
    tail = {}
    for tag, kind, values in entries:
        if len(values) * (2 if kind == 3 else 4) > 4:
            tail[tag] = data
            data += len(values) * (2 if kind == 3 else 4)
    starts = [data + sum(map(len, blocks[:i])) for i in range(len(blocks))]
    text = b"MM\0*" if big_endian else b"II*\0"
    text += struct.pack(order + "IH", 8, len(entries))
    behind = b""
    for tag, kind, values in entries:
        values = starts if tag == places else values
        raw = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        text += struct.pack(order + "HHI", tag, kind, len(values))
        text += struct.pack(order + "I", tail[tag]) if tag in tail else raw.ljust(4, b"\0")
        behind += raw if tag in tail else b""
    return text + b"\0\0\0\0" + behind + b"".join(blocks)


def _bmp_files() -> dict[str, bytes]:
    raw = _random.integers(0, 256, 4 * WIDTH * HEIGHT + 4 * HEIGHT, np.uint8).tobytes()
    files = {mode: saved(mode, "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")}
    files |= {
        "top_down": bmp(raw, 24, size=(WIDTH, -HEIGHT)),
        "555": bmp(raw, 16),
        "565": bmp(raw, 16, compression=3, masks=(0xF800, 0x7E0, 0x1F)),
        "xbgr": bmp(raw, 32, compression=3, masks=(0xFF000000, 0xFF0000, 0xFF00)),
        "old": bmp(raw, 24, old=True),
        "old_1": bmp(raw, 1, old=True),
        "4": bmp(raw, 4),
        "runs_8": bmp(_runs(8), 8, compression=1),
        "runs_4": bmp(_runs(4), 4, compression=2),
    }
    return files


def _pnm_files() -> dict[str, bytes]:
    gray = RGB[..., 0]
    plain = {
        "P1": (RGB[..., 0] > 99).astype(int),
        "P2": gray % 100,
        "P3": RGB.reshape(HEIGHT, -1) % 100,
    }
    size = f"# a comment\n{WIDTH} # another\n{HEIGHT}\n"
    files = {mode: saved(mode, "PPM") for mode in ("1", "L", "RGB", "I;16")}
    for kind, values in plain.items():
        rows = "\n".join(" ".join(map(str, row)) for row in values.tolist())
        files[kind] = f"{kind}\n{size}{'' if kind == 'P1' else '99 '}{rows}\n".encode()
    files["P1_close"] = f"P1 {WIDTH} {HEIGHT} ".encode() + b"0110100" * (WIDTH * HEIGHT // 7)
    files["P5_100"] = f"P5 {size}100 ".encode() + (gray % 101).tobytes()
    files["P5_1000"] = f"P5 {size}1000 ".encode() + WIDE.astype(">u2").tobytes()
    files["P6_1000"] = f"P6 {size}1000 ".encode() + (RGB.astype(">u2") * 3).tobytes()
    return files


def _png_files() -> dict[str, bytes]:
    files = {mode: saved(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    files["transparent_P"] = saved("P", "PNG", transparency=3)
    files["transparent_L"] = saved("L", "PNG", transparency=3)
    wide = RGB.astype(np.uint16) * 251 + 77
    both = np.dstack([wide, ALPHA])
    for interlaced in (False, True):
        end = "_interlaced" if interlaced else ""
        for bits in (1, 2, 4, 8):
            few = RGB[..., :1] >> (8 - bits)
            files[f"gray_{bits}{end}"] = png(few, bits, 0, interlaced)
            files[f"palette_{bits}{end}"] = png(few, bits, 3, interlaced)
        files[f"gray_16{end}"] = png(WIDE[..., None], 16, 0, interlaced)
        files[f"gray_alpha_16{end}"] = png(wide[..., :2], 16, 4, interlaced)
        files[f"rgb_16{end}"] = png(wide, 16, 2, interlaced)
        files[f"rgba_16{end}"] = png(both, 16, 6, interlaced)
        files[f"rgb_8{end}"] = png(RGB, 8, 2, interlaced)
    files["one"] = png(RGB[:1, :1], 8, 2, True)
    return files


def _jpeg_files() -> dict[str, bytes]:
    smooth = Image.fromarray(SMOOTH)
    exif = Image.Exif()
    exif[274] = 6  # turned, which the reference does not mind
    files = {
        f"{mode}_{name}": saved(smooth.convert(mode), "JPEG", **options)
        for mode in ("RGB", "L", "CMYK")
        for name, options in {
            "plain": {},
            "progressive": {"progressive": True},
            "restarts": {"restart_marker_blocks": 3},
        }.items()
    }
    for subsampling in (0, 1, 2):
        files[f"subsampled_{subsampling}"] = saved(smooth, "JPEG", subsampling=subsampling)
    files["turned"] = saved(smooth, "JPEG", exif=exif)
    files["noise"] = saved("RGB", "JPEG", quality=95)
    files["kept_rgb"] = saved(smooth, "JPEG", keep_rgb=True)
    return files


def _tiff_files() -> dict[str, bytes]:
    modes = ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16")
    files = {
        f"{mode}_{compression or 'raw'}": saved(mode, "TIFF", compression=compression)
        for mode in modes
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")
    }
    files["group4"] = saved("1", "TIFF", compression="group4")
    smooth = Image.fromarray(SMOOTH)
    files["jpeg"] = saved(smooth, "TIFF", compression="jpeg")
    files["ycc"] = saved(smooth.convert("YCbCr"), "TIFF", compression="tiff_lzw")
    for turn in range(1, 9):
        files[f"turned_{turn}"] = saved("RGB", "TIFF", tiffinfo={274: turn})
    gray, rgba = RGB[..., :1], np.dstack([RGB, ALPHA])
    for big_endian in (False, True):
        end = "_big" if big_endian else ""
        files[f"tiles{end}"] = tiff(RGB, 8, 2, tile=16, big_endian=big_endian)
        files[f"rgb_16{end}"] = tiff(RGB * np.uint16(257), 16, 2, big_endian=big_endian)
        files[f"gray_16{end}"] = tiff(WIDE[..., None], 16, 1, big_endian=big_endian)
    files["gray_tiles"] = tiff(gray, 8, 1, tile=16)
    files["separate"] = tiff(RGB, 8, 2, separate=True)
    files["cmyk_16"] = tiff(rgba * np.uint16(257), 16, 5)
    files["premultiplied"] = tiff(rgba, 8, 2, extra=(1,))
    files["unused"] = tiff(rgba, 8, 2, extra=(0,))
    for bits in (2, 4):
        files[f"gray_{bits}"] = tiff(gray >> (8 - bits), bits, 1)
        files[f"white_is_zero_{bits}"] = tiff(gray >> (8 - bits), bits, 0)
        colors = (320, 3, (RGB.reshape(-1)[: 3 << bits] * np.uint16(257)).tolist())
        files[f"palette_{bits}"] = tiff(gray >> (8 - bits), bits, 3, fields=(colors,))
    return files


def _webp_files() -> dict[str, bytes]:
    smooth, rgba = Image.fromarray(SMOOTH), image_of("RGBA")
    second = Image.fromarray(RGB[::-1].copy())
    return {
        "lossy": saved(smooth, "WEBP"),
        "lossless": saved("RGB", "WEBP", lossless=True),
        "transparent": saved(rgba, "WEBP", lossless=True, exact=True),
        "transparent_lossy": saved(rgba, "WEBP", quality=90),
        "animated": saved("RGB", "WEBP", save_all=True, append_images=[second], lossless=True),
    }


def _jpeg2000_files() -> dict[str, bytes]:
    files = {mode: saved(mode, "JPEG2000") for mode in ("L", "LA", "RGB", "RGBA", "I;16")}
    files["bare"] = saved("RGB", "JPEG2000", no_jp2=True)
    files["tiles"] = saved(Image.fromarray(SMOOTH), "JPEG2000", tile_size=(16, 16))
    files["lossy"] = saved(
        Image.fromarray(SMOOTH), "JPEG2000", irreversible=True, quality_layers=[20]
    )
    return files


def all_files() -> dict[str, dict[str, bytes]]:
    """Files by the format's name in the library, and by what is special of each."""
    return {
        "BMP": _bmp_files(),
        "PNM": _pnm_files(),
        "JPEG": _jpeg_files(),
        "PNG": _png_files(),
        "TIFF": _tiff_files(),
        "WEBP": _webp_files(),
        "JPEG2000": _jpeg2000_files(),
    }


def resized(format: str, width: int, height: int) -> bytes:
    """A file that says it has so many pixels and has not."""
    if format == "BMP":
        return bmp(b"\0" * 100, 24, size=(width, height))
    if format == "PNM":
        return f"P6 {width} {height} 255 ".encode() + b"\0" * 100
    if format == "PNG":
        header = struct.pack(">II", width, height) + bytes([8, 2, 0, 0, 0])
        whole = png(RGB, 8, 2)
        check = struct.pack(">I", zlib.crc32(b"IHDR" + header))
        return whole[:16] + header + check + whole[33:]
    if format == "JPEG":
        whole = bytearray(saved("RGB", "JPEG", progressive=True))
        at = whole.index(b"\xff\xc2")
        whole[at + 5 : at + 9] = struct.pack(">HH", height, width)
        return bytes(whole)
    if format == "TIFF":
        return tiff(RGB, 8, 2).replace(
            struct.pack("<HHIIHHII", 256, 4, 1, WIDTH, 257, 4, 1, HEIGHT),
            struct.pack("<HHIIHHII", 256, 4, 1, width, 257, 4, 1, height),
        )
    if format == "WEBP":
        whole = bytearray(saved("RGB", "WEBP", lossless=True))
        at = whole.index(b"VP8L") + 9
        size = struct.unpack_from("<I", whole, at)[0] >> 28 << 28 | (height - 1) << 14 | width - 1
        whole[at : at + 4] = struct.pack("<I", size)
        return bytes(whole)
    whole = bytearray(saved("RGB", "JPEG2000", no_jp2=True))
    at = whole.index(b"\xff\x51") + 6
    struct.pack_into(">IIIIIIII", whole, at, width, height, 0, 0, width, height, 0, 0)
    return bytes(whole)
