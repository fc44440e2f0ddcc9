"""Settings of every process of the portal, read from `CERTPORTAL_*` variables.

The same module serves all planes: `CERTPORTAL_PLANE` (set by `certportal/wsgi/*`) picks URLs and middleware.
Names and defaults of the environment are documented in docs/configuration.md.
"""

from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import available_timezones

import environ
from csp.constants import SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from certportal import logs
from certportal.embedded import postgres, valkey
from certportal.secret_files import generated_secret

env = environ.FileAwareEnv()

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = Path(env("CERTPORTAL_HOME", default=str(BASE_DIR / "var"))).absolute()

# --- Processes and their addresses ---------------------------------------------------------------------------------

PLANE = env("CERTPORTAL_PLANE", default="portal")
if PLANE not in {"portal", "device", "status"}:
    raise ImproperlyConfigured(f"CERTPORTAL_PLANE is {PLANE!r}; it must be portal, device or status.")

PORTAL_BIND = env("CERTPORTAL_PORTAL_BIND", default="127.0.0.1:8000")
DEVICE_BIND = env("CERTPORTAL_DEVICE_BIND", default="127.0.0.1:8443")
STATUS_BIND = env("CERTPORTAL_STATUS_BIND", default="127.0.0.1:8080")
PUBLIC_DEVICE_URL = env("CERTPORTAL_PUBLIC_DEVICE_URL", default=f"https://{DEVICE_BIND}").rstrip("/")
PUBLIC_STATUS_URL = env("CERTPORTAL_PUBLIC_STATUS_URL", default=f"http://{STATUS_BIND}").rstrip("/")

# Where people reach the pages: it stands in the messages that lead to them.
PUBLIC_PORTAL_URL = env("CERTPORTAL_PUBLIC_PORTAL_URL", default=f"http://{PORTAL_BIND}").rstrip("/")

DEMO_DEVICES = env.int("CERTPORTAL_DEMO_DEVICES", default=2000)
LAB = env.bool("CERTPORTAL_LAB", default=False)
MQTT_URL = env("MQTT_URL", default="")
# Where the demo's broker went when somebody else had its usual port.
DEMO_MQTT_BIND_MOVED = HOME / "demo-broker-address"
DEMO_MQTT_BIND_SET = bool(env("CERTPORTAL_DEMO_MQTT_BIND", default=""))
DEMO_MQTT_BIND = env("CERTPORTAL_DEMO_MQTT_BIND", default="") or (
    DEMO_MQTT_BIND_MOVED.read_text().strip() if DEMO_MQTT_BIND_MOVED.exists() else "127.0.0.1:1883"
)
MQTT_BROKER_URL = MQTT_URL or f"mqtt://{DEMO_MQTT_BIND}"
# What the costs of messages are in.
CURRENCY = env("CERTPORTAL_CURRENCY", default="EUR")

# --- Security ------------------------------------------------------------------------------------------------------

DEBUG = False
SECRET_KEY = env("CERTPORTAL_SECRET_KEY", default="") or generated_secret(HOME / "secret-key")
# Of the first login, `admin`; empty: one is generated into the home.
ADMIN_PASSWORD = env("CERTPORTAL_ADMIN_PASSWORD", default="")
KEY_PASSPHRASE = env("CERTPORTAL_KEY_PASSPHRASE", default="") or generated_secret(HOME / "key-passphrase")
ALLOWED_HOSTS = env.list("CERTPORTAL_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# The portal listener speaks plain HTTP on loopback; a deployment behind TLS says so here.
HTTPS = env.bool("CERTPORTAL_HTTPS", default=False)
CSRF_TRUSTED_ORIGINS = env.list("CERTPORTAL_CSRF_TRUSTED_ORIGINS", default=[])
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
# Load balancers probe the process itself, in plain HTTP.
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}

# --- Certificates --------------------------------------------------------------------------------------------------

# Device clocks start in 1970 or run behind: a certificate is valid a little before it was made.
NOT_BEFORE_BACKDATE = timedelta(seconds=env.int("CERTPORTAL_NOT_BEFORE_BACKDATE", default=3600))
CRL_INTERVAL = timedelta(seconds=env.int("CERTPORTAL_CRL_INTERVAL", default=3600))
CRL_LIFETIME = timedelta(seconds=env.int("CERTPORTAL_CRL_LIFETIME", default=24 * 3600))
# What OCSP and CRLs say holds for verifiers whose clocks run behind, as certificates do.
THIS_UPDATE_BACKDATE = timedelta(seconds=env.int("CERTPORTAL_THIS_UPDATE_BACKDATE", default=3600))
OCSP_LIFETIME = timedelta(seconds=env.int("CERTPORTAL_OCSP_LIFETIME", default=12 * 3600))

# --- Campaigns -----------------------------------------------------------------------------------------------------

# How long before its end a certificate whose device answered on no channel becomes a work order.
FIELD_LEAD = timedelta(days=env.int("CERTPORTAL_FIELD_LEAD_DAYS", default=60))
# How long before that end the field team must be let go, to be at every device in time.
VISIT_SPAN = timedelta(days=env.int("CERTPORTAL_VISIT_SPAN_DAYS", default=30))

