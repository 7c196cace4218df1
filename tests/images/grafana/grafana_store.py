"""What the double keeps: accounts, dashboards and data sources, in the tables of Grafana's own database."""
import hashlib
import hmac
import json
import os
import re
import secrets
import sqlite3
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import yaml

MAX_ATTEMPTS, ATTEMPTS_WINDOW = 5, 300  # Grafana's: so many failures within these seconds lock a login

# Of Grafana's tables and columns, those that a reader of a backup would look at.
SCHEMA = """
CREATE TABLE IF NOT EXISTS org (id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE, created DATETIME NOT NULL, updated DATETIME NOT NULL);
CREATE TABLE IF NOT EXISTS user (id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL,
    login TEXT NOT NULL UNIQUE, email TEXT NOT NULL UNIQUE, name TEXT, password TEXT, salt TEXT, rands TEXT,
    org_id INTEGER NOT NULL, is_admin INTEGER NOT NULL, email_verified INTEGER, theme TEXT,
    created DATETIME NOT NULL, updated DATETIME NOT NULL, last_seen_at DATETIME,
    is_disabled INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS user_auth_token (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL,
    auth_token TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS login_attempt (id INTEGER PRIMARY KEY AUTOINCREMENT, username TEXT NOT NULL,
    ip_address TEXT NOT NULL, created INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS dashboard (id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL,
    slug TEXT NOT NULL, title TEXT NOT NULL, data TEXT NOT NULL, org_id INTEGER NOT NULL,
    created DATETIME NOT NULL, updated DATETIME NOT NULL, folder_id INTEGER NOT NULL DEFAULT 0,
    is_folder INTEGER NOT NULL DEFAULT 0, uid TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS dashboard_provisioning (id INTEGER PRIMARY KEY AUTOINCREMENT,
    dashboard_id INTEGER, name TEXT NOT NULL, external_id TEXT NOT NULL, updated INTEGER NOT NULL, check_sum TEXT);
CREATE TABLE IF NOT EXISTS data_source (id INTEGER PRIMARY KEY AUTOINCREMENT, org_id INTEGER NOT NULL,
    version INTEGER NOT NULL, type TEXT NOT NULL, name TEXT NOT NULL UNIQUE, access TEXT NOT NULL, url TEXT NOT NULL,
    basic_auth INTEGER NOT NULL, basic_auth_user TEXT, is_default INTEGER NOT NULL, json_data TEXT,
    secure_json_data TEXT, read_only INTEGER, uid TEXT NOT NULL UNIQUE,
    created DATETIME NOT NULL, updated DATETIME NOT NULL);
CREATE TABLE IF NOT EXISTS server_lock (id INTEGER PRIMARY KEY AUTOINCREMENT, operation_uid TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL, last_execution INTEGER NOT NULL);
"""


