"""How a synthetic person is seen: a camera's place, the scene as materials, and the sensor.

A scene is drawn once, whatever sees it: per pixel the material there and how its surface slants.
Only the sensor turns that into an image, so the two modalities differ as two sensors do. All
figures are our choice.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from cmnas_tf.data.synthetic_bodies import Part, Point, Pose, body_parts
from cmnas_tf.data.synthetic_people import Person, draw_person, garment_materials, people_materials
from cmnas_tf.data.synthetic_plan import InfraredCameras, SyntheticPeople
from cmnas_tf.modality import INFRARED

_VISIBLE = InfraredCameras(infrared_sees="colours")


@dataclass(frozen=True)
class Scene:
    """What is in front of a camera, in pixels of the fine grid that is later averaged down."""

    materials: np.ndarray  # which of the camera's materials is where, [H, W] uint8
    slant: np.ndarray  # sideways component of the unit surface normal, -1..1, [H, W] float32

    def cover(self, top: float, bottom: float, left: float, right: float, material: int) -> None:
        """Covers a rectangle (pixels) with something flat."""
        rows = slice(max(0, round(top)), max(0, round(bottom)))
        columns = slice(max(0, round(left)), max(0, round(right)))
        self.materials[rows, columns] = material
        self.slant[rows, columns] = 0


@dataclass(frozen=True)
class Camera:
    """A place and a sensor, the same in all images of the camera."""

    sensor: InfraredCameras  # what separates it from a visible camera
    colours: np.ndarray  # of every material, people's first, then this place's, [n, 3] float32
    infrared: np.ndarray  # reflectances of the same materials, [n] float32
    warmth: np.ndarray  # of the same materials between the air's, 0, and a body's, 1, [n] float32
    place: np.ndarray  # materials of the surroundings, on which images are windows, [H, W'] uint8
    furniture: tuple[int, ...]  # materials of what may stand in front of a person
    tilt: float  # how far a point goes down in the image for being nearer, a ratio
    light: float  # direction of the lamps, from the left -1 .. 1 from the right
    exposure: float  # brightness of the image for a white surface in full light
    balance: np.ndarray  # gain of red, green and blue, [3] float32
    spot: tuple[float, float]  # (row, column) of the infrared illuminator's centre, parts of both


def _fine_grid(people: SyntheticPeople) -> int:
    """Pixels of the fine grid per image pixel and axis: small images need more of them."""
    return min(4, max(2, math.ceil(192 / people.image_height)))


@functools.lru_cache(maxsize=16)
def draw_camera(people: SyntheticPeople, camera: int) -> Camera:
    """The place and the sensor that camera number ``camera`` is under ``people``."""
    rng = people.stream("camera", camera)
    of_people = people_materials(people)
    surroundings = rng.uniform(0.2, 0.8, (7, 1)) + rng.uniform(-0.08, 0.08, (7, 3))
    # What is behind people gets less of the illuminator's light.
    infrared = rng.uniform(0.5, 0.8) * (0.5 * surroundings.mean(axis=1) + rng.uniform(0, 0.4, 7))
    surroundings = np.column_stack([surroundings, infrared])
    materials = np.concatenate([of_people, surroundings], dtype=np.float32)
    rows = range(len(of_people), len(materials))
    return Camera(
        sensor=people.infrared if people.cameras[camera] == INFRARED else _VISIBLE,
        colours=np.ascontiguousarray(materials[:, :3]),
        infrared=np.ascontiguousarray(materials[:, 3]),
        warmth=_warmth(people, camera),
        place=_draw_place(people, rng, rows),
        furniture=tuple(rows[4:]),
        tilt=rng.uniform(0.05, 0.25),
        light=rng.uniform(-0.8, 0.8),
        exposure=rng.uniform(0.85, 1.1),
        balance=rng.uniform(0.9, 1.1, 3).astype(np.float32),
        spot=(rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.7)),
    )


def _warmth(people: SyntheticPeople, camera: int) -> np.ndarray:
    """Of skin, hair, garments and surroundings: a garment insulates as it absorbs (our choice)."""
    rng = people.stream("warmth", camera)
    garments = garment_materials(people)[:, 3]
    parts = np.full(3, 1.0), np.full(4, 0.6), 0.85 * garments, rng.uniform(-0.15, 0.15, 7)
    return np.concatenate(parts, dtype=np.float32)


def _draw_place(people: SyntheticPeople, rng: np.random.Generator, rows: range) -> np.ndarray:
    """Wall, floor and furniture, four images wide; ``rows`` are the place's own materials."""
    height = people.image_height * _fine_grid(people)
    width = 4 * people.image_width * _fine_grid(people)
    wall, trim, floor, joint, *furniture = rows
    place = Scene(np.full((height, width), wall, np.uint8), np.zeros((height, width), np.float32))
    horizon = rng.uniform(0.6, 0.8) * height
    for _ in range(round(4 + 16 * people.difficulty)):  # doors, posters, posts, shelves
        left, broad = rng.uniform(-0.1, 1) * width, rng.uniform(0.01, 0.12) * width
        top = rng.uniform(0.0, 0.5) * height
        bottom = horizon if rng.random() < 0.6 else top + rng.uniform(0.05, 0.3) * height
        material = furniture[rng.integers(len(furniture))]
        place.cover(top, min(bottom, horizon), left, left + broad, material)
    place.cover(horizon, height, 0, width, floor)
    place.cover(horizon - 0.03 * height, horizon, 0, width, trim)
    tiles = int(rng.integers(3, 7))
    for tile in range(1, tiles):  # joints of the floor lie closer together farther away
        row = horizon + (height - horizon) * (tile / tiles) ** 2
        place.cover(row, row + 0.008 * height, 0, width, joint)
    return place.materials


