"""AI markers: found in files as the generators write them, and nowhere else."""

from __future__ import annotations

import datetime
import io
import struct
import time
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from crawler.markers import MARKERS, find_ai_markers, says_generated

pytestmark = pytest.mark.filterwarnings(r"ignore:(Corrupt EXIF|Tag data larger|Truncated File|Metadata Warn)")

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
A1111 = "a portrait\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"


def saved(name: str, size: int = 64, **options: object) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, name, **options)
    return buffer.getvalue()


def png(*texts: tuple[str, str], how: str = "text") -> bytes:
    info = PngInfo()
    for keyword, text in texts:
        if how == "itxt":
            info.add_itxt(keyword, text, zip=True)
        else:
            info.add_text(keyword, text, zip=how == "ztxt")
    return saved("PNG", pnginfo=info)


def with_exif(tags: dict[int, object], inner: dict[int, object] | None = None, name: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif.update(tags)
    exif.get_ifd(0x8769).update(inner or {})
    return saved(name, exif=exif)


def xmp(attributes: str) -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>'
        f'<rdf:Description {attributes}/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iptc(source: str) -> bytes:
    return xmp(f'Iptc4xmpExt:DigitalSourceType="{SOURCE}{source}"')


def user_comment(text: str, encoding: str) -> dict[int, object]:
    head = b"ASCII\0\0\0" if encoding == "ascii" else b"UNICODE\0"
    return {0x9286: head + text.encode(encoding)}


FILES: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "A1111 PNG": (lambda: png(("parameters", A1111)), {"stable-diffusion"}),
    "A1111 PNG, compressed": (lambda: png(("parameters", A1111), how="ztxt"), {"stable-diffusion"}),
    "A1111 PNG, iTXt": (lambda: png(("parameters", A1111 + " ü"), how="itxt"), {"stable-diffusion"}),
    "A1111 JPEG": (lambda: with_exif({}, user_comment(A1111, "utf-16-be")), {"stable-diffusion"}),
    "A1111 JPEG, little-endian": (lambda: with_exif({}, user_comment(A1111, "utf-16-le")), {"stable-diffusion"}),
    "A1111 WebP": (lambda: with_exif({}, user_comment(A1111, "ascii"), "WEBP"), {"stable-diffusion"}),
    "comment of a JPEG": (lambda: saved("JPEG", comment="made with Stable Diffusion"), {"stable-diffusion"}),
    "ComfyUI": (lambda: png(("prompt", '{"3": {"class_type": "KSampler"}}'), ("workflow", '{"a": 1}')), {"comfyui"}),
    "ComfyUI WebP": (lambda: with_exif({0x010F: 'workflow:{"last_node_id": 9}'}, name="WEBP"), {"comfyui"}),
    "InvokeAI": (lambda: png(("invokeai_metadata", '{"a": 1}')), {"invokeai"}),
    "NovelAI": (lambda: png(("Software", "NovelAI"), ("Source", "Stable Diffusion F1022A28")),
                {"novelai", "stable-diffusion"}),
    "Midjourney": (lambda: png(("Description", "a man --v 6.1 Job ID: 8f14e45f-ceea-467f-9f2c-1f2d3c4b5a69")),
                   {"midjourney"}),
    "Flux": (lambda: with_exif({0x0131: "AI generated;txt2img;flux", 0x010F: "Black Forest Labs"}), {"flux"}),
    "Ideogram": (lambda: with_exif({0x010F: "Ideogram AI"}), {"ideogram"}),
    "Grok": (lambda: with_exif({0x010E: "Signature: " + "aB3+" * 30, 0x013B: "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}),
             {"grok"}),
    "DALL·E": (lambda: with_exif({0x0131: "DALL·E 3".encode()}), {"dall-e"}),
    "Gemini": (lambda: saved("JPEG", xmp=xmp(f'Credit="Made with Google AI" x="{SOURCE}trainedAlgorithmicMedia"')),
               {"google-ai", "iptc-ai"}),
    "Firefly": (lambda: saved("JPEG", xmp=xmp('xmp:CreatorTool="Adobe Firefly 3"')), {"firefly"}),
    "IPTC, trained": (lambda: png(("XML:com.adobe.xmp", iptc("trainedAlgorithmicMedia").decode()), how="itxt"),
                      {"iptc-ai"}),
    "IPTC, composite": (lambda: saved("WEBP", xmp=iptc("compositeWithTrainedAlgorithmicMedia")), {"iptc-ai"}),
    "IPTC, algorithmic": (lambda: saved("AVIF", xmp=iptc("algorithmicMedia")), {"iptc-ai"}),
    "Meta": (lambda: saved("JPEG", xmp=xmp('photoshop:Credit="Imagined with AI"')), {"meta-ai"}),
    "a Chinese service": (lambda: png(("AIGC", '{"Label": "1", "ContentProducer": "x"}')), {"aigc-label"}),
    "… in XMP": (lambda: saved("JPEG", xmp=xmp('TC260:AIGC="{&quot;Label&quot;:&quot;1&quot;}"')), {"aigc-label"}),
    "TIFF": (lambda: saved("TIFF", software="NovelAI"), {"novelai"}),
    "GIF": (lambda: saved("GIF", comment="drawn by Midjourney"), {"midjourney"}),
}  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), FILES.values(), ids=list(FILES))
def test_generators_are_named(make: Callable[[], bytes], expected: set[str]) -> None:
    found = find_ai_markers(make())
    assert set(found) == expected
    assert list(found) == [name for name in MARKERS if name in expected]
    assert says_generated(found)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM"])
