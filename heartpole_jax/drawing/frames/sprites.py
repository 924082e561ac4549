"""What frames are put together from: texts and small pictures, each drawn once and pasted after that."""

import functools
import math

from heartpole_jax.drawing.palette import BLUE, GREEN, ORANGE

try:
    from PIL import Image, ImageColor, ImageDraw, ImageFont
except ImportError as missing:
    raise ImportError("drawing frames needs Pillow: pip install '.[render]' in the clone") from missing

RED, PANEL, BROWN = "#C1121F", "#F4F4F2", "#6F4E37"


@functools.lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's own font comes in sizes"
    return font


@functools.lru_cache(maxsize=1024)
def words(text: str, size: int, colour: str, anchor: str, width: int, halo: int) -> tuple[Image.Image, int, int]:
    """A text, drawn, and where its upper left corner lies from its anchor. Most frames repeat the last one's texts.

    The font shrinks until the text is no wider than `width` pixels.
    """
    while size > 8 and font(size).getlength(text) > width:
        size -= 1
    left, top, right, bottom = font(size).getbbox(text, anchor=anchor, stroke_width=halo)
    left, top = math.floor(left), math.floor(top)
    ground = ImageColor.getrgb(PANEL if halo else colour)
    image = Image.new("RGBA", (max(math.ceil(right) - left, 1), max(math.ceil(bottom) - top, 1)), (*ground[:3], 0))
    ImageDraw.Draw(image).text(
        (-left, -top), text, colour, font(size), anchor, stroke_width=halo, stroke_fill=PANEL if halo else None
    )
    return image, left, top


def write(
    image: Image.Image, place: tuple[float, float], text: str, size: int, colour: str, anchor: str, width=10_000, halo=0
) -> None:
    """Writes `text` with its anchor (Pillow's two letters) at `place`, in no more than `width` pixels."""
    drawn, left, top = words(text, size, colour, anchor, width, halo)
    image.paste(drawn, (round(place[0]) + left, round(place[1]) + top), drawn)


def tint(image: Image.Image, box: tuple[int, int, int, int], colour: str, strength: int) -> None:
    """Mixes `colour` into a box of the image, `strength` of 255 parts."""
    if box[0] < box[2]:
        image.paste(colour, box, Image.new("L", (box[2] - box[0], box[3] - box[1]), strength))


def place(image: Image.Image, icon: Image.Image | None, x: int, y: int) -> None:
    """Puts an icon, if there is one, with its centre at (x, y)."""
    if icon is not None:
        image.paste(icon, (x - icon.width // 2, y - icon.height // 2), icon)


def is_narrow(kind: str) -> bool:
    """Whether an icon is half as wide as high."""
    return kind in ("cup", "glass", "can") or kind[0] == "="


@functools.lru_cache(maxsize=64)
def icon(kind: str, size: int, colour: str = "white") -> Image.Image:
    """A small picture, `size` pixels high: a drink or a letter is half as wide, all else square.

    A letter, "=A", stands on a card. Drawn larger, so it is smooth.
    """
    scale, columns = 32, 8 if is_narrow(kind) else 16
    image = Image.new("RGBA", (columns * scale, 16 * scale))
    draw = ImageDraw.Draw(image)

    def at(*numbers: float) -> list[float]:
        return [number * scale for number in numbers]

    if kind == "cup":
        draw.polygon(at(0.9, 4, 7.1, 4, 6.2, 15.5, 1.8, 15.5), fill=BROWN)
        draw.polygon(at(1.3, 8, 6.7, 8, 6.4, 12, 1.6, 12), fill="#D9B48F")
        draw.rounded_rectangle(at(0.2, 2, 7.8, 4.6), scale * 0.8, fill="white", outline=BROWN, width=scale // 2)
    elif kind == "glass":
        draw.polygon(at(0.9, 3, 7.1, 3, 6.3, 15.5, 1.7, 15.5), fill=ORANGE, outline="#A86E00", width=scale // 2)
        draw.polygon(at(2.4, 6, 3.4, 6, 3.6, 13.5, 2.9, 13.5), fill="#FFD980")
        draw.rounded_rectangle(at(0.2, 1, 7.8, 5), scale * 1.6, fill="white", outline="#A86E00", width=scale // 2)
    elif kind == "can":
        draw.rounded_rectangle(at(0.7, 1, 7.3, 15.5), scale * 1.4, fill="#C9CED6")
        draw.rectangle(at(0.7, 3, 7.3, 13.5), fill=BLUE)
        draw.polygon(at(5.4, 3.6, 2, 9, 3.8, 9, 2.8, 13, 6.2, 7.4, 4.3, 7.4), fill="#FFD23F")
    elif kind == "leaf":
        for degrees, length in ((-100, 5.5), (100, 5.5), (-62, 8), (62, 8), (-30, 9.6), (30, 9.6), (0, 11.2)):
            c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            leaflet = ((0, 0), (1.1, length * 0.5), (0, length), (-1.1, length * 0.5))
            draw.polygon([scale * z for x, y in leaflet for z in (8 + x * c + y * s, 12 + x * s - y * c)], fill=GREEN)
        draw.line(at(8, 11.5, 8, 15.5), fill=GREEN, width=scale)
    elif kind == "weights":
        draw.rectangle(at(2, 7.2, 14, 8.8), fill=colour)
        for left in (0.3, 2.7, 10.9, 13.3):
            half = 4.6 if 2 < left < 12 else 2.8
            draw.rounded_rectangle(at(left, 8 - half, left + 2.4, 8 + half), scale * 0.6, fill=colour)
    elif kind == "z":
        for x, y, side in ((1.5, 5.5, 8.5), (10.6, 1, 4.6)):
            corners = at(x, y, x + side, y, x, y + side, x + side, y + side)
            draw.line(corners, fill=colour, width=round(scale * (0.6 + side / 6)), joint="curve")
    elif kind[0] == "=":
        draw.rounded_rectangle(at(0.2, 1.5, 7.8, 15), scale * 1.4, fill=colour)
        draw.text((4 * scale, 8.3 * scale), kind[1:], "white", font(9 * scale), "mm")
    elif kind == "moon":
        draw.ellipse(at(2, 2, 14, 14), fill="#F5E6A8")
        draw.ellipse(at(5.5, 0.5, 16.5, 11.5), fill=(0, 0, 0, 0))
    elif kind == "sun":
        for spoke in range(12):
            c, s = math.cos(spoke * math.pi / 6), math.sin(spoke * math.pi / 6)
            draw.line(at(8 + 5.6 * c, 8 + 5.6 * s, 8 + 7.8 * c, 8 + 7.8 * s), fill="#F2B705", width=scale)
        draw.ellipse(at(3.6, 3.6, 12.4, 12.4), fill="#F2B705")
    elif kind == "dot":
        draw.ellipse(at(0.5, 0.5, 15.5, 15.5), fill="white")
        draw.ellipse(at(2, 2, 14, 14), fill=colour)
    else:  # a heart, perhaps a broken one
        draw.ellipse(at(0.5, 1, 8.6, 9.1), fill=colour)
        draw.ellipse(at(7.4, 1, 15.5, 9.1), fill=colour)
        draw.polygon(at(1.35, 7.4, 14.65, 7.4, 8, 15.3), fill=colour)
        if kind == "broken":
            draw.line(at(8, 1, 6, 6, 10, 8.5, 7, 15.6), fill=RED, width=int(scale * 1.2), joint="curve")
    return image.resize((max(size * columns // 16, 1), size), Image.Resampling.BOX)
