"""``python -m tests.odd_images FOLDER``: small image files of the kinds that people bring.

Each is a file that one reader somewhere takes and another does not, or takes otherwise. All are
made here, the same each time.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

HEIGHT, WIDTH = 24, 18


def photo(seed: int) -> Image.Image:
    """Smooth structures and some noise."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 3, 3), np.uint8))
    smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int64)
    noisy = smooth + random.integers(-9, 10, smooth.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


COLOURED, OTHER = photo(0), photo(1)
GREY, FEW_COLOURS = COLOURED.convert("L"), COLOURED.quantize(16)
TRANSPARENT = COLOURED.copy()
TRANSPARENT.putalpha(GREY)
DEEP = np.asarray(GREY, np.uint16) * 4 + 29_000  # as thermal cameras write


def saved(picture: Image.Image, form: str, **options) -> bytes:
    """A picture as Pillow writes it."""
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def held(orientation: int) -> Image.Exif:
    """What a camera writes that was held so, from 1 (upright) to 8."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a maker of cameras"
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def png(bits: int, kind: int, samples, chunks=(), interlaced=False, first=()) -> bytes:
    """A PNG.

    Args:
      bits: of a sample.
      kind: its colour type; 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
      samples: [height, width, samples of a pixel].
      chunks: names and bytes, between the header and the pixels.
      interlaced: whether the pixels come in Adam7's seven passes.
      first: the chunks before the header, where there may be none.
    """
    samples = np.asarray(samples).reshape(HEIGHT, WIDTH, -1)
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    steps = [*steps, (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    lines = b"".join(
        b"\0" + _packed(line, bits)
        for x, y, across, down in steps
        for line in samples[y::down, x::across].reshape(-1, samples[y::down, x::across][0].size)
    )
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, kind, 0, 0, interlaced)
    pixels = zlib.compress(lines)
    parts = [*first, (b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _packed(line: np.ndarray, bits: int) -> bytes:
    """A line of samples, the first one in the highest bits."""
    if bits == 16:
        return line.astype(">u2").tobytes()
    return np.packbits(
        np.unpackbits(line.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :]
    ).tobytes()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bmp(bits: int, lines: bytes, palette=b"", compression=0, masks=b"", top_down=False) -> bytes:
    """A BMP; its lines are full, and from the bottom up unless it is ``top_down``."""
    begin = 14 + 40 + len(masks) + len(palette)
    height = -HEIGHT if top_down else HEIGHT
    size = (WIDTH, height, 1, bits, compression, len(lines), 0, 0, len(palette) // 4, 0)
    headers = struct.pack("<2sIHHI", b"BM", begin + len(lines), 0, 0, begin)
    return headers + struct.pack("<IiiHHIIiiII", 40, *size) + masks + palette + lines


def bmp_lines(pixels: np.ndarray) -> bytes:
    """[height, bytes of a line] uint8, each line filled up to four bytes."""
    return np.pad(pixels, ((0, 0), (0, -pixels.shape[1] % 4))).tobytes()


def _jpegs() -> dict[str, bytes]:
    plain = saved(COLOURED, "JPEG", quality=90)
    print_colours = saved(COLOURED.convert("CMYK"), "JPEG")
    transform = print_colours.index(b"Adobe") + 11
    profile = {"icc_profile": bytes(3000)}
    with_profile = saved(COLOURED, "JPEG", **profile)
    frame = with_profile.index(b"\xff\xdb")  # the tables, behind the profile
    exif = held(6).tobytes()
    turning = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    frames = {"save_all": True, "append_images": [OTHER]}
    return {
        "plain.jpg": plain,
        "fine.jpg": saved(COLOURED, "JPEG", quality=100, subsampling="4:4:4"),
        "half_colours.jpeg": saved(COLOURED, "JPEG", subsampling="4:2:2"),
        "quarter_colours.JPG": saved(COLOURED, "JPEG", subsampling="4:2:0"),
        "stored_as_rgb.jpg": saved(COLOURED, "JPEG", keep_rgb=True),
        "progressive.jpg": saved(COLOURED, "JPEG", progressive=True),
        "optimized.jpg": saved(COLOURED, "JPEG", optimize=True),
        "restarts.jpg": saved(COLOURED, "JPEG", restart_marker_blocks=1),
        "grey.jpg": saved(GREY, "JPEG"),
        "grey_progressive.jpg": saved(GREY, "JPEG", progressive=True),
        "comment.jpg": saved(COLOURED, "JPEG", comment="taken in the rain"),
        "profile.jpg": with_profile,
        "upright.jpg": saved(COLOURED, "JPEG", exif=held(1)),
        "upright_behind_profile.jpg": saved(COLOURED, "JPEG", exif=held(1), **profile),
        "several.jpg": saved(COLOURED, "MPO", **frames),  # phones add pictures behind the first
        "more_behind.jpg": plain + b"from another program",
        "jpeg_named.png": plain,
        "cmyk.jpg": print_colours,
        "ycck.jpg": print_colours[:transform] + b"\2" + print_colours[transform + 1 :],
        **{f"turned_{way}.jpg": saved(COLOURED, "JPEG", exif=held(way)) for way in range(2, 9)},
        "turned_behind_jfif.jpg": plain[:20] + turning + plain[20:],
        "turned_behind_profile.jpg": with_profile[:frame] + turning + with_profile[frame:],
        "half.jpg": plain[: len(plain) // 2],
        "no_end.jpg": plain[:-2],
        "header_alone.jpg": plain[:20],
    }


def _pngs() -> dict[str, bytes]:
    coloured, grey = np.asarray(COLOURED), np.asarray(GREY)
    number = np.asarray(FEW_COLOURS)
    palette = bytes(FEW_COLOURS.getpalette()[:48])
    plain = saved(COLOURED, "PNG")
    frame = (b"acTL", struct.pack(">II", 2, 0))
    exif = {way: held(way).tobytes().removeprefix(b"Exif\0\0") for way in (1, 6)}
    return {
        "plain.png": plain,
        "grey_1_bit.png": png(1, 0, grey >> 7),
        "grey_2_bits.png": png(2, 0, grey >> 6),
        "grey_4_bits.PNG": png(4, 0, grey >> 4),
        "grey_8_bits.png": png(8, 0, grey),
        "grey_alpha.png": png(8, 4, np.stack([grey, grey[::-1]], -1)),
        "palette_1_bit.png": png(1, 3, number & 1, [(b"PLTE", palette[:6])]),
        "palette_2_bits.png": png(2, 3, number & 3, [(b"PLTE", palette[:12])]),
        "palette_4_bits.png": png(4, 3, number, [(b"PLTE", palette)]),
        "palette_8_bits.png": png(8, 3, number, [(b"PLTE", palette)]),
        "palette_transparent.png": png(8, 3, number, [(b"PLTE", palette), (b"tRNS", bytes(9))]),
        "rgb_alpha.png": saved(TRANSPARENT, "PNG"),
        "transparent_colour.png": png(8, 2, coloured, [(b"tRNS", bytes(6))]),
        "gamma.png": png(8, 2, coloured, [(b"gAMA", struct.pack(">I", 100_000))]),
        "interlaced.png": png(8, 2, coloured, interlaced=True),
        "interlaced_grey_4_bits.png": png(4, 0, grey >> 4, interlaced=True),
        "upright.png": png(8, 2, coloured, [(b"eXIf", exif[1])]),
        "png_named.bmp": plain,
        "grey_16_bits.png": png(16, 0, DEEP),
        "grey_16_bits_interlaced.png": png(16, 0, DEEP, interlaced=True),
        "grey_16_bits_transparent.png": png(
            16, 0, DEEP, [(b"tRNS", struct.pack(">H", DEEP[3, 3]))]
        ),
        "grey_16_bits_gamma.png": png(16, 0, DEEP, [(b"gAMA", struct.pack(">I", 45_455))]),
        "grey_16_bits_whole_range.png": png(16, 0, np.arange(HEIGHT * WIDTH) * 151),
        "grey_alpha_16_bits.png": png(16, 4, np.stack([DEEP, DEEP], -1)),
        "frames_16_bits.png": png(16, 0, DEEP, [frame]),
        "half_16_bits.png": png(16, 0, DEEP)[:400],
        "rgb_16_bits.png": png(16, 2, coloured.astype(np.uint16) * 257),
        "turned.png": png(8, 2, coloured, [(b"eXIf", exif[6])]),
        "turned_behind_profile.png": saved(
            COLOURED, "PNG", exif=held(6), icc_profile=np.random.default_rng(0).bytes(3000)
        ),
        "frames.png": saved(COLOURED, "PNG", save_all=True, append_images=[OTHER]),
        "frames_of_palette.png": png(8, 3, number, [(b"PLTE", palette), frame]),
        "header_second.png": png(8, 2, coloured, first=[(b"tEXt", b"Title\0none")]),
        "header_second_16_bits.png": png(16, 0, DEEP, first=[(b"tEXt", b"Title\0none")]),
        "half.png": plain[: len(plain) // 2],
        "header_alone.png": plain[:33],
        "damaged.png": plain[:200] + bytes(20) + plain[220:],
    }


def _bmps() -> dict[str, bytes]:
    coloured, grey = np.asarray(COLOURED)[::-1], np.asarray(GREY)[::-1]  # from the bottom up
    blue_first = np.ascontiguousarray(coloured[..., ::-1])
    filled = np.dstack([blue_first, np.zeros_like(grey)])
    greys = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    number = np.asarray(FEW_COLOURS)
    colours = np.random.default_rng(0).integers(0, 256, (256, 4), np.uint8).tobytes()
    bits_5 = coloured.astype(np.uint16) >> 3
    runs = b"".join(b"".join(bytes([1, n]) for n in line) + b"\0\0" for line in grey) + b"\0\1"
    short_runs = bytes([WIDTH, 9, 0, 0]) * HEIGHT + b"\0\1"
    other_masks = struct.pack("<3I", 0xFF, 0xFF00, 0xFF0000)
    masks = struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)
    core = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24)
    lines = bmp_lines(blue_first.reshape(HEIGHT, -1))
    plain = bmp(24, lines)
    return {
        "plain.bmp": plain,
        "top_down.bmp": bmp(24, bmp_lines(blue_first[::-1].reshape(HEIGHT, -1)), top_down=True),
        "rgb_32_bits.bmp": bmp(32, bmp_lines(filled.reshape(HEIGHT, -1))),
        "grey.BMP": bmp(8, bmp_lines(grey), greys),
        "more_behind.bmp": plain + bytes(8),
        "masked_32_bits.bmp": bmp(32, filled.tobytes(), compression=3, masks=masks),
        "masked_otherwise.bmp": bmp(32, filled.tobytes(), compression=3, masks=other_masks),
        "rgb_16_bits.bmp": bmp(
            16, bmp_lines((bits_5 @ [1024, 32, 1]).astype("<u2").view(np.uint8))
        ),
        "palette_1_bit.bmp": bmp(1, bmp_lines(np.packbits(number & 1, axis=1)), colours[:8]),
        "palette_4_bits.bmp": bmp(
            4, bmp_lines(number[:, ::2] * 16 + number[:, 1::2]), colours[:64]
        ),
        "palette_8_bits.bmp": bmp(8, bmp_lines(number), colours),
        "runs.bmp": bmp(8, runs, greys, compression=1),
        "runs_as_long_as_pixels.bmp": bmp(
            8, short_runs + bytes(20 * HEIGHT - len(short_runs)), greys, compression=1
        ),
        "of_os2.bmp": struct.pack("<2sIHHI", b"BM", 26 + len(lines), 0, 0, 26) + core + lines,
        "half.bmp": plain[: len(plain) // 2],
        "header_alone.bmp": plain[:54],
        "header_cut.bmp": plain[:30],
    }


def _others() -> dict[str, bytes]:
    frames = {"save_all": True, "append_images": [OTHER]}
    return {
        "gif_named.jpg": saved(COLOURED, "GIF"),
        "frames_of_gif_named.png": saved(COLOURED, "GIF", **frames),
        "webp_named.jpg": saved(COLOURED, "WEBP"),
        "webp_lossless_named.png": saved(COLOURED, "WEBP", lossless=True),
        "tiff_named.jpg": saved(COLOURED, "TIFF"),
        "tiff_compressed_named.png": saved(COLOURED, "TIFF", compression="tiff_lzw"),
        "jpeg_2000_named.jpg": saved(COLOURED, "JPEG2000"),
        "netpbm_named.bmp": saved(COLOURED, "PPM"),
        "icon_named.png": saved(COLOURED, "ICO", sizes=[(16, 16)]),
        "nothing.jpg": b"",
        "zeros.png": bytes(500),
        "text.jpg": b"<!doctype html><title>404 Not Found</title>",
    }


def odd_images() -> dict[str, bytes]:
    """All files by name."""
    return {**_jpegs(), **_pngs(), **_bmps(), **_others()}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    for name, content in odd_images().items():
        (folder / name).write_bytes(content)