class Refused(Exception):
    """With the HTTP status and the message that Grafana gives."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


def now():
    return f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}"


def encode_password(password, salt):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 10000, 50).hex()


def slugify(title):
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


class Store:
    def __init__(self, folder):
        # Each write its own transaction, kept by the journal that Grafana uses by default.
        self.connection = sqlite3.connect(Path(folder, "grafana.db"), timeout=30, check_same_thread=False,
                                          isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.lock = threading.RLock()
        os.chmod(Path(folder, "grafana.db"), 0o640)
        self.connection.executescript(SCHEMA)

    def rows(self, sql, *values):
        with self.lock:
            return [dict(row) for row in self.connection.execute(sql, values)]

    def first(self, sql, *values):
        return next(iter(self.rows(sql, *values)), None)

    def put(self, table, key, **columns):
        """Updates the row with this key, or adds one; returns its id."""
        with self.lock:
            row = self.first(f"SELECT id FROM {table} WHERE {key} = ?", columns[key])
            if row:
                changes = ", ".join(f"{column} = ?" for column in columns)
                self.rows(f"UPDATE {table} SET {changes} WHERE id = ?", *columns.values(), row["id"])
                return row["id"]
            marks = ", ".join("?" * len(columns))
            names = ", ".join(columns)
            return self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})",
                                           tuple(columns.values())).lastrowid

    # Accounts

    def add_admin(self, login, password):
        """Only while there is none: the settings count at the first start alone."""
        if self.first("SELECT id FROM user"):
            return False
        self.put("org", "name", version=0, name="Main Org.", created=now(), updated=now())
        user = self.put("user", "login", version=0, login=login, email=f"{login}@localhost", name="", org_id=1,
                        is_admin=1, email_verified=0, theme="", rands=secrets.token_hex(5), created=now(),
                        updated=now(), last_seen_at=now())
        self.set_password(user, password)
        return True

    def set_password(self, user_id, password):
        if len(password) < 4:
            raise Refused(400, "New password is missing or too short")
        salt = secrets.token_hex(5)
        self.rows("UPDATE user SET password = ?, salt = ?, version = version + 1, updated = ? WHERE id = ?",
                  encode_password(password, salt), salt, now(), user_id)

    def is_password(self, user, password):
        return hmac.compare_digest(user["password"], encode_password(password, user["salt"]))

    def check_login(self, login, password, address, locks=True):
        """The user, or None. After too many failures, None for the right password too."""
        since = int(time.time()) - ATTEMPTS_WINDOW
        failures = self.rows("SELECT id FROM login_attempt WHERE username = ? AND created > ?", login, since)
        user = self.first("SELECT * FROM user WHERE login = ? OR email = ?", login, login)
        if locks and len(failures) >= MAX_ATTEMPTS:
            return None
        if user and self.is_password(user, password):
            self.rows("UPDATE user SET last_seen_at = ? WHERE id = ?", now(), user["id"])
            return user
        self.put("login_attempt", "id", id=None, username=login, ip_address=address, created=int(time.time()))
        return None

    def open_session(self, user):
        token = secrets.token_hex(16)
        self.put("user_auth_token", "auth_token", user_id=user["id"], created_at=int(time.time()),
                 auth_token=hashlib.sha256(token.encode()).hexdigest())
        return token

    def session(self, token):
        return self.first("SELECT user.* FROM user JOIN user_auth_token ON user.id = user_id WHERE auth_token = ?",
                          hashlib.sha256(token.encode()).hexdigest())

    def close_session(self, token):
        self.rows("DELETE FROM user_auth_token WHERE auth_token = ?", hashlib.sha256(token.encode()).hexdigest())

    # Dashboards

    def dashboard(self, uid):
        return self.first("SELECT d.*, p.external_id, f.uid AS folder_uid, f.title AS folder_title FROM dashboard d"
                          " LEFT JOIN dashboard_provisioning p ON p.dashboard_id = d.id"
                          " LEFT JOIN dashboard f ON f.id = d.folder_id WHERE d.uid = ?", uid)

    def save_dashboard(self, data, folder_id=0, is_folder=0, overwrite=True, provisioned=False):
        title = data.get("title")
        if not isinstance(title, str) or not title.strip():
            raise Refused(400, "Dashboard title cannot be empty")
        with self.lock:
            uid = data.get("uid") or secrets.token_urlsafe(9)
            old = self.dashboard(uid)
            if old and old["external_id"] and not provisioned:
                raise Refused(400, "Cannot save provisioned dashboard")
            if old and not overwrite and data.get("version") != old["version"]:
                raise Refused(412, "The dashboard has been changed by someone else")
            version = old["version"] + 1 if old else 1
            data = data | {"uid": uid, "version": version}
            data["id"] = self.put("dashboard", "uid", uid=uid, version=version, slug=slugify(title), title=title,
                                  data="{}", org_id=1, created=old["created"] if old else now(), updated=now(),
                                  folder_id=folder_id, is_folder=is_folder)
            self.rows("UPDATE dashboard SET data = ? WHERE id = ?", json.dumps(data), data["id"])
            return self.dashboard(uid)

    def delete_dashboard(self, dashboard_id):
        self.rows("DELETE FROM dashboard WHERE id = ?", dashboard_id)
        self.rows("DELETE FROM dashboard_provisioning WHERE dashboard_id = ?", dashboard_id)


def interpolate(value):
    """`$NAME`, `${NAME}`, `$__env{NAME}` and `$__file{PATH}` in any string; `$$` is a dollar. As in
    Grafana, what a file holds is searched for variables too."""
    def expand(match):
        kind, name = match.groups()
        return Path(name).read_text().strip() if kind == "__file" else os.environ.get(name, "")

    def variables(text):
        text = re.sub(r"\$(|__env|__file)\{([^}]+)\}", expand, text)
        return re.sub(r"\$(\w+)|\$\{(\w+)\}", lambda match: os.environ.get(match[1] or match[2], ""), text)

    match value:
        case str():
            return "$".join(variables(part) for part in value.split("$$"))
        case list():
            return [interpolate(item) for item in value]
        case dict():
            return {key: interpolate(item) for key, item in value.items()}
    return value


class Provisioning:
    """Reads what Grafana reads below its provisioning folder."""

    def __init__(self, store, folder, log):
        self.store, self.folder, self.log = store, Path(folder), log
        self.passwords = {}  # of data sources, by uid; Grafana keeps them encrypted, the double not at all

    def documents(self, kind):
        for file in sorted(self.folder.glob(f"{kind}/*.y*ml")):
            try:
                yield interpolate(yaml.safe_load(file.read_text()) or {})
            except (yaml.YAMLError, OSError) as error:
                raise Refused(500, f"{file}: {error}") from error

    def data_sources(self):
        documents = list(self.documents("datasources"))
        wanted = [source for document in documents for source in document.get("datasources") or []]
        if sum(bool(source.get("isDefault")) for source in wanted) > 1:
            raise Refused(500, "datasource.yaml config is invalid. Only one datasource per organization can be marked as default")
        for document in documents:
            for source in document.get("deleteDatasources") or []:
                self.store.rows("DELETE FROM data_source WHERE name = ?", source["name"])
        for source in wanted:
            uid = source.get("uid") or "P" + hashlib.sha256(source["name"].encode()).hexdigest()[:16].upper()
            self.passwords[uid] = (source.get("secureJsonData") or {}).get("basicAuthPassword", "")
            self.store.rows("DELETE FROM data_source WHERE name = ? AND uid != ?", source["name"], uid)
            self.store.put("data_source", "uid", uid=uid, org_id=1, version=int(source.get("version") or 1),
                           type=source["type"], name=source["name"], access=source.get("access") or "proxy",
                           url=source.get("url") or "", basic_auth=int(bool(source.get("basicAuth"))),
                           basic_auth_user=source.get("basicAuthUser") or "",
                           is_default=int(bool(source.get("isDefault"))), secure_json_data="{}",
                           json_data=json.dumps(source.get("jsonData") or {}),
                           read_only=int(not source.get("editable")), created=now(), updated=now())

    def providers(self):
        return [provider for document in self.documents("dashboards") for provider in document.get("providers") or []]

    def dashboards(self, provider):
        """Brings the database to what the provider's folder holds."""
        store, name, path = self.store, provider["name"], Path(provider["options"]["path"])
        if not path.is_dir():
            self.log(f"cannot read dashboards of {name!r}: {path} is no folder")
            return
        folder_id = 0
        if provider.get("folder"):
            folder = {"title": provider["folder"], "uid": provider.get("folderUid") or slugify(provider["folder"])}
            known = store.dashboard(folder["uid"])
            folder_id = known["id"] if known else store.save_dashboard(folder, is_folder=1)["id"]
        known = {row["external_id"]: row for row in
                 store.rows("SELECT * FROM dashboard_provisioning WHERE name = ?", name)}
        files = {str(file): file for file in sorted(path.rglob("*.json"))}
        for external_id, row in known.items():
            if external_id not in files and not provider.get("disableDeletion"):
                store.delete_dashboard(row["dashboard_id"])
        for external_id, file in files.items():
            try:
                text = file.read_bytes()
                checksum = hashlib.md5(text).hexdigest()
                if known.get(external_id, {}).get("check_sum") == checksum:
                    continue
                saved = store.save_dashboard(json.loads(text), folder_id, provisioned=True)
                store.put("dashboard_provisioning", "dashboard_id", dashboard_id=saved["id"], name=name,
                          external_id=external_id, updated=int(time.time()), check_sum=checksum)
            except (Refused, ValueError, AttributeError, OSError) as error:
                self.log(f"failed to load dashboard from {file}: {error}")

    def watch(self, provider):
        while True:
            time.sleep(max(int(provider.get("updateIntervalSeconds") or 10), 1))
            self.dashboards(provider)
