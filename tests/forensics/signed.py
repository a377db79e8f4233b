"""Pictures and videos with Content Credentials, signed by an authority that is made here."""

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from faceloupe.media.credentials import OFFLINE

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "FaceLoupe tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _certificate(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(signer, hashes.SHA256())


@dataclass(frozen=True)
class Authority:
    """An authority, and a signer that it vouches for.

    Attributes:
        root: certificate of the authority, PEM.
        chain: of the signer, PEM.
        key: of the signer, PEM.
    """

    root: bytes
    chain: bytes
    key: bytes

    @classmethod
    def make(cls) -> "Authority":
        root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root = _certificate("Test root", "Test root", root_key, root_key, authority=True)
        leaf = _certificate("Test signer", "Test root", key, root_key, authority=False)
        pem = serialization.Encoding.PEM
        return cls(
            root.public_bytes(pem),
            leaf.public_bytes(pem) + root.public_bytes(pem),
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        )

    def sign(
        self, content: bytes, media_type: str, *, agent: str = "", source_type: str = "", address: str = ""
    ) -> tuple[bytes, bytes]:
        """Sign a file.

        Args:
            content: of the file.
            media_type: of the file.
            agent: software that made it.
            source_type: IPTC digital source type of its making.
            address: where the manifest is said to lie, instead of in the file.

        Returns:
            The signed file, and its manifest by itself.
        """
        action = {"action": "c2pa.created"} | ({"softwareAgent": {"name": agent}} if agent else {})
        action |= {"digitalSourceType": source_type} if source_type else {}
        manifest = {
            "claim_generator_info": [{"name": "faceloupe_tests", "version": "1"}],
            "title": "test",
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
        context = c2pa.Context.from_dict(OFFLINE | {"verify": OFFLINE["verify"] | {"verify_after_sign": False}})
        builder = c2pa.Builder(json.dumps(manifest), context)
        if address:
            builder.set_no_embed()
            builder.set_remote_url(address)
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", self.chain, self.key, None))
        target = io.BytesIO()
        beside = builder.sign(signer, media_type, io.BytesIO(content), target)
        return target.getvalue(), beside