def test_a_plain_file_has_none(name: str) -> None:
    assert find_ai_markers(saved(name, 256)) == ()


@pytest.mark.parametrize(
    "data",
    [
        with_exif({0x010F: "Canon", 0x0110: "EOS R5", 0x0131: "Adobe Photoshop 25.0", 0x013B: "Gemma Flux"[:5]}),
        with_exif({0x010E: "A flux of people; Gemini, Imagen Street, the ideogram on the wall. Grok it!"}),
        saved("JPEG", comment="Signature: Bob. Steps: up the hill"),
        saved("JPEG", xmp=xmp(f'xmp:CreatorTool="GIMP 2.10" d="{SOURCE}digitalCapture" e="{SOURCE}compositeCapture"')),
        png(("Comment", "prompt delivery"), ("prompt", "not JSON"), ("Title", "A workflow")),
        png(("AIGC-free", "Label 0")),
    ],
)
def test_what_photographers_write_is_no_marker(data: bytes) -> None:
    assert find_ai_markers(data) == ()


def test_pixels_are_not_read() -> None:
    """The words of a generator inside the compressed pixels or behind the end of the file are none."""
    jpeg = saved("JPEG")
    assert find_ai_markers(jpeg[:-40] + b"Negative prompt: NovelAI, Midjourney!!"[:38] + jpeg[-2:]) == ()
    assert find_ai_markers(jpeg + b"Midjourney NovelAI ComfyUI") == ()
    assert find_ai_markers(saved("PNG") + b"Midjourney NovelAI ComfyUI") == ()


def test_bombs_are_cheap() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    start = b"\x89PNG\r\n\x1a\n"
    bomb = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a" * 100_000_000))
    started = time.process_time()
    assert find_ai_markers(start + bomb * 20) == ("stable-diffusion",)
    assert find_ai_markers(start + chunk(b"tEXt", b"") * 500_000) == ()
    assert find_ai_markers(b"\xff\xd8" + b"\xff\xfe\0\2" * 2_000_000) == ()
    assert find_ai_markers(b"RIFF\0\0\0\0WEBP" + b"ABCD\0\0\0\0" * 1_000_000) == ()
    assert find_ai_markers(b"GIF89a" + b"AIGC" * 2_000_000) == ()
    assert time.process_time() - started < 10


def test_content_credentials_alone_do_not_say_generated() -> None:
    assert not says_generated(())
    assert not says_generated(("c2pa",))
    assert says_generated(("c2pa", "c2pa-ai"))