# A campaign with more devices starts by the word of two people.
TWO_PEOPLE_ABOVE = env.int("CERTPORTAL_TWO_PEOPLE_ABOVE", default=100_000)

# One ticket a work order: `jira`, `jira-cloud` or `servicenow`, at its address, in a project or table.
TICKETS = env("CERTPORTAL_TICKETS", default="")
TICKETS_URL = env("CERTPORTAL_TICKETS_URL", default="")
TICKETS_AUTHORIZATION = env("CERTPORTAL_TICKETS_AUTHORIZATION", default="")
TICKETS_PLACE = env("CERTPORTAL_TICKETS_PLACE", default="")
TICKETS_CLOSING = env("CERTPORTAL_TICKETS_CLOSING", default="")

# --- Django --------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "certportal.apps.CertportalConfig",
    "certportal.apps.CertportalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_filters",
    "django_htmx",
    "django_rq",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "rest_framework",
    "inventory.apps.InventoryConfig",
    "revocation.apps.RevocationConfig",
    "renewal.apps.RenewalConfig",
]

_PORTAL_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "certportal.compressed_pages.CompressedPages",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "certportal.readable_addresses.ReadableAddresses",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]
# strongSwan reads at most 1,024 bytes of headers: devices and verifiers get no cookie, no policy, no compression.
_MACHINE_MIDDLEWARE = ["django_structlog.middlewares.RequestMiddleware"]
MIDDLEWARE = _PORTAL_MIDDLEWARE if PLANE == "portal" else _MACHINE_MIDDLEWARE
# It would believe X-Forwarded-For, whoever sends it: `certportal.request_log` binds the address.
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False

ROOT_URLCONF = f"certportal.urls.{PLANE}"
APPEND_SLASH = PLANE == "portal"
AUTH_USER_MODEL = "certportal.User"
LOGIN_URL = "admin:login"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

PASSWORD_HASHERS = ["certportal.hashing.PBKDF2BesideTheLoop"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

TIME_ZONE = "UTC"
USE_TZ = True
# Of sites that name none: quiet hours are in the time of a device's site.
TIME_ZONE_OF_SITES = env("CERTPORTAL_TIME_ZONE_OF_SITES", default="UTC")
if TIME_ZONE_OF_SITES not in available_timezones():
    raise ImproperlyConfigured(f"CERTPORTAL_TIME_ZONE_OF_SITES is {TIME_ZONE_OF_SITES!r}; Europe/Paris is a time zone.")
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
USE_THOUSAND_SEPARATOR = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Beside the packages in a checkout, inside of ours in a wheel.
HANDBOOK = next(each for each in (BASE_DIR / "docs", BASE_DIR / "certportal" / "docs") if each.is_dir())

STATIC_URL = "/static/"
STATIC_ROOT = HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- Stores --------------------------------------------------------------------------------------------------------

DATABASE_URL = env("DATABASE_URL", default="")
REDIS_URL = env("REDIS_URL", default="") or valkey.url(HOME)
_database = env.db_url_config(DATABASE_URL) if DATABASE_URL else postgres.django_database(HOME)
DATABASES = {"default": _database}
# What `inventory.prepared` sends stays prepared on its connection; Django's own statements do not.
_options = _database.setdefault("OPTIONS", {})
_options.setdefault("prepare_threshold", 3)
if "CERTPORTAL_PLANE" in env.ENVIRON:
    # Planes hold many requests at once over few connections. Commands and forking workers must not share a pool.
    _options["pool"] = {
        "min_size": 1,
        "max_size": 10,
        "timeout": 10,
        # Imported when it is used: gunicorn's master reads settings, and psycopg must come after gevent's patching.
        "connection_class": SimpleLazyObject(
            partial(import_string, "certportal.gunicorn.database_connection.LoopConnection")
        ),
    }
if PLANE == "device":
    # It asks the same few questions all day: there Django's own statements are prepared too.
    _options["server_side_binding"] = True
    # Left to itself PostgreSQL plans the gate's question anew for each renewal, which takes longer than its answer.
    _options.setdefault("options", "-c plan_cache_mode=force_generic_plan")

CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

# Revocations overtake campaigns: a worker empties `urgent` before it looks at `default`.
# Jobs are JSON: whoever can write into Valkey can choose a job's function, but runs no code of their own by a pickle.
RQ_SERIALIZER = "rq.serializers.JSONSerializer"
RQ_QUEUES = {
    "urgent": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 120, "SERIALIZER": RQ_SERIALIZER},
    "default": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 600, "SERIALIZER": RQ_SERIALIZER},
    # What takes minutes, in a worker of its own. A rehearsal ends itself after an hour.
    "bulk": {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 4500, "SERIALIZER": RQ_SERIALIZER},
}

# A worker at rest shows that it lives at least this often: `rqworker --worker-ttl`.
RQ_WORKER_SECONDS = 60

# Our own token model stands in for knox's, whose migrations would make a table for the one that was swapped out.
MIGRATION_MODULES = {"knox": None}

