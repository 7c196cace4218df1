#!/usr/bin/env bash
# Written after the described behaviour of the official postgres image's entry
# point, so that what works with that one works with this one.
set -Eeo pipefail

fail() {
    printf >&2 '%s\n' "$@"
    exit 1
}

# Sets VAR from VAR_FILE where that is given, else to a default.
file_env() {
    local var=$1 default=${2-} file=$1_FILE
    if [ "${!var-}" ] && [ "${!file-}" ]; then
        fail "error: both $var and $file are set (but are exclusive)"
    fi
    if [ "${!file-}" ]; then
        export "$var=$(<"${!file}")"
    else
        export "$var=${!var:-$default}"
    fi
    unset "$file"
}

# These print something and exit; they need no database.
only_informs() {
    local arg
    for arg; do
        case $arg in
            -'?' | --help | --describe-config | -V | --version) return 0 ;;
        esac
    done
    return 1
}

# Failures are left to the server, whose words are better: a read-only root or
# a directory that is right already must not stop anything.
prepare_directories() {
    local dir
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA" 2>/dev/null || :
    mkdir -p /var/run/postgresql 2>/dev/null || :
    chmod 775 /var/run/postgresql 2>/dev/null || :
    if [ "${POSTGRES_INITDB_WALDIR-}" ]; then
        mkdir -p "$POSTGRES_INITDB_WALDIR"
        chmod 700 "$POSTGRES_INITDB_WALDIR"
    fi
    if [ "$(id -u)" = 0 ]; then
        for dir in "$PGDATA" "${POSTGRES_INITDB_WALDIR-}" /var/run/postgresql; do
            [ ! "$dir" ] || find "$dir" ! -user postgres -exec chown postgres {} +
        done
    fi
}

check_environment() {
    if [ ${#POSTGRES_PASSWORD} -ge 100 ]; then
        echo >&2 'WARNING: POSTGRES_PASSWORD has 100 or more characters, which some older clients cannot send'
    fi
    if [ ! "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
        fail 'Error: Database is uninitialized and superuser password is not specified.' \
             '       You must specify POSTGRES_PASSWORD to a non-empty value for the' \
             '       superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".' \
             '' \
             '       POSTGRES_HOST_AUTH_METHOD=trust lets every connection in without a' \
             '       password. This is *not* recommended.'
    fi
    if [ "$POSTGRES_HOST_AUTH_METHOD" = trust ]; then
        echo >&2 'WARNING: POSTGRES_HOST_AUTH_METHOD is "trust": anyone who reaches the port is superuser, without a password'
    fi
}

init_database() {
    # initdb wants a name for the user it runs as.
    local lib
    if ! getent passwd "$(id -u)" >/dev/null; then
        for lib in /usr/lib/*/libnss_wrapper.so; do
            NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
            echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$NSS_WRAPPER_PASSWD"
            echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
            export LD_PRELOAD=$lib NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
        done
    fi

    # POSTGRES_INITDB_ARGS holds shell words, hence eval.
    local waldir=${POSTGRES_INITDB_WALDIR:+--waldir=$POSTGRES_INITDB_WALDIR}
    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") ${waldir:+"$waldir"}' "${POSTGRES_INITDB_ARGS-}"

    if [ "${NSS_WRAPPER_PASSWD-}" ]; then
        rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
        unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    fi
}

# initdb admits local connections only.
admit_network() {
    local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "$@")}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# For initialising alone: on the socket only, so that nobody outside takes it
# for the real server.
start_temporary_server() {
    PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -w start \
        -o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
}

stop_temporary_server() {
    PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -m fast -w stop
}

# Under its upstream name, and as ${psql[@]}, since init scripts call it.
docker_process_sql() {
    PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc \
        --username "$POSTGRES_USER" ${POSTGRES_DB:+--dbname "$POSTGRES_DB"} "$@"
}
psql=(docker_process_sql)

create_database() {
    local exists
    exists=$(POSTGRES_DB='' docker_process_sql --dbname postgres --tuples-only \
        --set db="$POSTGRES_DB" <<<"SELECT 1 FROM pg_database WHERE datname = :'db';")
    [ "$exists" ] || POSTGRES_DB='' docker_process_sql --dbname postgres \
        --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
}

# Before 14, initdb stores the password as MD5, whatever the server is told, and a server that asks
# for SCRAM then refuses it. The pinned version stores it as its settings say.
store_password() {
    [ "$PG_MAJOR" -lt 14 ] && [ "$POSTGRES_PASSWORD" ] || return 0
    POSTGRES_DB='' docker_process_sql --dbname postgres --quiet --set role="$POSTGRES_USER" <<'SQL'
\set password `printf %s "$POSTGRES_PASSWORD"`
ALTER ROLE :"role" PASSWORD :'password';
SQL
}

run_init_files() {
    local f
    for f; do
        [ -e "$f" ] || continue # the pattern itself, where there are none
        case $f in
            *.sh)
                if [ -x "$f" ]; then
                    echo "$0: running $f"
                    "$f"
                else
                    echo "$0: sourcing $f"
                    . "$f"
                fi ;;
            *.sql)    echo "$0: running $f"; docker_process_sql -f "$f" ;;
            *.sql.gz) echo "$0: running $f"; gunzip -c "$f" | docker_process_sql ;;
            *.sql.xz) echo "$0: running $f"; xzcat "$f" | docker_process_sql ;;
            *)        echo "$0: ignoring $f" ;;
        esac
    done
}

# Runs as the user that the server will have; "$@" is the server's command line.
initialise() {
    shift
    trap 'exit 130' INT TERM # process 1 would ignore them until the server runs
    check_environment

    ls /docker-entrypoint-initdb.d/ >/dev/null # fails before anything is made

    init_database
    admit_network "$@"

    export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
    start_temporary_server "$@"
    store_password
    create_database
    run_init_files /docker-entrypoint-initdb.d/*
    stop_temporary_server
    unset PGPASSWORD

    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[ "${1:0:1}" != - ] || set -- postgres "$@"

if [ "${1-}" = postgres ] && ! only_informs "${@:2}"; then
    # While still root, who may be the only one to read the files.
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS
    prepare_directories
    if [ "$(id -u)" = 0 ]; then
        HOME=/var/lib/postgresql exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    else
        initialise "$@"
    fi
fi

exec "$@"