@cache
def signing_key() -> tuple[bytes, bytes]:
    """A chain of two certificates as C2PA wants them, and the key of the first: PEM."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(oid, text)
                   for oid, text in ((x509.NameOID.ORGANIZATION_NAME, "Test"), (x509.NameOID.COMMON_NAME, name))])
        for name in ("leaf", "root")
    ]  # fmt: skip
    chain = b""
    for n, (key, is_root) in enumerate(zip(keys, (False, True), strict=True)):
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
             "decipher_only"), False)  # fmt: skip
        builder = (
            x509.CertificateBuilder(names[1], names[n], key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(is_root, None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **usage), True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[1].public_key()), critical=False)
        )
        if not is_root:
            purposes = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purposes, critical=False)
        chain += builder.sign(keys[1], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = keys[0].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return chain, private


def signed(name: str, *actions: dict[str, object], program: str = "A Camera") -> bytes:
    c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed: Content Credentials are only noticed")
    assertions = [{"label": "c2pa.actions", "data": {"actions": list(actions)}}]
    builder = c2pa.Builder({"claim_generator_info": [{"name": program, "version": "1"}], "assertions": assertions})
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", *signing_key(), None))
    out = io.BytesIO()
    builder.sign(signer, f"image/{name.lower()}", io.BytesIO(saved(name)), out)
    return out.getvalue()


def created(source: str, **more: object) -> dict[str, object]:
    return {"action": "c2pa.created", "digitalSourceType": SOURCE + source, **more}


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_content_credentials_of_a_camera(name: str) -> None:
    assert find_ai_markers(signed(name, created("digitalCapture"))) == ("c2pa",)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("source", ["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"])
def test_content_credentials_of_a_generator(name: str, source: str) -> None:
    assert find_ai_markers(signed(name, created(source))) == ("c2pa", "c2pa-ai")


def test_content_credentials_name_a_generator() -> None:
    edited = {"action": "c2pa.edited", "softwareAgent": {"name": "Adobe Firefly"}}
    assert find_ai_markers(signed("JPEG", created("digitalCapture"), edited)) == ("c2pa", "c2pa-ai", "firefly")
    made = signed("JPEG", created("digitalCreation"), program="ChatGPT")
    assert find_ai_markers(made) == ("c2pa", "c2pa-ai", "dall-e")


def test_without_the_extra_they_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from crawler.markers import credentials

    camera, generator = signed("JPEG", created("digitalCapture")), signed("PNG", created("trainedAlgorithmicMedia"))
    credentials._reader.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    assert find_ai_markers(camera) == ("c2pa",)
    assert find_ai_markers(generator) == ("c2pa", "c2pa-ai")


def test_a_broken_store_is_noticed() -> None:
    data = signed("JPEG", created("digitalCapture"))
    where = data.index(b"jumb")
    assert find_ai_markers(data[: where + 60] + bytes(200) + data[where + 260 :]) == ("c2pa",)


_STARTS = [
    b"", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xe1\0\x40Exif\0\0II*\0", b"\xff\xd8\xff\xed\0\x20", b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\x20zTXt", b"\x89PNG\r\n\x1a\n\0\0\0\x20iTXtparameters\0\1\0", b"RIFF\0\0\0\0WEBPEXIF",
    b"RIFF\0\0\0\0WEBPXMP ", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"GIF89a",
]  # fmt: skip


@given(st.sampled_from(_STARTS), st.binary(max_size=300))
def test_no_bytes_raise(start: bytes, data: bytes) -> None:
    assert set(find_ai_markers(start + data)) <= set(MARKERS)


@settings(max_examples=200)
@given(st.sampled_from(list(FILES)), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))))
def test_no_damage_raises(which: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(_whole(which))
    for place, value in changes:
        data[int(place * min(len(data), 600))] = value
    assert set(find_ai_markers(bytes(data))) <= set(MARKERS)


@cache
def _whole(which: str) -> bytes:
    return FILES[which][0]()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 100), st.sampled_from(["JPEG", "WEBP", "PNG", "TIFF", "BMP"]))
def test_noise_has_no_marker(seed: int, quality: int, name: str) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, name, **({"quality": quality} if name in ("JPEG", "WEBP") else {}))
    assert find_ai_markers(buffer.getvalue()) == ()
