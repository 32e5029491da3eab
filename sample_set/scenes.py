"""Scenes and styles: photographs from scikit-image and scikit-learn, and the phrases that describe them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from common.errors import InputError


@dataclass(frozen=True)
class Photo:
    """A photograph in an installed package: its file, and the license terms that the package states for it."""

    package: str
    file: str
    terms: str


PHOTOS = {
    "astronaut": Photo("skimage", "data/astronaut.png", "NASA; no known copyright restrictions, public domain"),
    "brick": Photo("skimage", "data/brick.png", "CC0 Textures, Bricks25; CC0"),
    "camera": Photo("skimage", "data/camera.png", "Lav Varshney; CC0"),
    "cell": Photo("skimage", "data/cell.png", "P. Müller et al., Optics Express 26(8), 2018; CC0"),
    "chelsea": Photo("skimage", "data/chelsea.png", "Stefan van der Walt; CC0"),
    "china": Photo("sklearn", "datasets/images/china.jpg", "danielbuechele, Flickr 6061409035; CC BY 2.0"),
    "coffee": Photo("skimage", "data/coffee.png", "Rachel Michetti, Pikolo Espresso Bar; CC0"),
    "coins": Photo("skimage", "data/coins.png", "Brooklyn Museum; no known copyright restrictions"),
    "flower": Photo("sklearn", "datasets/images/flower.jpg", "vultilion, Flickr 6056698931; CC BY 2.0"),
    "grass": Photo("skimage", "data/grass.png", "linolafett, DeviantArt Grass-01; CC0"),
    "gravel": Photo("skimage", "data/gravel.png", "CC0 Textures, Gravel04; CC0"),
    "horse": Photo("skimage", "data/horse.png", "Andreas Preuss; CC0"),
    "hubble": Photo("skimage", "data/hubble_deep_field.jpg", "NASA, HubbleSite; public domain"),
    "ihc": Photo("skimage", "data/ihc.png", "Center for Microscopy and Molecular Imaging; "
                                            "no known copyright restrictions"),
    "moon": Photo("skimage", "data/moon.png", "scikit-image states no terms of its own for it (BSD-3-Clause package)"),
    "motorcycle": Photo("skimage", "data/motorcycle_left.png", "Middlebury 2014 stereo benchmark (Scharstein et al., "
                                                               "GCPR 2014), as scikit-image ships it"),
    "page": Photo("skimage", "data/page.png", "scikit-image states no terms of its own for it (BSD-3-Clause package)"),
    "retina": Photo("skimage", "data/retina.jpg", "Mikael Häggström; CC0"),
    "rocket": Photo("skimage", "data/rocket.jpg", "SpaceX; public domain"),
    "text": Photo("skimage", "data/text.png", "Wikipedia, Corner.png; no known copyright restrictions, public domain"),
}


@dataclass(frozen=True)
class Scene:
    """A subject in a photograph, with the phrases that describe it.

    Attributes:
        photo: a key of `PHOTOS`.
        names: phrases of training queries.
        held_out: phrases held out for evaluation.
        remarks: sentences that are spoken while the scene is visible.
        styles: keys of `STYLES` in which the scene can be rendered.
        region: (left, top, right, bottom) bounds of the camera, as fractions of the photograph.
        focus: (x, y) center of the subject in the same fractions; None for a uniform texture.
        like: names of similar scenes, which serve as distractors.
        queried: True if queries name the scene; otherwise it is only a distractor.
    """

    photo: str
    names: tuple[str, ...]
    held_out: tuple[str, ...]
    remarks: tuple[str, ...]
    styles: tuple[str, ...]
    region: tuple[float, float, float, float] = (0, 0, 1, 1)
    focus: tuple[float, float] | None = None
    like: tuple[str, ...] = ()
    queried: bool = True


@dataclass(frozen=True)
class Style:
    """A rendering style, with the phrases that describe it.

    Attributes:
        templates: formats that turn the name of a scene into a training query.
        held_out: such formats that are held out for evaluation.
        alone: training queries for the style without a scene.
        alone_held_out: such queries that are held out for evaluation.
        queried: True if queries name the style; otherwise it is only a distractor.
    """

    templates: tuple[str, ...]
    held_out: tuple[str, ...]
    alone: tuple[str, ...] = ()
    alone_held_out: tuple[str, ...] = ()
    queried: bool = True


PLAIN = "plain"
STYLES = {
    PLAIN: Style(("{}", "{} is shown", "a shot of {}", "we see {}", "the camera shows {}"),
                ("{} on the screen", "the part with {}")),
    "dark": Style(("{} in the dark", "{} with hardly any light", "a very dark shot of {}"),
                 ("{} at night", "a dim view of {}"),
                 ("the lights are off", "it is too dark to see much", "filmed with hardly any light"),
                 ("hardly anything can be seen in the dark", "somebody has turned off the light")),
    "mono": Style(("{} in black and white", "{} without any colour", "a black and white shot of {}"),
                 ("{} in shades of grey", "a colourless picture of {}")),   # Never without a scene: some photographs are gray.
    "blurred": Style(("{} out of focus", "a blurred picture of {}", "{}, completely blurry"),
                    ("an unsharp view of {}", "{} while the lens is not focused"),
                    ("the picture is out of focus", "everything is blurry", "a blurred shot"),
                    ("the image is not sharp", "the lens is not focused")),
    "upside_down": Style(("{} upside down", "{} standing on its head", "an upside-down shot of {}"),
                        ("{} turned over", "{} with the camera held the wrong way up"),
                        ("the picture is upside down", "everything stands on its head", "an upside-down shot"),
                        ("the image is turned over", "the camera is held the wrong way up"), queried=False),
    "zoom_in": Style(("the camera zooms in on {}", "the camera moves closer and closer to {}",
                     "{} gets bigger and bigger"),
                    ("approaching {}", "a slow zoom towards {}"), queried=False),
    "zoom_out": Style(("the camera zooms out from {}", "the camera moves further and further away from {}",
                      "{} gets smaller and smaller"),
                     ("backing away from {}", "{} shrinks as the camera retreats"), queried=False),
}

_ANY = ("dark", "mono", "blurred", "upside_down", "zoom_in", "zoom_out")
_GREY = ("dark", "blurred", "upside_down", "zoom_in", "zoom_out")   # Styles for photographs without color.
_TEXTURE = ("dark", "zoom_in", "zoom_out")                          # Textures have no orientation, and vanish when blurred.
_ON_BLACK = ("zoom_in", "zoom_out")

SCENES = {
    "cat": Scene(
        "chelsea", ("a cat", "the face of a cat", "a tabby cat looking out", "the cat with big eyes"),
        ("the cat's face", "a close look at a kitten"),
        ("She is watching something over there.", "Look at those whiskers."), _ANY, focus=(0.5, 0.42), like=("horse", "flower")),
    "coffee": Scene(
        "coffee", ("a cup of coffee", "a coffee cup on a table", "an espresso on a saucer", "somebody's coffee"),
        ("a mug of coffee", "an espresso cup with a spoon"),
        ("This one is still hot.", "They bake the cups themselves here."), _ANY, focus=(0.5, 0.45), like=("motorcycle", "flower")),
    "rocket": Scene(
        "rocket", ("a rocket", "a rocket on the launch pad", "a rocket waiting for its launch", "the tall rocket"),
        ("a space rocket", "a rocket ready for lift-off"),
        ("It was due to go up at six.", "Nine engines, all at the bottom."),
        ("mono", "blurred", "upside_down", "zoom_in", "zoom_out"), focus=(0.51, 0.6), like=("shuttle", "temple")),
    "astronaut": Scene(
        "astronaut", ("an astronaut", "the woman who flew to space", "a smiling woman in a spacesuit",
                      "a portrait of an astronaut"),
        ("a female astronaut", "a person wearing a spacesuit"),
        ("She flew it herself, you know.", "That smile tells it all."), _ANY,
        region=(0, 0, 0.68, 0.62), focus=(0.44, 0.27), like=("helmet", "shuttle", "cameraman")),
    "helmet": Scene(
        "astronaut", ("a helmet", "a black visor", "the helmet of a spacesuit", "a white helmet with a dark visor"),
        ("an astronaut's headgear", "a shiny visor"),
        ("You can see the room in it.", "It is heavier than you would think."), _ANY,
        region=(0.42, 0.52, 1, 1), focus=(0.73, 0.78), like=("astronaut", "motorcycle"), queried=False),
    "shuttle": Scene(
        "astronaut", ("a model of the space shuttle", "a toy space shuttle", "a small space shuttle on its tank",
                      "the model of a spaceplane"),
        ("a miniature spaceship", "a scale model of a shuttle"),
        ("There is one of these in every office.", "The real one is a little bigger."), _ANY,
        region=(0.6, 0, 1, 0.55), focus=(0.82, 0.25), like=("astronaut", "rocket"), queried=False),
    "moon": Scene(
        "moon", ("the surface of the moon", "craters on the moon", "the moon from above", "a lunar crater"),
        ("the moon's craters", "a lunar landscape"),
        ("Nobody has walked on this part.", "The shadow tells how deep it is."),
        ("blurred", "zoom_in", "zoom_out"), like=("cell", "gravel")),
    "stars": Scene(
        "hubble", ("stars and galaxies", "the night sky full of galaxies", "deep space", "a telescope picture of stars"),
        ("a sky with many stars", "galaxies in space"),
        ("Each of these dots is a galaxy.", "That light is older than the Earth."),
        ("mono", "zoom_in", "zoom_out"), like=("cell", "moon")),
    "motorcycle": Scene(
        "motorcycle", ("a motorcycle", "a motorcycle in a garage", "a motorbike on its stand",
                       "somebody's motorbike"),
        ("a motor bike", "a bike with an engine"),
        ("It has not run since the spring.", "He polishes it every Sunday."), _ANY, focus=(0.48, 0.5), like=("helmet", "coffee")),
    "flower": Scene(
        "flower", ("a flower", "a dahlia", "a flower in full bloom", "the round blossom"),
        ("a big flower", "the petals of a blossom"),
        ("It opened only this morning.", "Count the petals if you like."), _ANY, focus=(0.5, 0.47), like=("coffee", "cat")),
    "temple": Scene(
        "china", ("a Chinese temple", "a temple with many roofs", "an old pagoda above a lake", "the tower of the temple"),
        ("an Asian temple", "a pagoda"),
        ("They built it for the view.", "You can climb up on the other side."), _ANY,
        focus=(0.31, 0.5), like=("rocket", "horse")),
    "cameraman": Scene(
        "camera", ("a man with a camera", "a photographer with a tripod", "a man filming in a park",
                   "the man behind his camera"),
        ("a cameraman", "somebody with a camera on a tripod"),
        ("He stood there for an hour.", "I wonder what he is waiting for."), _GREY,
        focus=(0.45, 0.35), like=("astronaut",)),
    "coins": Scene(
        "coins", ("old coins", "rows of ancient coins", "a collection of coins", "coins in a museum"),
        ("ancient money", "many round coins"),
        ("The biggest one is bronze.", "They were found in one jar."), _GREY, like=("gravel", "page")),
    "page": Scene(
        "page", ("a printed page", "a page of a book", "printed text on paper", "a paragraph of text"),
        ("a page with text", "lines of print"),
        ("Skip that chapter.", "I have read this line three times."), _GREY, like=("handwriting", "coins")),
    "handwriting": Scene(
        "text", ("handwriting", "handwritten letters", "a sheet of paper with writing by hand", "letters drawn with a pen"),
        ("scribbled notes", "pen strokes on paper"),
        ("I can hardly read it.", "It was written in a hurry."), _GREY, like=("page", "brick"), queried=False),
    "brick": Scene(
        "brick", ("a brick wall", "bricks", "rows of bricks", "the wall of a house"),
        ("a wall made of bricks", "brickwork"),
        ("The mortar is coming out.", "This wall is older than the house."), _TEXTURE,
        like=("gravel", "grass", "handwriting"), queried=False),
    "grass": Scene(
        "grass", ("grass", "a lawn", "blades of grass", "a meadow from above"),
        ("a grassy meadow", "grass on the ground"),
        ("It needs rain.", "Mind where you step."), _TEXTURE, like=("gravel", "brick")),
    "gravel": Scene(
        "gravel", ("gravel", "small stones", "a path of pebbles", "pebbles on the ground"),
        ("little rocks", "a heap of stones"),
        ("You hear everybody who walks here.", "One of these is in my shoe."), _TEXTURE,
        like=("grass", "brick", "coins"), queried=False),
    "retina": Scene(
        "retina", ("the back of an eye", "a retina with blood vessels", "veins inside an eye", "a doctor's picture "
                   "of an eye"),
        ("veins of an eyeball", "a medical image of an eye"),
        ("The bright spot is where the nerve leaves.", "Nothing to worry about, they said."),
        ("dark", "mono", "blurred", "zoom_in", "zoom_out"), region=(0.12, 0.12, 0.88, 0.88), like=("tissue",)),
    "tissue": Scene(
        "ihc", ("tissue under a microscope", "stained cells on a slide", "brown and blue cells", "a microscope slide"),
        ("a stained sample under the microscope", "many small cells"),
        ("The brown is the stain.", "It is thinner than a hair."),
        ("dark", "mono", "blurred", "zoom_in", "zoom_out"), like=("retina", "cell"), queried=False),
    "horse": Scene(
        "horse", ("the silhouette of a horse", "a drawing of a black horse", "a horse as a shadow", "a black horse on white"),
        ("a horse's outline", "the black shape of a horse"),
        ("That is on all their signs.", "It has three legs if you look quickly."),
        ("dark", "blurred", "upside_down", "zoom_in", "zoom_out"), focus=(0.75, 0.3), like=("cat", "temple")),
    "cell": Scene(
        "cell", ("a single cell", "a glowing round cell", "one white cell floating", "a bright spot under a microscope"),
        ("one tiny cell", "a lone cell in the liquid"),
        ("It moved a moment ago.", "We waited all day for that one."), _ON_BLACK,
        focus=(0.7, 0.56), like=("moon", "tissue", "stars"), queried=False),
}


def photo_path(name: str) -> Path:
    """Return the path of a photograph without importing its package, which might try to download it.

    Raises:
        InputError: the package is not installed, or the installed release does not contain the photograph.
    """
    photo = PHOTOS[name]
    spec = find_spec(photo.package)
    if spec is None or spec.origin is None:
        raise InputError(None, f"the package {photo.package} with the photograph {name!r} is not installed",
                         "source tools/env.sh")
    path = Path(spec.origin).parent / photo.file
    if not path.is_file():
        raise InputError(path, f"the installed release of {photo.package} does not contain the photograph {name!r}",
                         "install the version in constraints.txt")
    return path


@lru_cache(maxsize=32)
def load_photo(name: str) -> Image.Image:
    """Return a photograph as an RGB image."""
    with Image.open(photo_path(name)) as opened:
        return opened.convert("RGB")


def photo_size_px(name: str) -> np.ndarray:
    """Return (width, height) of a photograph as float64."""
    return np.array(load_photo(name).size, dtype=np.float64)