# --- E-mail and webhooks ---------------------------------------------------------------------------------------------

vars().update(env.email_url("CERTPORTAL_EMAIL_URL", default="smtp://localhost:25"))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env("CERTPORTAL_EMAIL_FROM", default="certportal@localhost")
# Networks of this machine or its neighbours that webhooks may lead to all the same.
WEBHOOK_NETWORKS = [ip_network(each) for each in env.list("CERTPORTAL_WEBHOOK_NETWORKS", default=[])]

# --- API -----------------------------------------------------------------------------------------------------------

API_REQUESTS_PER_MINUTE = env.int("CERTPORTAL_API_REQUESTS_PER_MINUTE", default=600)
API_ANONYMOUS_REQUESTS_PER_MINUTE = env.int("CERTPORTAL_API_ANONYMOUS_REQUESTS_PER_MINUTE", default=60)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "certportal.api.tokens.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["certportal.api.permissions.ModelAndScopePermissions"],
    "DEFAULT_THROTTLE_CLASSES": ["certportal.api.throttling.MinuteThrottle"],
    "DEFAULT_FILTER_BACKENDS": ["certportal.api.filtering.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "certportal.api.paging.KeysetPagination",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["certportal.api.parsing.BoundedJSONParser"],
    "DEFAULT_METADATA_CLASS": "certportal.api.metadata.PlainMetadata",
    "DEFAULT_SCHEMA_CLASS": "certportal.api.operations.Schema",
    "EXCEPTION_HANDLER": "certportal.api.errors.handle",
    "DURATION_FORMAT": "iso-8601",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
REST_KNOX = {"TOKEN_TTL": None, "AUTO_REFRESH": False, "TOKEN_PREFIX": "cpt_"}
KNOX_TOKEN_MODEL = "certportal.ApiToken"
SPECTACULAR_SETTINGS = {
    "TITLE": "certportal API",
    "VERSION": "1",
    "DESCRIPTION": "Fleets, devices, certificates, campaigns and the audit log of this portal.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # What is sent and what is shown differ: ids are not sent, and fields= leaves out what is not asked for.
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "certportal.api.documentation.describe_refusals",
    ],
    # Names that generated clients hold on to: they do not change when another list gains a field of the same name.
    "ENUM_NAME_OVERRIDES": {
        "ActorKind": "inventory.models.audit.ActorKind",
        "AlertKind": "inventory.models.AlertKind",
        "AlertChannel": "inventory.models.Channel",
        "AlertPolicyScope": "inventory.models.AppliesTo",
        "AlertResolution": "inventory.models.Resolution",
        "AuditAction": "inventory.models.AuditAction",
        "CampaignState": "renewal.models.CampaignState",
        "CaseOutcome": "inventory.models.case.CaseOutcome",
        "CaseVerdict": "inventory.models.case.Verdict",
        "CertificateStatus": "inventory.models.CertificateStatus",
        "Connectivity": "inventory.models.Connectivity",
        "DeviceStatus": "inventory.models.DeviceStatus",
        "Oddity": "inventory.models.sighting.Oddity",
        "ProposalKind": "inventory.models.ProposalKind",
        "ProposalState": "inventory.models.ProposalState",
        "RowOutcome": "inventory.devices.bulk_results.RowOutcome",
        "SecretOutcome": "renewal.api.enrolment_secrets.SecretOutcome",
        "EnrolmentProtocol": "renewal.models.EnrolmentProtocol",
        "SightingOutcome": "inventory.sightings.SightingOutcome",
        "EnrolmentOutcome": "renewal.api.enrolments.EnrolmentOutcome",
        "ExpiryAxis": "inventory.models.Axis",
        "ExpiryBucket": "inventory.expiry.buckets.Bucket",
        "ImportEncoding": "inventory.models.importing.ENCODINGS",
        "ImportFormat": "inventory.models.importing.FORMATS",
        "ImportLink": "inventory.models.importing.LINKS",
        "ImportProduct": "inventory.models.importing.PRODUCTS",
        "ImportState": "inventory.models.ImportState",
        "KeyType": "inventory.models.profile.KEY_TYPE_CHOICES",
        "SavedList": "certportal.models.SavedList",
        "SeenKeyType": "inventory.models.certificate.SEEN_KEY_TYPE_CHOICES",
        "Purpose": "inventory.models.Purpose",
        "RevocationReason": "inventory.models.RevocationReason",
        "TargetReason": "renewal.models.TargetReason",
        "GatewayDriver": "renewal.models.Driver",
        "ReceiptResult": "renewal.models.ReceiptResult",
        "TriggerChannel": "renewal.models.Channel",
        "TargetState": "renewal.models.TargetState",
        "WorkOrderFinding": "renewal.models.work_order.FINDINGS",
        "WorkOrderOutcome": "renewal.models.Outcome",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Logs ----------------------------------------------------------------------------------------------------------

LOGGING_CONFIG = None
logs.configure(level=env("CERTPORTAL_LOG_LEVEL", default="INFO"))