@dataclass(frozen=True)
class View:
    """Where a person stands in a scene."""

    heading: float  # where the person faces, radians about the vertical: 0 the camera, pi/2 right
    column: float  # of the person's axis, pixels
    floor: float  # row of the floor under the person, pixels
    scale: float  # pixels per stature
    tilt: float  # how far a point goes down in the image for being nearer, a ratio
    shortening: float = 1.0  # how tall what stands upright appears, a ratio

    def nearness(self, point: Point) -> float:
        """How much nearer to the camera than the person's axis, statures."""
        x, _, z = point
        return z * math.cos(self.heading) - x * math.sin(self.heading)

    def pixel(self, point: Point) -> tuple[float, float]:
        """Row and column of a point in the frame of the body."""
        x, y, z = point
        across = x * math.cos(self.heading) + z * math.sin(self.heading)
        row = self.floor - self.scale * (self.shortening * y - self.tilt * self.nearness(point))
        return row, self.column + self.scale * across


def paint(scene: Scene, part: Part, view: View) -> None:
    """Draws one part: finds its pixels, and for each where on the surface of the part it is."""
    (top, left), (bottom, right) = view.pixel(part.start), view.pixel(part.end)
    length = max(math.hypot(bottom - top, right - left), 1e-6)
    down, aside = (bottom - top) / length, (right - left) / length
    broad = view.scale * math.hypot(math.cos(view.heading), part.depth * math.sin(view.heading))

    reach = broad * max(part.girth) + 1
    height, width = scene.materials.shape
    first_row = max(0, int(min(top, bottom) - reach))
    first_column = max(0, int(min(left, right) - reach))
    end_row = min(height, int(max(top, bottom) + reach) + 1)
    end_column = min(width, int(max(left, right) + reach) + 1)
    rows = np.arange(first_row, end_row, dtype=np.float32)[:, None] - top
    columns = np.arange(first_column, end_column, dtype=np.float32)[None] - left

    along = rows * down + columns * aside  # [rows, columns]
    across = columns * down - rows * aside  # positive to the right of a part that hangs
    on_axis = along.clip(0, length)
    beyond = along - on_axis
    knots = range(len(part.girth))
    half = broad * np.interp(on_axis * (len(knots[1:]) / length), knots, part.girth)
    if part.rounded:
        inside = across**2 + beyond**2 < half**2
    else:
        inside = (np.abs(across) < half) & (np.abs(beyond) < 0.5)
    row, column = np.nonzero(inside)

    slant = (across[row, column] / half[row, column]).clip(-1, 1)
    angle = np.arcsin(slant) - view.heading
    angle = (angle + math.pi) % (2 * math.pi) - math.pi
    statures = on_axis[row, column] * (math.dist(part.start, part.end) / length)
    scene.materials[row + first_row, column + first_column] = part.surface(statures, angle)
    scene.slant[row + first_row, column + first_column] = slant


def draw_image(people: SyntheticPeople, pid: int, camera: int, frame: int) -> np.ndarray:
    """One image of one person, a pure function of its arguments.

    Returns:
      uint8, [height, width, 3] (red, green, blue) of a visible camera, [height, width] of an
      infrared one.
    """
    rng = people.stream("image", pid, camera, frame)
    seen_by = draw_camera(people, camera)
    scene = _draw_scene(people, draw_person(people, pid), seen_by, rng)
    return photograph(people, scene, seen_by, rng)


