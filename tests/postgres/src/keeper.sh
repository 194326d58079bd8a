# Keeps one PostgreSQL in a temporary folder until the standard input ends, which it does however whoever
# holds it ends; then nothing of it is left. Started with: the folder of PostgreSQL's programs, the
# server's options, and "encrypted" or "plain".
set -eu
programs=$1 options=$2 wire=$3
# A signal from a terminal is for whoever uses the server, and reaches this one as the end of its input.
trap '' HUP INT TERM
cd /
folder=$(mktemp -d -t rekursing-postgres.XXXXXX)
as=
if [ "$(id -u)" = 0 ]; then
    # PostgreSQL refuses to run as root; its package comes with a user for it.
    chown postgres "$folder"
    as="setpriv --reuid=postgres --regid=postgres --clear-groups"
fi

run() {
    $as env -i PATH="$programs:/usr/bin:/bin" LC_ALL=C.UTF-8 "$@" </dev/null
}
start() {
    run pg_ctl -s -w -D "$folder/data" -l "$folder/log" -o "-k $folder $options" start >&2 || {
        cat "$folder/log" >&2
        return 1
    }
}
stop() {
    run pg_ctl -s -w -m immediate -D "$folder/data" stop >&2
}
trap 'stop 2>/dev/null || true; rm -rf "$folder"' EXIT

run initdb -D "$folder/data" -U postgres -A trust -E UTF8 --no-sync >"$folder/made" 2>&1 || {
    cat "$folder/made" >&2
    exit 1
}
if [ "$wire" = encrypted ]; then
    printf '[req]\ndistinguished_name = name\n[name]\n' >"$folder/openssl.cnf"
    run openssl req -config "$folder/openssl.cnf" -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
        -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE \
        -keyout "$folder/server.key" -out "$folder/server.crt" 2>"$folder/made" || {
        cat "$folder/made" >&2
        exit 1
    }
    options="$options -c ssl=on -c ssl_cert_file=$folder/server.crt -c ssl_key_file=$folder/server.key"
fi
start
echo "READY $folder"
while read -r order; do
    "$order"
    echo DONE
done
