"""django-ca as it issues: run by the Python of the peer's own environment, told what to do on standard input.

Arguments: the directory of the PostgreSQL socket, role and database, and a directory for the key. Each line asked is
how many certificates to issue in each thread, and how many threads; answered by a line, the seconds that it took.
"""

import secrets
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import django
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings

socket, role, database, keys = sys.argv[1:]
settings.configure(
    SECRET_KEY=secrets.token_urlsafe(),
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_ca"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": socket, "USER": role, "NAME": database}},
    STORAGES={
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "django-ca": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": keys, "file_permissions_mode": 0o600, "directory_permissions_mode": 0o700},
        },
    },
    CA_DEFAULT_HOSTNAME="pki.example",
    LOGGING_CONFIG=None,
)
django.setup()

from django.core.management import call_command  # noqa: E402  (settings come first)
from django.db import connection  # noqa: E402
from django.urls import include, path  # noqa: E402
from django_ca.key_backends import key_backends  # noqa: E402
from django_ca.key_backends.storages.models import (  # noqa: E402
    StoragesCreatePrivateKeyOptions,
    StoragesUsePrivateKeyOptions,
)
from django_ca.models import Certificate, CertificateAuthority  # noqa: E402
from django_ca.profiles import profiles  # noqa: E402

urlpatterns = [path("django_ca/", include("django_ca.urls"))]
_ALGORITHM = hashes.SHA256()
_WITHOUT_PASSWORD = StoragesUsePrivateKeyOptions(password=None)


def _prepare() -> None:
    call_command("migrate", verbosity=0)
    CertificateAuthority.objects.init(
        name="bench",
        key_backend=key_backends["default"],
        key_backend_options=StoragesCreatePrivateKeyOptions(
            key_type="EC", password=None, path="ca", elliptic_curve="secp256r1"
        ),
        key_type="EC",
        algorithm=_ALGORITHM,
        subject=_name("django-ca"),
        not_after=datetime.now(UTC) + timedelta(days=3650),
    )


def _requests() -> list[bytes]:
    made = []
    for _ in range(200):
        key = ec.generate_private_key(ec.SECP256R1())
        made.append(x509.CertificateSigningRequestBuilder().subject_name(_name("x")).sign(key, _ALGORITHM))
    return [request.public_bytes(Encoding.DER) for request in made]


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Benchmark"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name),
        ]
    )


def _issue(count: int, requests: list[bytes]) -> None:
    authority, profile = CertificateAuthority.objects.get(name="bench"), profiles["client"]
    for number in range(count):
        request = x509.load_der_x509_csr(requests[number % len(requests)])
        subject = _name(f"bench-{number:08}.example")
        Certificate.objects.create_cert(authority, _WITHOUT_PASSWORD, request, profile, subject=subject)
    connection.close()


def main() -> None:
    _prepare()
    requests = _requests()
    print("ready", flush=True)
    for line in sys.stdin:
        count, clients = map(int, line.split())
        threads = [threading.Thread(target=_issue, args=(count, requests)) for _ in range(clients)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(time.perf_counter() - started, flush=True)


main()