def _draw_scene(
    people: SyntheticPeople, person: Person, camera: Camera, rng: np.random.Generator
) -> Scene:
    """The camera's place, a person in it, and now and then something in front of the person."""
    hard, fine = people.difficulty, _fine_grid(people)
    height, width = people.image_height * fine, people.image_width * fine
    window = int(rng.random() * (camera.place.shape[1] - width))
    place = camera.place[:, window : window + width]
    scene = Scene(place.copy(), np.zeros(place.shape, np.float32))

    turned = math.pi / 2 * int(rng.integers(1, 4)) if rng.random() < 0.75 * hard else 0.0
    size = min(height, 2.2 * width) * rng.uniform(0.9 - 0.15 * hard, 0.93)
    turn = math.radians(camera.sensor.infrared_turn)
    elevation = math.radians(camera.sensor.infrared_elevation)
    view = View(
        heading=turn + turned + rng.uniform(-1, 1) * (0.2 + 0.5 * hard),
        column=width * (0.5 + 0.15 * hard * rng.uniform(-1, 1)),
        floor=0.5 * (height + size) + 0.05 * height * hard * rng.uniform(-1, 1),
        scale=size * person.stature,
        tilt=camera.tilt + math.sin(elevation),
        shortening=math.cos(elevation),
    )
    pose = Pose(rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.25 + 0.35 * hard))

    def order(part: Part) -> float:
        """What is greater hides what is smaller."""
        return (view.nearness(part.start) + view.nearness(part.end)) / 2 + part.over

    for part in sorted(body_parts(person, pose), key=order):
        paint(scene, part, view)

    if rng.random() < 0.5 * hard:
        material = camera.furniture[rng.integers(len(camera.furniture))]
        hidden = rng.uniform(0.1, 0.35)
        side = rng.integers(3)
        if side == 0:
            scene.cover((1 - hidden) * height, height, 0, width, material)
        else:
            left = 0 if side == 1 else (1 - hidden) * width
            scene.cover(0, height, left, left + hidden * width, material)
    return scene


def photograph(
    people: SyntheticPeople, scene: Scene, camera: Camera, rng: np.random.Generator
) -> np.ndarray:
    """What lens and sensor of ``camera`` make of ``scene``; shapes as in :func:`draw_image`."""
    import cv2

    hard, sensor = people.difficulty, camera.sensor
    light = {"reflectance": _illuminator, "heat": _heat, "colours": _lamps}[sensor.infrared_sees]
    image = light(scene, camera, hard, rng)  # on the fine grid
    size = people.image_width, people.image_height
    if sensor.infrared_detail < 1:
        coarse = [max(1, round(sensor.infrared_detail * pixels)) for pixels in size]
        image = cv2.resize(image, coarse, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    else:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    blur = people.image_height / 128 * rng.uniform(0.2, 0.3 + 0.5 * hard)
    image = cv2.GaussianBlur(image, (0, 0), blur)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.sqrt(image + 0.1)
    image += sensor.infrared_noise * (0.01 + 0.03 * hard) * noise
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _lamps(scene: Scene, camera: Camera, hard: float, rng: np.random.Generator) -> np.ndarray:
    """Colours, lit from one side, with the camera's exposure and white balance."""
    facing = np.sqrt(1 - scene.slant**2)
    lit = camera.light * scene.slant + math.sqrt(1 - camera.light**2) * facing
    light = 0.45 + 0.55 * lit.clip(0)
    exposure = camera.exposure * (1 + 0.3 * hard * rng.uniform(-1, 1))
    balance = camera.balance * rng.uniform(1 - 0.08 * hard, 1 + 0.08 * hard, 3)
    colours = camera.colours * (exposure * balance).astype(np.float32)
    return colours.take(scene.materials, axis=0) * light[..., None]


def _illuminator(scene: Scene, camera: Camera, hard: float, rng: np.random.Generator) -> np.ndarray:
    """Infrared reflectances, lit from the camera: what faces it is bright, corners are dark."""
    height, width = scene.slant.shape
    row, column = camera.spot
    rows = np.arange(height, dtype=np.float32)[:, None] / height - row
    columns = np.arange(width, dtype=np.float32)[None] / width - column
    spot = np.exp(-1.2 * rows**2 - 0.6 * columns**2)
    light = (0.3 + 0.7 * np.sqrt(1 - scene.slant**2)) * spot
    gain = 1.15 * camera.exposure * (1 + 0.3 * hard * rng.uniform(-1, 1))
    return (gain * camera.infrared).take(scene.materials) * light


def _heat(scene: Scene, camera: Camera, hard: float, rng: np.random.Generator) -> np.ndarray:
    """Temperatures: of skin the body's, of surroundings the air's; clothes lie in between.

    The air is colder than a body or, in one image of three, warmer, which turns all contrasts over.
    """
    body, air = 0.6, rng.uniform(0.1, 0.35)
    if rng.random() < 1 / 3:
        air = rng.uniform(0.8, 0.95)
    temperatures = air + (body - air) * camera.warmth
    return temperatures.take(scene.materials) * (0.9 + 0.1 * np.sqrt(1 - scene.slant**2))
